"""A vote: the answer of one person to a prompt that needs those of several."""

from django.conf import settings
from django.db import models

from sessions_app.models.interaction import Interaction


class Vote(models.Model):
    """A vote on a prompt; its giver may change it until the prompt is settled."""

    # No index of its own: the unique constraint's begins with it.
    interaction = models.ForeignKey(
        Interaction, on_delete=models.CASCADE, related_name="votes", db_index=False
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # As an interaction has it.
    response = models.JSONField()
    at = models.DateTimeField()
    via = models.CharField(max_length=20)
    answer_id = models.CharField(max_length=200)
    # Its giver was no candidate: an operator, or whom the project's own code named. It counts as
    # long as they are active; that of a candidate as long as they are one.
    vouched = models.BooleanField(default=False)

    class Meta:
        indexes = (models.Index(fields=["by", "-at"], name="vote_by"),)
        constraints = (
            models.UniqueConstraint(fields=["interaction", "by"], name="vote_unique_by"),
        )

    def __str__(self) -> str:
        return f"{self.by}: {self.response.get('value')}"
