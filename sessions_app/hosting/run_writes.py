"""The writes of a run, made by its host.

Each write is one transaction, which first checks that the host still has the lease of the run's
key: the generation in the database must be the host's.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sessions_app.conversations import arrivals, child_runs
from sessions_app.conversations.child_runs import NewChild
from sessions_app.conversations.stops import stop_children
from sessions_app.errors import RunEnded
from sessions_app.hosting.lease import Lease, this_process
from sessions_app.interactions.assigning import ResolvedAssignment, assign
from sessions_app.interactions.audit import AuditedPrompt
from sessions_app.interactions.settlement import Settlement, find_interactions, set_running, settle
from sessions_app.journal import record
from sessions_app.journal.journal import Call, CallResult, is_wait, wait_id
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, HostLease, Interaction, JournalEntry, Run
from sessions_app.signals import pending_signals
from sessions_app.storage import sql
from sessions_app.storage.new_event import SEQUENCE, Changes, Insert, Update
from sessions_app.storage.records import RunRecord, step_payload
from sessions_app.storage.run_text import fold, pieces_of
from sessions_app.storage.storable import storable
from sessions_app.storage.transaction import Transaction

# Kinds of journal entries whose results come from outside the run; `wait_id` gives their ids.
WAITS = (JournalEntry.Kind.WAIT, JournalEntry.Kind.RUN)


class NewPrompt(NamedTuple):
    """A new prompt of an `ask`: its stored form, the interaction's id, and any candidates.

    `json` is the text of `prompt`.
    """

    call: Call
    prompt: JsonObject
    json: str
    interaction: UUID
    assignment: ResolvedAssignment | None


# Message that people see at a suspended run.
PAUSED = (
    "This is paused because its program was changed or has an error. Nothing is lost: it "
    "continues once that is fixed."
)

PENDING = "SELECT id FROM sessions_app_interaction WHERE run_id = %s AND status = 'pending'"


class LeasedRun:
    """A run under its host's lease. `fresh`: this is the first execution of the run."""

    def __init__(
        self, lease: Lease, run: RunRecord, *, crashes: int = 0, fresh: bool = False
    ) -> None:
        self.lease = lease
        self.run = run
        # Flags: True if the end of the run has to search for text in the log, pending interactions,
        # or child runs. (After a failed write, a flag may be true without need.)
        self.has_text = self.has_asked = self.has_children = not fresh
        # True if the run's row has a count of crashes, which the next progress must reset.
        self.suspect = crashes > 0
        self.is_over = False

    def check(self, tx: Transaction) -> RunRecord:
        """Return the run; raise `Fenced` if another host has the key."""
        self.lease.check(tx)
        return self.run

    def append(
        self, tx: Transaction, type_: Event.Type, payload: JsonObject, then: Changes = ()
    ) -> int:
        """Check the lease as `check` does, and append an event; see `Transaction.append`."""
        lease = (self.lease.key, self.lease.generation)
        return tx.append(self.run, type_.value, payload, lease=lease, then=then)

    def check_open(self, tx: Transaction) -> RunRecord:
        """Check the run before a wait as `check_going_on` and `check` do."""
        self.check_going_on()
        return self.check(tx)

    def check_going_on(self) -> None:
        """Raise `RunEnded` if the run is over.

        After the end of a run, nothing would end a new wait. When a call of a `gather` fails, the
        run may end while other calls of the `gather` are about to begin.
        """
        if self.is_over:
            raise RunEnded

    def reset_crashes(self, tx: Transaction) -> None:
        """Reset the count of the run's crashes, because the run has made progress."""
        if self.suspect:
            tx.lock(self.run.conversation_id)
            sql.update(Run, {"crashes": 0}, id=self.run.id)
            tx.after_commit.append(self._clear_suspicion)

    def note_wait(
        self, tx: Transaction, *, only_waits: bool, wake_at: datetime | None = None
    ) -> None:
        """Store that a wait began, and reset the count of crashes, because a wait is progress.

        Each of several answers may resume the run, and each execution counts as a crash until the
        run makes progress.

        `only_waits`: no other call or coroutine of the run is active, so the run only waits.
        """
        if not only_waits:
            self.reset_crashes(tx)
            return
        change = self.wait_change(tx, wake_at)
        sql.update(change.model, change.values, **change.where)

    def wait_change(self, tx: Transaction, wake_at: datetime | None = None) -> Update:
        """Return the change of the run that only waits from now on; see `note_wait`."""
        tx.after_commit.append(self._clear_suspicion)
        columns = {"status": Run.Status.WAITING.value, "wake_at": wake_at, "crashes": 0}
        return Update(Run, columns, {"id": self.run.id})

    def _clear_suspicion(self) -> None:
        self.suspect = False


