"""A conversation: one chat between a user and a workflow; and the events of its log."""

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.people import UserId


class Conversations(models.QuerySet["Conversation"]):
    """Conversations, as they are looked for."""

    def of(self, owner: UserId, conversation_id: str | None = None) -> Self:
        """Return the owner's conversations that are not deleted, or the one of that name."""
        rows = self.filter(owner_id=owner, deleted_at=None)
        return rows if conversation_id is None else rows.filter(conversation_id=conversation_id)


class Conversation(models.Model):
    """Found by (owner, conversation_id): the client's own name for it, unique per owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of its own: the unique constraint's begins with it.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        db_index=False,
        verbose_name=_("owner"),
    )
    conversation_id = models.CharField(max_length=200, verbose_name=_("the client's id"))
    workflow = models.CharField(max_length=100, verbose_name=_("workflow"))
    title = models.CharField(max_length=200, verbose_name=_("title"))
    # The highest sequence given out. Taken by an UPDATE of this row inside the transaction that
    # writes the event, so that the log has no gaps and no reader can pass one.
    last_sequence = models.BigIntegerField(default=0, verbose_name=_("events"))
    # Whether a message of it has several versions: what follows on what has to be looked up.
    branched = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(verbose_name=_("began"))
    # No index: each event sets it, and PostgreSQL writes to all indexes of a row where one changes.
    updated_at = models.DateTimeField(verbose_name=_("updated"))
    # Its place in its owner's list: when the last message came, which is what writes to the index.
    listed_at = models.DateTimeField(default=timezone.now)
    # Questions that wait in it: each event that asks adds one, each that settles takes one away.
    waiting = models.IntegerField(default=0, db_default=0)
    # When its owner deleted it: it is at no door but undo, and goes a day later (see `retention`).
    deleted_at = models.DateTimeField(null=True, blank=True, verbose_name=_("deleted"))

    objects = Conversations.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        constraints = (
            models.UniqueConstraint(
                fields=["owner", "conversation_id"], name="conversation_unique_per_owner"
            ),
        )
        indexes = (
            models.Index(
                fields=["owner", "-listed_at"],
                name="conversation_listed",
                condition=models.Q(deleted_at__isnull=True),
            ),
            models.Index(
                fields=["owner"], name="conversation_waiting", condition=models.Q(waiting__gt=0)
            ),
            models.Index(
                fields=["deleted_at"],
                name="conversation_deleted",
                condition=models.Q(deleted_at__isnull=False),
            ),
            # Else the admin's search would read all.
            models.Index(fields=["conversation_id"], name="conversation_name"),
            models.Index(fields=["created_at"], name="conversation_created"),
        )

    def __str__(self) -> str:
        return self.title or self.conversation_id


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
        "Run", on_delete=models.CASCADE, related_name="events", verbose_name=_("run")
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
