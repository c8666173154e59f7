"""The selection of the runs of a host key, i.e. a user or a conversation, to start or to stop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Max, Q

from sessions_app.errors import UnknownVersion
from sessions_app.hosting import run_writes
from sessions_app.hosting.lease import Lease
from sessions_app.hosting.needing_host import has_turn
from sessions_app.hosting.run_writes import LeasedRun
from sessions_app.journal.journal import Journal
from sessions_app.journal.stop_point import StopPoint
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import Conversation, Event, Run
from sessions_app.models.people import Person
from sessions_app.storage import sql
from sessions_app.storage.new_event import Update
from sessions_app.storage.records import ParentCall, RunRecord
from sessions_app.storage.run_text import join, kept_pieces
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import registry

log = Log(__name__)

# Number of crashes, without progress in between, at which a run is suspended. A healthy run may be
# killed a few times in a row, as by an operator or a machine that runs out of memory.
MAX_CRASHES = 5

# Maximum of runs that one selection starts or ends, and of queued runs that its query reads, as a
# host key may have a thousand. The query also reads one run that may not start yet, so that the
# host knows of later work.
AT_ONCE = 16
UNFINISHED = """
    SELECT has_turn, r.id, conversation_id, message_id, client_format, r.status,
           stop_requested_at IS NOT NULL, crashes, started_at, text, metadata, version, patches,
           stop_point, parent_id, parent_position
    FROM (
        SELECT alive.*, ROW_NUMBER() OVER (PARTITION BY has_turn, status ORDER BY sequence) AS nth
        FROM (
            SELECT id, status, sequence, {has_turn} AS has_turn FROM sessions_app_run
            WHERE key = %s AND status IN ('queued', 'running', 'waiting', 'suspended')
        ) AS alive
    ) AS unfinished
    JOIN sessions_app_run r ON r.id = unfinished.id
    WHERE r.status <> 'queued' AND has_turn
    OR r.status = 'queued' AND nth <= CASE WHEN has_turn THEN %s ELSE 1 END
    ORDER BY conversation_id, r.status = 'queued', r.sequence
