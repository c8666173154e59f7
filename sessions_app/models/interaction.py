"""Interactions: prompts to people from within a run, their candidates, and votes."""

import uuid
from datetime import UTC, datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import pgettext_lazy

from sessions_app.models.conversation import Conversation
from sessions_app.models.ordered_json import OrderedJSONField
from sessions_app.models.run import Run

# The sort key of a prompt without a due time, which puts the prompt after all others.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
# Columns by which inboxes are sorted.
CANDIDATE_ORDER = ("due", "asked_at", "interaction")


class Interaction(models.Model):
    """A question to people. A single UPDATE changes its status from `pending` to a final one.

    The row is also the journal entry of the call that asked, at `position`.
    """

    class Status(models.TextChoices):
        # Status of a question that can still be answered.
        PENDING = "pending", pgettext_lazy("hitl", "pending")
        # Status after a person's answer; the `answered_…` columns have the details.
        ANSWERED = "answered", pgettext_lazy("hitl", "answered")
        # Status after the deadline has passed; `response` is the declared default, if any.
        EXPIRED = "expired", pgettext_lazy("hitl", "expired")
        # Status if the run ended before anybody answered.
        CANCELLED = "cancelled", pgettext_lazy("hitl", "cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No separate index: the unique constraint begins with this column.
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="interactions", db_index=False
    )
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="interactions"
    )
    # Position in the run's journal; None for a cancelled question that a resumed run asks anew.
    position = models.PositiveIntegerField(null=True, blank=True)
    # Number of the call in its track, a coroutine's sequence of calls; see `JournalEntry.place`.
    place = models.CharField(max_length=40, blank=True, db_default="")
    # Sequence number of the question's event in the conversation's log.
    sequence = models.BigIntegerField()
    prompt = OrderedJSONField()
    # `name` is the answer's type, compared on replay. `difference` tells how a later replay's
    # prompt differed; only for information, because people answer the recorded prompt.
    name = models.CharField(max_length=200)
    difference = models.TextField(blank=True, db_default="")
    status = models.CharField(
        max_length=10,
        choices=Status.choices,
        default=Status.PENDING,
        verbose_name=pgettext_lazy("hitl", "status"),
    )
    # Version: 1 when asked, 2 when settled. An answer for another version is from an outdated card.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    # The candidates and the rules for answers, see `prompts.assignment`; None if only the
    # conversation's owner may answer.
    assignment = models.JSONField(null=True, blank=True)
    # True if the conversation's owner may answer, even without being a candidate.
    for_owner = models.BooleanField(default=True, db_default=True)
    # The user with the claim: nobody else can answer until the claim is released.
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="claimed_interactions",
        db_index=False,
    )
    # Time by which the prompt should be answered; unlike `expires_at`, it settles nothing.
    due_at = models.DateTimeField(null=True, blank=True)
    escalates_at = models.DateTimeField(null=True, blank=True)
    # The answer: {"value": …}, or for a checkbox {"values": […]}; an assigned prompt adds "votes".
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
    answered_via = models.CharField(
        max_length=20, blank=True, verbose_name=pgettext_lazy("hitl", "answered from")
    )
    # The client's id of the answer. A repeated answer with this id is acknowledged again.
    answer_id = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("hitl", "interaction")
        verbose_name_plural = pgettext_lazy("hitl", "interactions")
        constraints = (
            models.UniqueConstraint(fields=["run", "position"], name="interaction_unique_position"),
        )
        indexes = (
            models.Index(
                fields=["conversation"],
                name="interaction_pending",
                condition=models.Q(status="pending"),
            ),
            # The list of open prompts is sorted by this index, so prompts without a deadline are in
            # it. Since `status` is in it, SQLite counts prompts without reading rows.
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
            # Without this index, deleting a user would read the whole table. The condition keeps
            # new prompts, which have no assignee, out of the index.
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
            # Index for lists of the newest prompts, which would otherwise sort the whole table.
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

    The members of a group or holders of a permission are looked up when somebody answers.
    """

    interaction = models.ForeignKey(
        Interaction, on_delete=models.CASCADE, related_name="candidates"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, related_name="+")
    # Django's name of a permission: app_label.codename.
    permission = models.CharField(max_length=255, blank=True)
    # True while the prompt is pending, copied so that an inbox reads only the rows that it shows.
    pending = models.BooleanField(default=True)
    # The prompt's due time or NEVER, copied so that an index yields a page of the inbox.
    due = models.DateTimeField(default=NEVER)
    asked_at = models.DateTimeField()
    # The owner of the conversation that asks. Deleting that user cascades to the conversation, and
    # thereby to this row.
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
                fields=["owner", *CANDIDATE_ORDER],
                name="candidate_owner",
                condition=models.Q(pending=True),
            ),
            models.Index(
                fields=["user", *CANDIDATE_ORDER],
                name="candidate_user",
                condition=models.Q(pending=True, user__isnull=False),
            ),
            models.Index(
                fields=["group", *CANDIDATE_ORDER],
                name="candidate_group",
                condition=models.Q(pending=True, group__isnull=False),
            ),
            models.Index(
                fields=["permission", *CANDIDATE_ORDER],
                name="candidate_permission",
                condition=models.Q(pending=True, permission__gt=""),
            ),
        )

    def __str__(self) -> str:
        return self.permission or str(self.user or self.group)


class Vote(models.Model):
    """A vote on a prompt; the voter may change it until the prompt is settled."""

    # No separate index: the unique constraint begins with this column.
    interaction = models.ForeignKey(
        Interaction, on_delete=models.CASCADE, related_name="votes", db_index=False
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # The vote, in the same form as an interaction's response.
    response = models.JSONField()
    at = models.DateTimeField()
    via = models.CharField(max_length=20)
    answer_id = models.CharField(max_length=200)
    # True if the voter was no candidate, but an operator, or a user named by the project's code.
    # Such a vote counts as long as the voter is active; a candidate's vote counts as long as the
    # voter is still a candidate.
    vouched = models.BooleanField(default=False)

    class Meta:
        indexes = (models.Index(fields=["by", "-at"], name="vote_by"),)
        constraints = (
            models.UniqueConstraint(fields=["interaction", "by"], name="vote_unique_by"),
        )

    def __str__(self) -> str:
        return f"{self.by}: {self.response.get('value')}"
