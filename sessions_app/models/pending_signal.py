"""The model of signals that are still to be sent, and of notices (mails), kept once sent."""

from django.db import models
from django.utils.translation import pgettext_lazy

from sessions_app.models.interaction import Interaction
from sessions_app.models.run import Run


class PendingSignal(models.Model):
    """A Django signal to be sent, stored in the transaction of its cause if it has receivers.

    The row is deleted once all receivers have returned; until then, sending is retried.

    A notice (`NOTICE`), such as a mail, stays with its outcome for operators, but is no longer due.
    """

    NOTICE = "notice_due"

    class Outcome(models.TextChoices):
        SENT = "sent", pgettext_lazy("hitl", "sent")
        IN_ANOTHER = (
            "in_another",
            pgettext_lazy("hitl", "not sent: another mail of the time has it"),
        )
        SETTLED = "settled", pgettext_lazy("hitl", "not sent: nothing waited any more")
        UNWANTED = "unwanted", pgettext_lazy("hitl", "not sent: not wanted any more")
        NO_ADDRESS = "no_address", pgettext_lazy("hitl", "not sent: no address")
        GIVEN_UP = "given_up", pgettext_lazy("hitl", "given up")

    name = models.CharField(max_length=30)
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="+", verbose_name=pgettext_lazy("hitl", "run")
    )
    interaction = models.ForeignKey(
        Interaction, on_delete=models.CASCADE, related_name="+", null=True, blank=True
    )
    # Further keyword arguments for the signal's receivers.
    about = models.JSONField(default=dict, verbose_name=pgettext_lazy("hitl", "about"))
    # Number of attempts so far to send the signal.
    attempts = models.PositiveIntegerField(
        default=0, verbose_name=pgettext_lazy("hitl", "attempts")
    )
    # Time of the next attempt; None if there is nothing left to send.
    due_at = models.DateTimeField(db_index=True, null=True, blank=True)
    # Outcome of a notice that will not be sent again, and the time of that outcome.
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True, db_default="")
    settled_at = models.DateTimeField(null=True, blank=True)
    # Reason for the failure of the last attempt.
    error = models.TextField(blank=True, db_default="", verbose_name=pgettext_lazy("hitl", "error"))

    class Meta:
        verbose_name = pgettext_lazy("hitl", "mail or webhook")
        verbose_name_plural = pgettext_lazy("hitl", "mails and webhooks")
        indexes = (
            # Index for the deletion of old notices, which would otherwise read the whole table.
            models.Index(
                fields=["settled_at"],
                name="signal_settled",
                condition=models.Q(settled_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return self.name
