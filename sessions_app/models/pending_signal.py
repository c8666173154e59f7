"""A pending signal: one that is to be sent, or a notice that was."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from sessions_app.models.interaction import Interaction
from sessions_app.models.run import Run


class PendingSignal(models.Model):
    """Written with what the signal is about, where a receiver is connected; deleted once all of
    them have returned. Until then it is due again and again.

    A notice (`NOTICE`), such as a mail, stays with its outcome for operators, and is due no more.
    """

    NOTICE = "notice_due"

    class Outcome(models.TextChoices):
        SENT = "sent", _("sent")
        IN_ANOTHER = "in_another", _("not sent: another mail of the time has it")
        SETTLED = "settled", _("not sent: nothing waited any more")
        UNWANTED = "unwanted", _("not sent: not wanted any more")
        NO_ADDRESS = "no_address", _("not sent: no address")
        GIVEN_UP = "given_up", _("given up")

    name = models.CharField(max_length=30)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", verbose_name=_("run"))
    interaction = models.ForeignKey(
        Interaction, on_delete=models.CASCADE, related_name="+", null=True, blank=True
    )
    # What else its receivers are told.
    about = models.JSONField(default=dict, verbose_name=_("about"))
    # How often it was taken to be sent.
    attempts = models.PositiveIntegerField(default=0, verbose_name=_("attempts"))
    # None: it is not to be sent any more.
    due_at = models.DateTimeField(db_index=True, null=True, blank=True)
    # Of a notice that is not to be sent any more: what came of it, and when.
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True, db_default="")
    settled_at = models.DateTimeField(null=True, blank=True)
    # Why the last attempt failed.
    error = models.TextField(blank=True, db_default="", verbose_name=_("error"))

    class Meta:
        verbose_name = _("mail or webhook")
        verbose_name_plural = _("mails and webhooks")
        indexes = (
            # Else who deletes the old ones would read all.
            models.Index(
                fields=["settled_at"],
                name="signal_settled",
                condition=models.Q(settled_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return self.name
