"""Interactions: prompts to people inside of a run, who may answer them, and their votes."""

import uuid
from datetime import UTC, datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext_lazy as _

from sessions_app.models.conversation import Conversation
from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.run import Run

# What is not due at any time comes after all that is.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
# The order of inboxes.
PLACE = ("due", "asked_at", "interaction")


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
