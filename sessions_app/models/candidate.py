"""A candidate: a user, a group, or who has a permission, that may answer an assigned prompt."""

from datetime import UTC, datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

from sessions_app.models.interaction import Interaction

# What is not due at any time comes after all that is.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
# The order of inboxes.
PLACE = ("due", "asked_at", "interaction")


class Candidate(models.Model):
    """A candidate for an assigned prompt: one of `user`, `group` and `permission` is set.

    Who belongs to it is looked up at the answer.
    """

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
    # Its place in inboxes, as the prompt has it: so that a page of them is read by an index.
    due = models.DateTimeField(default=NEVER)
    asked_at = models.DateTimeField()
    # Who asks: the owner of its conversation, who goes with all that is theirs.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    class Meta:
        indexes = (
            models.Index(
                fields=["owner", *PLACE],
                name="candidate_owner",
                condition=models.Q(pending=True),
            ),
            models.Index(
                fields=["user", *PLACE],
                name="candidate_user",
                condition=models.Q(pending=True, user__isnull=False),
            ),
            models.Index(
                fields=["group", *PLACE],
                name="candidate_group",
                condition=models.Q(pending=True, group__isnull=False),
            ),
            models.Index(
                fields=["permission", *PLACE],
                name="candidate_permission",
                condition=models.Q(pending=True, permission__gt=""),
            ),
        )

    def __str__(self) -> str:
        return self.permission or str(self.user or self.group)
