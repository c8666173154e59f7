"""An arrival: what was sent to a run, under a name that the run waits for."""

from django.db import models

from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.run import Run


class Arrival(models.Model):
    """Something that was sent to a run, which takes arrivals of a name in order, each once."""

    # No index of its own: the unique constraint's begins with it.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="arrivals", db_index=False)
    # The sender's id of it: what is sent again under it comes once.
    sent_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    payload = OrderedJSONField(null=True)
    # Of the journal entry that has it; until the run takes it, there is none.
    position = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "sent_id"], name="arrival_unique_id"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.sent_id})"
