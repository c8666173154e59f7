"""The reads of the HTTP API. All block: call them by `sessions_app.storage.reads.read`."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Q

from chat_app.feed.selectors import pending_prompts
from sessions_app.errors import NotFound
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, HostLease, Interaction, JournalEntry, Run
from sessions_app.models.people import UserId, users
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage.branches import ancestors, descendants
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import text_of
from sessions_app.storage.storable import is_storable

NO_EVENT = (
    "There is no event of that Last-Event-ID in the conversation that the header conversation-id "
    "names. Send the conversation-id and the user-message-id that came with the stream."
)


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """A run with its conversation, its complete output and all pending prompts, also of child runs.

    `prompts` wait for the owner. `asked_others` wait for other people, and are read only if none
    waits for the owner. Both lists begin with the oldest prompt.
    """

    run: Run
    prompts: list[EventRecord]
    asked_others: list[JsonObject]
    output: str
    usage: dict[str, int]  # token counts of a completed run, in OpenAI's names


def read_execution(owner: UserId, run_id: UUID) -> ExecutionRecord:
    """Read one of the owner's runs with its output and prompts.

    Raises:
        NotFound: there is no such run, or it belongs to another user.
    """
    run = read_run(owner, run_id)
    is_unfinished = run.status in Run.UNFINISHED
    prompts = _prompts(run) if is_unfinished else []
    asked_others = _read_asked_others(run) if is_unfinished and not prompts else []
    output = text_of(run_id) if run.status == Run.Status.COMPLETED else ""
    return ExecutionRecord(run, prompts, asked_others, output, _usage(run))


def read_run(owner: UserId, run_id: UUID) -> Run:
    """Read one of the owner's runs with its conversation.

    Raises:
        NotFound: there is no such run, or it belongs to another user.
    """
    runs = Run.objects.filter(
        pk=run_id, conversation__owner_id=owner, conversation__deleted_at=None
    )
    run = runs.select_related("conversation").first()
    if run is None:
        raise NotFound("There is no such execution.")
    return run


def read_job(owner: UserId, job_id: str) -> Run:
    """Read the owner's newest run for a message id.

    Raises:
        NotFound: there is no such run.
    """
    runs = Run.objects.filter(
        message_id=job_id, conversation__owner_id=owner, conversation__deleted_at=None
    )
    run = runs.order_by("-created_at").first() if is_storable(job_id) else None
    if run is None:
        raise NotFound("There is no such job.")
    return run


def _prompts(run: Run) -> list[EventRecord]:
    condition = Q(run=run) | Q(run__parent__isnull=False, run__status__in=Run.UNFINISHED)
    pending = pending_prompts(condition, conversation=run.conversation_id)
    within = descendants(run.pk)
    return [prompt for prompt in pending if prompt.run in within]


def _read_asked_others(run: Run) -> list[JsonObject]:
    condition = Q(run=run) | Q(run__parent__isnull=False, run__status__in=Run.UNFINISHED)
    pending = Interaction.objects.filter(
        condition,
        conversation=run.conversation_id,
        status=Interaction.Status.PENDING,
        for_owner=False,
    )
    within = descendants(run.pk)
    return [
        {
            "interaction_id": view.interaction.pk,
            "text": view.text,
            "to": view.to,
            "assignee": view.assignee,
        }
        for view in QuestionView.of_all(pending.select_related("assignee").order_by("sequence"))
        if view.interaction.run_id in within
    ]


def is_within(run_id: UUID, ancestor: UUID) -> bool:
    """Return whether the run is a child run of the ancestor, or a deeper descendant."""
    return ancestor in ancestors(run_id)[1:]


def _usage(run: Run) -> dict[str, int]:
    if run.status != Run.Status.COMPLETED:
        return {}
    reports = JournalEntry.objects.filter(run=run, kind=JournalEntry.Kind.USAGE)
    used = Counter(prompt_tokens=0, completion_tokens=0)
    for report in reports.values_list("result", flat=True):
        used.update(report)
    return {**used, "total_tokens": used.total()}


def run_at(owner: UserId, conversation_id: str, sequence: int) -> UUID:
    """Return the run that logged the event with a sequence number.

    Raises:
        NotFound: the owner's conversation has no such event.
    """
    run: UUID | None = (
        Event.objects.filter(
            conversation__owner_id=owner,
            conversation__conversation_id=conversation_id,
            conversation__deleted_at=None,
            first_sequence__lte=sequence,
            sequence__gte=sequence,
        )
        .values_list("run_id", flat=True)
        .first()
    )
    if run is None:
        raise NotFound(NO_EVENT)
    return run


def find_staff(user_id: UserId, *permissions: str) -> AbstractBaseUser | None:
    """Return the user if the user is active staff with one of the permissions; else None."""
    user: Any = users().filter(pk=user_id).first()
    if user is None or not (user.is_active and getattr(user, "is_staff", False)):
        return None
    may = any(user.has_perm(f"sessions_app.{permission}") for permission in permissions)
    return user if may else None


def read_monitor(user_id: str | None) -> JsonObject:
    """Read the live workflow builders of all users, or of one user, in NAT's format."""
    leases = HostLease.objects.exclude(metrics={}).exclude(user_id="").order_by("key")
    if user_id is not None:
        leases = leases.filter(user_id=user_id)
    users = [_builder(lease) for lease in leases]
    return {"timestamp": datetime.now(UTC), "total_active_users": len(users), "users": users}


def _builder(lease: HostLease) -> JsonObject:
    metrics = lease.metrics
    requests, active = metrics.get("total_requests", 0), metrics.get("ref_count", 0)
    return {
        "user_id": lease.user_id,
        "workflow": lease.workflow,
        "worker": lease.worker,
        "session": {
            "created_at": lease.started_at,
            "last_activity": lease.last_activity,
            "ref_count": active,
            "is_active": active > 0,
        },
        "requests": {
            "total_requests": requests,
            "active_requests": active,
            "avg_latency_ms": metrics.get("total_latency_ms", 0.0) / requests if requests else 0.0,
            "error_count": metrics.get("error_count", 0),
        },
    }
