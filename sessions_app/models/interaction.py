"""An interaction: one prompt to a person inside a run."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from sessions_app.models.conversation import Conversation
from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.run import Run


class Interaction(models.Model):
    """A question to people, which goes from `pending` to exactly one final status by one UPDATE.

    It is what the run's journal has of the call at its position.
    """

    class Status(models.TextChoices):
        # Waits for its answer.
        PENDING = "pending", _("pending")
        # A person answered: who, when and from where is beside it.
        ANSWERED = "answered", _("answered")
        # Its deadline passed; `response` is the declared default, if any.
        EXPIRED = "expired", _("expired")
        # Its run ended first.
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of its own: the unique constraint's begins with it.
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="interactions", db_index=False
    )
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="interactions"
    )
    # Its place in the run's journal; None where the run ended first, and was resumed.
    position = models.PositiveIntegerField(null=True, blank=True)
    # As of a journal entry.
    place = models.CharField(max_length=40, blank=True, db_default="")
    # Its place in the conversation's log.
    sequence = models.BigIntegerField()
    prompt = OrderedJSONField()
    # What kind of answer it takes: replay compares it. In what a later replay asked otherwise,
    # which changes nothing: the answer is one to the prompt that is recorded.
    name = models.CharField(max_length=200)
    difference = models.TextField(blank=True, db_default="")
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.PENDING, verbose_name=_("status")
    )
    # 1 when opened, 2 when settled. An answer that names another version was given to a card that
    # no longer stands.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    # For whom it is, and by which rules: see `prompts.assignment`. None: for its owner alone.
    assignment = models.JSONField(null=True, blank=True)
    # Whether the owner of its conversation may answer it as such.
    for_owner = models.BooleanField(default=True, db_default=True)
    # Has claimed it: until it is released, nobody else answers.
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="claimed_interactions",
        db_index=False,
    )
    # By when it should be answered; nothing happens then.
    due_at = models.DateTimeField(null=True, blank=True)
    escalates_at = models.DateTimeField(null=True, blank=True)
    # {"value": a value} or, for a checkbox, {"values": [values]}; of an assigned prompt with its
    # "votes".
    response = OrderedJSONField(null=True, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="answered_interactions",
        db_index=False,
    )
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_via = models.CharField(max_length=20, blank=True, verbose_name=_("answered from"))
    # The client's id of the answer. The same answer under the same id is acknowledged again.
    answer_id = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("interaction")
        verbose_name_plural = _("interactions")
        constraints = (
            models.UniqueConstraint(fields=["run", "position"], name="interaction_unique_position"),
        )
        indexes = (
            models.Index(
                fields=["conversation"],
                name="interaction_pending",
                condition=models.Q(status="pending"),
            ),
            # Also of those without a deadline: else who lists what waits would sort all of it. The
            # status is in it so that SQLite counts without the rows.
            models.Index(
                fields=["status", "expires_at", "created_at"],
                name="interaction_deadline",
                condition=models.Q(status="pending"),
            ),
            models.Index(
                fields=["status", "due_at"],
                name="interaction_due",
                condition=models.Q(status="pending", due_at__isnull=False),
            ),
            models.Index(
                fields=["escalates_at"],
                name="interaction_escalation",
                condition=models.Q(status="pending", escalates_at__isnull=False),
            ),
            # Else who deletes a user would read all. Of those that have one: no prompt begins so.
            models.Index(
                fields=["assignee"],
                name="interaction_assignee",
                condition=models.Q(assignee__isnull=False),
            ),
            models.Index(
                fields=["assignee"],
                name="interaction_claimed",
                condition=models.Q(status="pending", assignee__isnull=False),
            ),
            # Else a list of the newest would sort all of them.
            models.Index(fields=["created_at"], name="interaction_created"),
            models.Index(
                fields=["answered_by", "-answered_at"],
                name="interaction_answered_by",
                condition=models.Q(answered_by__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.prompt.get('text', '')[:60]} ({self.status})"
