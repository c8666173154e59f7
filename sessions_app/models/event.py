"""An event: one entry of a conversation's append-only, numbered log."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from sessions_app.models.conversation import Conversation
from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.run import Run


class Event(models.Model):
    """An event of a conversation's log: clients see nothing but events.

    `sessions_app.storage` documents their payloads. An event spans the sequences
    `first_sequence`…`sequence`. They differ only for a `message`, which takes the place of the
    `text` events it was folded from; so the spans tile a log gap-free.
    """

    class Type(models.TextChoices):
        USER_MESSAGE = "user_message", _("message of a person")
        RUN = "run", _("status of the run")
        TEXT = "text", _("piece of text")
        MESSAGE = "message", _("whole text")
        RESTART = "restart", _("text begun anew")
        STEP = "step", _("step")
        INTERACTION = "interaction", _("question")
        INTERACTION_UPDATE = "interaction_update", _("change of a question")
        # Of a prompt that is assigned, and not to the owner of the conversation.
        ASSIGNMENT = "assignment", _("question to others")
        ASSIGNMENT_UPDATE = "assignment_update", _("change of a question to others")

    # No index of its own: the unique constraint's begins with it.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="events", verbose_name=_("run")
    )
    first_sequence = models.BigIntegerField()
    sequence = models.BigIntegerField()
    type = models.CharField(max_length=20, choices=Type.choices, verbose_name=_("type"))
    payload = OrderedJSONField()
    created_at = models.DateTimeField(verbose_name=_("time"))

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(
                fields=["conversation", "sequence"], name="event_unique_sequence"
            ),
        )

    def __str__(self) -> str:
        return f"{self.sequence} {self.type}"
