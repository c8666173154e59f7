"""A host takes up the runs of its key: which start now, which are stopped, which wait."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from sessions_app import runs
from sessions_app.dispatch.base import dispatcher
from sessions_app.errors import UnknownWorkflow
from sessions_app.event_log import Transaction, sql
from sessions_app.journal import Journal
from sessions_app.models import Conversation, Event, HostLease, Run
from sessions_app.request_context import RequestContext, RequestMetadata
from sessions_app.trace import Trace
from sessions_app.turns import needing_host
from sessions_app.workflows import registry

# A run during which its process died so often, without getting on in between, is set aside.
MAX_CRASHES = 3

RAISE = """
    UPDATE sessions_app_hostlease SET generation = generation + 1 WHERE key = %s
    RETURNING generation
"""
EVICT = "SELECT evict_requested_at FROM sessions_app_hostlease WHERE key = %s"
UNFINISHED = """
    SELECT * FROM sessions_app_run
    WHERE key = %s AND (
        status IN ('queued', 'running', 'waiting')
        OR status = 'suspended' AND stop_requested_at IS NOT NULL
    )
    ORDER BY conversation_id, created_at, id
"""


@dataclass(frozen=True, slots=True)
class CutText:
    """Output that was stored after the run's last journal entry, before it was interrupted."""

    from_sequence: int
    text: str


@dataclass(frozen=True, slots=True)
class Started:
    """A run that the host has to drive now."""

    run: Run
    journal: Journal
    cut: CutText | None


# A run as a look sees it: which, its status, and whether it is to stop.
Seen = tuple[UUID, str, bool]


@dataclass(frozen=True, slots=True)
class Lease:
    """What a look finds of a lease; `evict`: an operator wants the builder closed."""

    generation: int
    evict: bool


# Raises `Fenced` if the host may not become one (any more): called first in the transaction that
# takes the lease.
Claim = Callable[[Transaction], None]


@dataclass(slots=True)
class Found:
    """What a look at the key's runs came to."""

    started: list[Started] = field(default_factory=list)
    stopping: list[UUID] = field(default_factory=list)
    seen: frozenset[Seen] = frozenset()
    # An operator wants the builder closed.
    evict: bool = False


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who takes a lease: the process, and what it hosts the key for."""

    key: str
    worker: str
    workflow: str
    user_id: str


def take_lease(tx: Transaction, keeper: Keeper, claim: Claim | None = None) -> runs.Hold:
    """Become the key's host. Every earlier host of the key is fenced off from here on.

    Raises:
        Fenced: the claim does not hold any more.
    """
    if claim is not None:
        claim(tx)
    key = keeper.key
    values = {
        "worker": keeper.worker,
        "workflow": keeper.workflow,
        "user_id": keeper.user_id,
        "started_at": tx.now,
        "last_activity": tx.now,
        "released_at": None,
        "evict_requested_at": None,
    }
    raised = sql.fetch(RAISE, (key,))
    generation: int = raised[0][0] if raised else 1
    if raised:
        sql.update(HostLease, values, key=key)
    else:
        sql.insert(HostLease, key=key, generation=generation, metrics={}, **values)
    tx.forget_fence(key)
    return runs.Hold(key, generation)


def let_go(tx: Transaction, hold: runs.Hold, run_ids: Iterable[UUID] = ()) -> None:
    """The host ends in good order, with these runs in hand.

    The lease stays as a record of who had the key last. What is left to do is announced: whoever
    announced work for this host did so before the lease is released here, and it is seen.
    """
    runs.release(tx, hold, run_ids)
    free: dict[str, Any] = {"released_at": tx.now, "evict_requested_at": None, "metrics": {}}
    sql.update(HostLease, free, key=hold.key, generation=hold.generation)
    if needing_host().filter(key=hold.key).exists():
        dispatcher().announce(tx, hold.key)


@dataclass(frozen=True, slots=True)
class Driven:
    """What a host has in hand when it looks.

    `runs` are those that it drives; `blameless` those that it drove until the database failed.
    `conversations` are kept from look to look, for what a host needs of them never changes.
    """

    runs: frozenset[UUID]
    blameless: frozenset[UUID]
    conversations: dict[UUID, Conversation]

    def conversation(self, key: UUID) -> Conversation:
        """The conversation with its owner."""
        if key not in self.conversations:
            found = Conversation.objects.select_related("owner").get(pk=key)
            self.conversations[key] = found
        return self.conversations[key]


def take_up(tx: Transaction, hold: runs.Hold, driven: Driven) -> Found:
    """Look at the unfinished runs of the key, and start those whose turn it is."""
    hold.check(tx)
    [(evict,)] = sql.fetch(EVICT, (hold.key,))
    unfinished = list(Run.objects.raw(UNFINISHED, [hold.key]))
    seen = frozenset((run.id, run.status, run.stop_requested_at is not None) for run in unfinished)
    found = Found(seen=seen, evict=evict is not None)
    for _, group in groupby(unfinished, key=lambda run: run.conversation_id):
        _take_up_conversation(tx, hold, driven, list(group), found)
    return found


def suspend_all(tx: Transaction, hold: runs.Hold, *, error: dict[str, str], detail: str) -> None:
    """The key's runs cannot be driven here; those that wait for people keep waiting."""
    for run in Run.objects.filter(key=hold.key, status__in=[Run.Status.QUEUED, Run.Status.RUNNING]):
        status = Run.Status.CANCELLED if run.stop_requested_at else Run.Status.SUSPENDED
        runs.end(tx, runs.Held(hold, run), status, error=error, detail=detail)