def append_text(tx: Transaction, leased_run: LeasedRun, text: str) -> int:
    """Append a piece of output text to the event log; return the event's sequence number."""
    leased_run.has_text = True
    return leased_run.append(tx, Event.Type.TEXT, {"text": text})


def restart_text(tx: Transaction, leased_run: LeasedRun, *, from_sequence: int) -> None:
    """Append a `restart` event: later text replaces all text from a sequence number on."""
    leased_run.append(tx, Event.Type.RESTART, {"from_sequence": from_sequence})


def begin_step(tx: Transaction, leased_run: LeasedRun, call: Call, title: str) -> None:
    """Record the start of a visible or streamed step; other steps are recorded at their end."""
    record.begin(tx, leased_run.check(tx), call, title)


def show_part(
    tx: Transaction,
    leased_run: LeasedRun,
    call: Call,
    *,
    number: int,
    title: str,
    payload: str | None,
) -> None:
    """Append an event that shows a part of a call as a step: begun, or complete with a payload."""
    state = "in_progress" if payload is None else "complete"
    step = step_payload(leased_run.run.id, call.position, title, state, payload or "")
    step["step_id"] = f"{step['step_id']}:{number}"
    leased_run.append(tx, Event.Type.STEP, step)


def finish_call(tx: Transaction, leased_run: LeasedRun, call: Call, result: CallResult) -> None:
    """Record the result of a call."""
    run = leased_run.check(tx)
    record.finish(tx, run, call, result)
    leased_run.reset_crashes(tx)


def open_interactions(
    tx: Transaction,
    leased_run: LeasedRun,
    prompts: list[NewPrompt],
    *,
    only_waits: bool,
) -> None:
    """Insert the interaction and the event of each prompt.

    `only_waits`: no other call or coroutine of the run is active, so the run only waits for people.
    """
    leased_run.check_going_on()
    run = leased_run.run
    leased_run.has_asked = True
    for number, (call, prompt, json, interaction_id, assignment) in enumerate(prompts, 1):
        timeout = prompt["timeout"]
        expires_at = tx.now + timedelta(seconds=timeout) if timeout else None
        payload: JsonObject = {
            "interaction_id": str(interaction_id),
            "prompt": prompt,
            "expires_at": expires_at.isoformat() if expires_at else None,
            "version": 1,
        }
        if run.parent is not None:
            payload["parent"] = str(run.parent.run)
        type_, columns = Event.Type.INTERACTION, JsonObject()
        if call.place:
            columns["place"] = call.place
        if assignment is not None:
            payload["to"] = assignment.candidates.names
            columns |= assignment.columns(tx.now)
            if not assignment.for_owner:
                type_ = Event.Type.ASSIGNMENT
        columns |= {
            "id": interaction_id,
            "run_id": run.id,
            "conversation_id": run.conversation_id,
            "position": call.position,
            "sequence": SEQUENCE,
            "prompt": json,
            "name": call.name,
            "status": Interaction.Status.PENDING.value,
            "version": 1,
            "created_at": tx.now,
            "expires_at": expires_at,
            "answered_via": "",
            "answer_id": "",
        }
        then: list[Insert | Update] = [Insert(Interaction, columns)]
        if only_waits and number == len(prompts):
            then.append(leased_run.wait_change(tx))
        leased_run.append(tx, type_, payload, then)
        if assignment is not None:
            workflow = leased_run.lease.key.workflow
            assign(tx, assignment, AuditedPrompt(interaction_id, run.id, workflow, prompt))
        pending_signals.add(tx, "interaction_opened", run.id, interaction_id)
    if not only_waits:
        leased_run.reset_crashes(tx)