"""


class UnfinishedRun(NamedTuple):
    """An unfinished run as read from the database; `stop`: a stop was requested."""

    has_turn: bool
    record: RunRecord
    status: str
    stop: bool
    crashes: int
    started_at: datetime | None
    text: str
    metadata: JsonObject
    version: int | None
    patches: dict[str, int] | None
    stop_point: JsonObject | None


@dataclass(frozen=True, slots=True)
class CutText:
    """Output text that an interrupted execution stored after the run's last journal entry."""

    from_sequence: int
    text: str


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """The facts of a conversation that a host needs; all are immutable."""

    conversation_id: str
    workflow: str
    owner: Person


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that the host has to execute now. `metadata` comes from the request that began the run;
    `stop` is the stop point of a stopped run.
    """

    leased_run: LeasedRun
    conversation: ConversationRecord
    text: str
    metadata: JsonObject
    version: int
    journal: Journal
    cut: CutText | None
    stop: StopPoint | None = None

    @property
    def run(self) -> RunRecord:
        """The run as fields of a structlog entry."""
        return self.leased_run.run


# A run as a query finds it: id, status, and whether a stop was requested.
RunSighting = tuple[UUID, str, bool]


@dataclass(slots=True)
class Selection:
    """The runs of a host key to start and to stop, and whether more are waiting."""

    started: list[StartedRun] = field(default_factory=list)
    stopping: list[UUID] = field(default_factory=list)
    seen: frozenset[RunSighting] = frozenset()
    # True if more runs may be ready to start: the host selects again.
    more: bool = False
    # True if a run stays queued, because the run must wait for other runs.
    has_later_runs: bool = False
    # True if an operator asked to evict the builder.
    evict: bool = False
    # Workflow of the host's key. A child run's workflow may differ from its conversation's.
    workflow: str = ""
    conversations: dict[UUID, ConversationRecord] = field(default_factory=dict)

    def conversation(self, key: UUID) -> ConversationRecord:
        """Return the conversation; read the row at the first use."""
        if key not in self.conversations:
            row = Conversation.objects.select_related("owner").get(pk=key)
            owner = Person.of(row.owner)
            self.conversations[key] = ConversationRecord(row.conversation_id, self.workflow, owner)
        return self.conversations[key]


@dataclass(frozen=True, slots=True)
class DrivenRuns:
    """The runs of a host at the time of a selection.

    `runs` are in memory now; `excused` were in memory when the database failed, which is not their
    crash; `conversations` have been read before.
    """

    runs: frozenset[UUID]
    excused: frozenset[UUID]
    conversations: Mapping[UUID, ConversationRecord]


def select_runs(tx: Transaction, lease: Lease, driven_runs: DrivenRuns) -> Selection:
    """Read the unfinished runs of the key, and start the runs whose turn has come."""
    evict = lease.check(tx)
    condition, one_by_one = has_turn()
    values = (*one_by_one, lease.key, AT_ONCE)
    query = UNFINISHED.format(has_turn=condition)
    unfinished = [_read(*row) for row in sql.fetch(query, values)]
    in_turn = [run for run in unfinished if run.has_turn]
    selection = Selection(
        seen=frozenset((run.record.id, run.status, run.stop) for run in in_turn),
        has_later_runs=len(in_turn) < len(unfinished),
        evict=evict,
        workflow=lease.key.workflow,
        conversations=dict(driven_runs.conversations),
    )
    driven = driven_runs.runs
    selection.stopping += [run.record.id for run in in_turn if run.stop and run.record.id in driven]
    new_runs = [run for run in in_turn if run.record.id not in driven]
    for run in new_runs[:AT_ONCE]:
        _start_or_end(tx, lease, driven_runs, run, selection)
    selection.more = selection.more or len(new_runs) >= AT_ONCE
    return selection


def _read(
    has_turn: Any, run: Any, conversation: Any, message_id: str, client_format: str, *row: Any
) -> UnfinishedRun:
    status, stop, crashes, started_at, text, metadata, version, patches, point, *call = row
    parent = None if call[0] is None else ParentCall(sql.read_uuid(call[0]), call[1])
    record = RunRecord(
        sql.read_uuid(run), sql.read_uuid(conversation), message_id, client_format, parent
    )
    return UnfinishedRun(
        bool(has_turn),
        record,
        status,
        bool(stop),
        crashes,
        sql.read_time(started_at),
        text,
        sql.read_json(metadata),
        version,
        sql.read_json(patches),
        sql.read_json(point),
    )


def suspend_all(tx: Transaction, lease: Lease, *, error: dict[str, str], detail: str) -> None:
    """Suspend the host key's runs, which this process cannot execute. Runs that wait for people
    keep waiting; runs with a stop request end, as there is no code that could clean up.
    """
    to_stop = Q(status__in=[*Run.UNFINISHED, Run.Status.SUSPENDED], stop_requested_at__isnull=False)
    in_hand = Q(status__in=[Run.Status.QUEUED, Run.Status.RUNNING])
    for row in Run.objects.filter(in_hand | to_stop, key=lease.key):
        parent = ParentCall(row.parent_id, row.parent_position or 0) if row.parent_id else None
        run = RunRecord(row.id, row.conversation_id, row.message_id, row.client_format, parent)
        status = Run.Status.CANCELLED if row.stop_requested_at else Run.Status.SUSPENDED
        run_writes.end(tx, LeasedRun(lease, run), status, error=error, detail=detail)


def _start_or_end(
    tx: Transaction, lease: Lease, driven_runs: DrivenRuns, run: UnfinishedRun, selection: Selection
) -> None:
    """Start or end a run that needs a host; if the run ends, request another selection."""
    if run.stop and (run.started_at is None or run.status == Run.Status.SUSPENDED):
        run_writes.end(tx, LeasedRun(lease, run.record), Run.Status.CANCELLED)
        selection.more = True
    else:  # a run to be stopped is executed, too, if it has begun: its code may have to clean up
        _start(tx, lease, driven_runs, run, selection)


def _start(
    tx: Transaction, lease: Lease, driven_runs: DrivenRuns, run: UnfinishedRun, selection: Selection
) -> None:
    if (crashes := _count_crashes(run)) >= MAX_CRASHES:
        detail = (
            f"Its process died, or the database failed its code, {crashes} times while it ran, "
            "without getting on in between. Fix the cause, then resume it."
        )
        _suspend(tx, LeasedRun(lease, run.record), "crashed", detail)
        selection.more = True
        return
    fresh = run.started_at is None
    conversation = selection.conversation(run.record.conversation_id)
    workflow = registry.get(conversation.workflow).workflow
    try:
        if not fresh:
            workflow = workflow.of_version(run.version or 1)
    except UnknownVersion as error:
        _suspend(tx, LeasedRun(lease, run.record), type(error).__name__, str(error))
        selection.more = True
        return
    journal = Journal({}) if fresh else Journal.load(run.record.id, run.patches)
    # This execution counts as a crash until the run makes progress.
    crashes = max(crashes + (run.record.id not in driven_runs.excused), 1)
    columns = {
        "status": Run.Status.RUNNING.value,
        "crashes": crashes,
        "generation": lease.generation,
        "started_at": run.started_at or tx.now,
        "wake_at": None,
        "version": workflow.version,
    }
    cut = None if fresh else _cut_text(run.record.id, journal)
    payload: dict[str, object] = {"status": Run.Status.RUNNING.value}
    if fresh or run.status == Run.Status.QUEUED:
        payload["trace_id"] = run.metadata.get("trace_id", "")
    if not fresh:
        payload["replayed"] = journal.finished_calls
    leased_run = LeasedRun(lease, run.record, crashes=crashes, fresh=fresh)
    leased_run.append(tx, Event.Type.RUN, payload, [Update(Run, columns, {"id": run.record.id})])
    stop = StopPoint.behind(journal, 0, {}) if run.stop else None
    if run.stop and run.stop_point is not None:
        stop = StopPoint.model_validate(run.stop_point)
    selection.started.append(
        StartedRun(
            leased_run, conversation, run.text, run.metadata, workflow.version, journal, cut, stop
        )
    )


def _suspend(tx: Transaction, leased_run: LeasedRun, code: str, detail: str) -> None:
    """Suspend the run: people see the message `PAUSED`; operators and the log get `detail`."""
    error = {"code": code, "message": run_writes.PAUSED}
    run_writes.end(tx, leased_run, Run.Status.SUSPENDED, error=error, detail=detail)
    tell = partial(log.error, "run.suspended", run=str(leased_run.run.id), error=detail)
    tx.after_commit.append(tell)


def _count_crashes(run: UnfinishedRun) -> int:
    """Return the number of crashes since the run last made progress. Output text of the last
    execution is progress, too, unless this text replaced the text of an earlier execution.
    """
    if not run.crashes:
        return 0
    events = Event.objects.filter(run=run.record.id)
    begun = events.filter(type=Event.Type.RUN).aggregate(last=Max("sequence"))["last"] or 0
    types = set(events.filter(sequence__gt=begun).values_list("type", flat=True).distinct())
    has_got_on = Event.Type.TEXT in types and Event.Type.RESTART not in types
    return 0 if has_got_on else run.crashes


def _cut_text(run: UUID, journal: Journal) -> CutText | None:
    rows = Event.objects.filter(
        run=run,
        sequence__gt=journal.last_sequence,
        type__in=[Event.Type.TEXT, Event.Type.RESTART],
    ).order_by("sequence")
    pieces = kept_pieces(rows.values_list("type", "first_sequence", "sequence", "payload"))
    return CutText(pieces[0].sequence, join(pieces)["text"]) if pieces else None
