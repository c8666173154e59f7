"""A candidate: a user, a group, or who has a permission, that may answer an assigned prompt."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

from sessions_app.models.interaction import Interaction


class Candidate(models.Model):
    """One of `user`, `group` and `permission` is set. Who that is, is looked up at the answer."""

    interaction = models.ForeignKey(
        Interaction, on_delete=models.CASCADE, related_name="candidates"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, related_name="+")
    # As Django names it: app_label.codename.
    permission = models.CharField(max_length=255, blank=True)
    # Whether the prompt still is: so that an inbox reads no more rows than it shows.
    pending = models.BooleanField(default=True)

    class Meta:
        indexes = (
            models.Index(
                fields=["user"],
                name="candidate_user",
                condition=models.Q(pending=True, user__isnull=False),
            ),
            models.Index(
                fields=["group"],
                name="candidate_group",
                condition=models.Q(pending=True, group__isnull=False),
            ),
            models.Index(
                fields=["permission"],
                name="candidate_permission",
                condition=models.Q(pending=True) & ~models.Q(permission=""),
            ),
        )

    def __str__(self) -> str:
        return self.permission or str(self.user or self.group)