def note_difference(tx: Transaction, leased_run: LeasedRun, call: Call, difference: str) -> None:
    """Record how a call made by a replay differs from the recorded call."""
    record.note_difference(leased_run.check(tx), call, difference)


def patch(tx: Transaction, leased_run: LeasedRun, patches: dict[str, int]) -> None:
    """Store which changes of its code the run uses, each from which number of calls on."""
    run = leased_run.check(tx)
    tx.lock(run.conversation_id)
    sql.update(Run, {"patches": patches}, id=run.id)


def begin_sleep(
    tx: Transaction, leased_run: LeasedRun, call: Call, *, until: datetime, only_waits: bool
) -> None:
    """Record a durable sleep with its end. `only_waits` as in `open_interactions`."""
    run = leased_run.check_open(tx)
    record.begin(tx, run, call, result=sql.Json(until.isoformat()), finished_at=tx.now)
    leased_run.note_wait(tx, only_waits=only_waits, wake_at=until)


def begin_wait(
    tx: Transaction, leased_run: LeasedRun, call: Call, *, until: datetime | None, only_waits: bool
) -> CallResult | None:
    """Record a wait for data from outside (an arrival), or return data that came before the wait.

    `only_waits` as in `open_interactions`.
    """
    run = leased_run.check_open(tx)
    if (arrival := arrivals.consume(tx, run, call)) is not None:
        finish_call(tx, leased_run, call, arrival)
        return arrival
    record.begin(tx, run, call, result=sql.Json(until and until.isoformat()))
    leased_run.note_wait(tx, only_waits=only_waits, wake_at=until)
    return None


def begin_child(
    tx: Transaction,
    leased_run: LeasedRun,
    call: Call,
    child: NewChild,
    *,
    until: datetime | None,
    only_waits: bool,
) -> CallResult | None:
    """Begin a child run, and record that the parent waits; see `open_interactions`.

    If a limit refuses the child, record and return this failure of the call.
    """
    run = leased_run.check_open(tx)
    place = child_runs.find_place(run, child)
    if isinstance(place, CallResult):
        refusal = replace(place, title=child.title, last_position=call.position)
        finish_call(tx, leased_run, call, refusal)
        return refusal
    leased_run.has_children = True
    result = sql.Json(child.journal_record(until))
    sequence = record.begin(tx, run, call, child.title, result=result)
    leased_run.note_wait(tx, only_waits=only_waits, wake_at=until)
    child_runs.begin(tx, run, call, child, place, sequence)
    return None


def mark_waiting(
    tx: Transaction, leased_run: LeasedRun, *, waits_for: set[UUID], wake_at: datetime | None
) -> None:
    """Store that the run only waits: it needs no host until an answer or the end of a sleep.

    If one of the awaited answers is already stored, the run keeps its status `running`.
    """
    run = leased_run.check_open(tx)
    tx.lock(run.conversation_id)  # waits until concurrent writes of answers are committed
    pending = {sql.read_uuid(row[0]) for row in sql.fetch(PENDING, (run.id,))}
    if any(map(is_wait, waits_for)):
        open_waits = JournalEntry.objects.filter(run_id=run.id, kind__in=WAITS, finished_at=None)
        positions = open_waits.values_list("position", flat=True)
        pending |= {wait_id(run.id, position) for position in positions}
    leased_run.note_wait(tx, only_waits=waits_for <= pending, wake_at=wake_at)


def mark_awake(tx: Transaction, leased_run: LeasedRun) -> None:
    """Store that the sleep is over, and the run works again."""
    run = leased_run.check(tx)
    tx.lock(run.conversation_id)
    set_running(run.id)


