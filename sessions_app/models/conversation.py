"""A conversation (one chat between a user and a workflow) and the events of its log."""

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import pgettext_lazy

from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.people import UserId


class Conversations(models.QuerySet["Conversation"]):
    """A queryset of conversations, with their lookups."""

    def of(self, owner: UserId, conversation_id: str | None = None) -> Self:
        """Return the owner's conversations that are not deleted, or only the one with this id."""
        rows = self.filter(owner_id=owner, deleted_at=None)
        return rows if conversation_id is None else rows.filter(conversation_id=conversation_id)


class Conversation(models.Model):
    """A conversation, identified by its owner and the client's `conversation_id`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No separate index: the unique constraint begins with this column.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        db_index=False,
        verbose_name=pgettext_lazy("hitl", "owner"),
    )
    conversation_id = models.CharField(
        max_length=200, verbose_name=pgettext_lazy("hitl", "the client's id")
    )
    workflow = models.CharField(max_length=100, verbose_name=pgettext_lazy("hitl", "workflow"))
    title = models.CharField(max_length=200, verbose_name=pgettext_lazy("hitl", "title"))
    # The sequence number of the newest event. The transaction that writes an event increments this
    # column, so the log has no gaps and no reader can skip an event.
    last_sequence = models.BigIntegerField(default=0, verbose_name=pgettext_lazy("hitl", "events"))
    # True if a message has several versions; then the order of runs must be looked up (`Branches`).
    branched = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "began"))
    # No index: each event changes this column, and PostgreSQL then writes to all indexes of the
    # row.
    updated_at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "updated"))
    # Sort key of the owner's list: time of the last message, so few writes touch the index.
    listed_at = models.DateTimeField(default=timezone.now)
    # Number of open questions: an event that asks adds one, an event that settles subtracts one.
    waiting = models.IntegerField(default=0, db_default=0)
    # Time of the deletion by the owner. The conversation is then reachable for undo only, and
    # removed a day later (see `retention`).
    deleted_at = models.DateTimeField(
        null=True, blank=True, verbose_name=pgettext_lazy("hitl", "deleted")
    )

    objects = Conversations.as_manager()

    class Meta:
        verbose_name = pgettext_lazy("hitl", "conversation")
        verbose_name_plural = pgettext_lazy("hitl", "conversations")
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
            # Index for the admin's search, which would otherwise read the whole table.
            models.Index(fields=["conversation_id"], name="conversation_name"),
            models.Index(fields=["created_at"], name="conversation_created"),
        )

    def __str__(self) -> str:
        return self.title or self.conversation_id


class Event(models.Model):
    """An event of a conversation's log; clients see nothing but events.

    `sessions_app.storage` documents the payloads. An event spans the sequences
    `first_sequence`…`sequence`. These differ only for a `message`, which replaces the `text` events
    that were folded into it; so the spans cover the log without gaps.
    """

    class Type(models.TextChoices):
        USER_MESSAGE = "user_message", pgettext_lazy("hitl", "message of a person")
        RUN = "run", pgettext_lazy("hitl", "status of the run")
        TEXT = "text", pgettext_lazy("hitl", "piece of text")
        MESSAGE = "message", pgettext_lazy("hitl", "whole text")
        RESTART = "restart", pgettext_lazy("hitl", "text begun anew")
        STEP = "step", pgettext_lazy("hitl", "step")
        INTERACTION = "interaction", pgettext_lazy("hitl", "question")
        INTERACTION_UPDATE = "interaction_update", pgettext_lazy("hitl", "change of a question")
        # Types of events about questions that people other than the conversation's owner answer.
        ASSIGNMENT = "assignment", pgettext_lazy("hitl", "question to others")
        ASSIGNMENT_UPDATE = (
            "assignment_update",
            pgettext_lazy("hitl", "change of a question to others"),
        )

    # No separate index: the unique constraint begins with this column.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    run = models.ForeignKey(
        "Run",
        on_delete=models.CASCADE,
        related_name="events",
        verbose_name=pgettext_lazy("hitl", "run"),
    )
    first_sequence = models.BigIntegerField()
    sequence = models.BigIntegerField()
    type = models.CharField(
        max_length=20, choices=Type.choices, verbose_name=pgettext_lazy("hitl", "type")
    )
    payload = OrderedJSONField()
    created_at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "time"))

    class Meta:
        verbose_name = pgettext_lazy("hitl", "event")
        verbose_name_plural = pgettext_lazy("hitl", "events")
        constraints = (
            models.UniqueConstraint(
                fields=["conversation", "sequence"], name="event_unique_sequence"
            ),
        )

    def __str__(self) -> str:
        return f"{self.sequence} {self.type}"
