"""A pending signal: one that is to be sent."""

from django.db import models

from sessions_app.models.interaction import Interaction
from sessions_app.models.run import Run


class PendingSignal(models.Model):
    """Written with what the signal is about, where a receiver is connected; deleted once all of
    them have returned. Until then it is due again and again.
    """

    name = models.CharField(max_length=30)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    interaction = models.ForeignKey(
        Interaction, on_delete=models.CASCADE, related_name="+", null=True, blank=True
    )
    # What else its receivers are told.
    about = models.JSONField(default=dict)
    # How often it was taken to be sent.
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.name