def _take_up_conversation(
    tx: Transaction, hold: runs.Hold, driven: Driven, unfinished: list[Run], found: Found
) -> None:
    """In the order of the messages; one at a time unless the workflow takes them in parallel."""
    active = False
    for run in unfinished:
        if run.stop_requested_at is not None:
            if run.id in driven.runs:
                found.stopping.append(run.id)
                active = True
            else:
                runs.end(tx, runs.Held(hold, run), Run.Status.CANCELLED)
        elif run.id in driven.runs or run.status == Run.Status.WAITING:
            active = True
        elif not active or _in_parallel(driven.conversation(run.conversation_id)):
            active = _start(tx, hold, driven, run, found) or active


def _in_parallel(conversation: Conversation) -> bool:
    try:
        return registry.get(conversation.workflow).policy == "parallel"
    except UnknownWorkflow:
        return False


def _start(tx: Transaction, hold: runs.Hold, driven: Driven, run: Run, found: Found) -> bool:
    if run.crashes >= MAX_CRASHES:
        message = (
            f"Its process died {run.crashes} times while it ran, without getting on in between. "
            "Mend the cause, then resume it in the admin."
        )
        runs.end(
            tx,
            runs.Held(hold, run),
            Run.Status.SUSPENDED,
            error={"code": "crashed", "message": message},
        )
        return False
    fresh = run.started_at is None
    journal = Journal({}) if fresh else Journal.load(run)
    run.crashes += run.id not in driven.blameless
    run.conversation = driven.conversation(run.conversation_id)
    run.generation = hold.generation
    run.started_at = run.started_at or tx.now
    taken = {
        "status": Run.Status.RUNNING.value,
        "crashes": run.crashes,
        "generation": run.generation,
        "started_at": run.started_at,
        "wake_at": None,
    }
    cut = None if fresh else _cut_text(run, journal)
    payload: dict[str, object] = {"status": Run.Status.RUNNING.value}
    if fresh:
        payload["trace_id"] = _trace_id(run)
    else:
        payload["replayed"] = journal.finished
    tx.append(run, Event.Type.RUN, payload)
    sql.update(Run, taken, id=run.id)
    found.started.append(Started(run, journal, cut))
    return True


def _trace_id(run: Run) -> str:
    """The trace that the run's context has too: that of its request, else one of its own."""
    request = RequestContext.of(RequestMetadata.of_stored(run.metadata))
    return f"{(request.trace or Trace.begin(str(run.id))).trace_id:032x}"


def _cut_text(run: Run, journal: Journal) -> CutText | None:
    events = Event.objects.filter(
        run=run,
        sequence__gt=journal.last_sequence,
        type__in=[Event.Type.TEXT, Event.Type.RESTART],
    ).order_by("sequence")
    pieces: list[str] = []
    first = 0
    for event in events:
        if event.type == Event.Type.RESTART:
            pieces, first = [], 0
        else:
            first = first or event.first_sequence
            pieces.append(event.payload["text"])
    return CutText(first, "".join(pieces)) if pieces else None