def clean_up(tx: Transaction, leased_run: LeasedRun, *, stop: JsonObject) -> None:
    """Store the point in the journal after which a stopped run cleans up; end all open waits."""
    run = leased_run.check(tx)
    tx.lock(run.conversation_id)
    sql.update(Run, {"stop_point": stop}, id=run.id)
    # Delete open waits, so that they take no arrival for which the clean-up code may wait.
    JournalEntry.objects.filter(
        run_id=run.id, kind=JournalEntry.Kind.WAIT, finished_at=None
    ).delete()
    _cancel_pending(tx, run)


def _cancel_pending(tx: Transaction, run: RunRecord) -> None:
    for (pending,) in sql.fetch(PENDING, (run.id,)):
        for interaction in find_interactions(interaction=sql.read_uuid(pending)):
            settle(tx, interaction, Settlement(Interaction.Status.CANCELLED, via="run"))


def end(  # noqa: PLR0913 - all facts of the end, for one transaction
    tx: Transaction,
    leased_run: LeasedRun,
    status: Run.Status,
    *,
    text: str = "",
    error: dict[str, str] | None = None,
    detail: str = "",
    return_value: child_runs.ReturnValue | None = None,
) -> None:
    """End (or suspend) the run, and store the last piece of its output text.

    At an end, open interactions are cancelled, child runs are stopped, the text's events are
    merged, and the parent run gets `return_value`. A suspended run keeps everything, as it may
    continue. People see `error`; operators also see `detail`.
    """
    run = leased_run.run
    final = status in Run.FINISHED
    if final and leased_run.has_asked:
        leased_run.check(tx)
        _cancel_pending(tx, run)
    is_folded = final and not leased_run.has_text
    for piece in pieces_of(text):
        if is_folded:  # the run has no other text with which the piece must be joined
            leased_run.append(tx, Event.Type.MESSAGE, {"text": piece, "lengths": [len(piece)]})
        else:
            append_text(tx, leased_run, piece)
    payload: JsonObject = {"status": status.value}
    if error is not None:
        payload["error"] = error
    if run.parent is not None:
        payload["parent"] = str(run.parent.run)
    outcome: JsonObject = {
        "status": status.value,
        "error": storable({**error, "detail": detail} if error and detail else error),
        "wake_at": None,
        "replay_problem": "",
        "finished_at": tx.now if final else None,
        # Reset the count of crashes: code that ended, even by an exception, did not crash.
        **({"crashes": 0} if leased_run.suspect else {}),
    }
    leased_run.append(tx, Event.Type.RUN, payload, [Update(Run, outcome, {"id": run.id})])
    leased_run.is_over = True
    if not final:
        return
    pending_signals.add(tx, "run_finished", run.id)
    if not is_folded:
        fold(run.id, run.conversation_id)
    if leased_run.has_children:
        stop_children(tx, run.id)
    if run.parent is not None:
        reason = error["message"] if error else ""
        child_runs.end(tx, run, run.parent, status, return_value, reason)


def block(tx: Transaction, leased_run: LeasedRun, *, stack: str) -> None:
    """Suspend a run that blocks its process, and reset the crash counts of other runs there.

    Another process may take over the runs of the blocked process, and count a crash for each.
    """
    run = leased_run.check(tx)
    tx.lock(run.conversation_id)
    if not Run.objects.filter(pk=run.id, status__in=Run.UNFINISHED).exists():
        return
    message = (
        "It blocked everything else in its process. Once that is fixed, an operator can resume it."
    )
    detail = (
        "It held up the event loop for longer than MAX_BLOCKING. Have a step do what takes long: "
        f"a plain function is called in a thread there. This was being executed:\n{stack[-7500:]}"
    )
    error = {"code": "blocked", "message": message}
    end(tx, leased_run, Run.Status.SUSPENDED, error=error, detail=detail)
    leases = HostLease.objects.filter(worker=this_process(), released_at=None)
    runs = Run.objects.filter(key__in=leases.values("key"), status=Run.Status.RUNNING)
    runs.filter(crashes__gt=0).update(crashes=0)
