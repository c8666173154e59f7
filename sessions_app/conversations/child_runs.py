"""Child runs, inserted with an entry in the parent's journal that gets the child's outcome.

Each function first locks the conversation, which parent and child share.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from sessions_app.conversations.messages import IncomingMessage, insert_run
from sessions_app.conversations.stops import request_stop
from sessions_app.errors import TooManyRuns
from sessions_app.interactions.settlement import resume_wait, set_running
from sessions_app.journal.journal import Call, CallResult, last_positions
from sessions_app.journal.tracks import track_of
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, JournalEntry, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.models.people import UserId
from sessions_app.notify.announce import announce
from sessions_app.storage.lineage import Place, next_place
from sessions_app.storage.records import ParentCall, RunRecord, step_payload
from sessions_app.storage.run_text import text_of
from sessions_app.storage.transaction import Transaction

RUN = JournalEntry.Kind.RUN


@dataclass(frozen=True, slots=True)
class NewChild:
    """A child run to insert; if it has a title, people see a step of the parent."""

    id: UUID
    key: HostKey
    message: IncomingMessage
    title: str
    owner: UserId

    def journal_record(self, until: datetime | None) -> JsonObject:
        """Return the content of the parent's journal entry while the child is running."""
        until_text = until and until.isoformat()
        return {"run": str(self.id), "title": self.title, "until": until_text}


@dataclass(frozen=True, slots=True)
class ReturnValue:
    """A child workflow's return value as JSON; a streaming child has none, and returns its text."""

    value: object


def find_place(parent: RunRecord, child: NewChild) -> Place | CallResult:
    """Return the place of a new child in its line, or the failure of the call if it has none."""
    try:
        return next_place(parent.id, child.owner)
    except TooManyRuns as error:
        return CallResult(error={"type": "refused", "message": str(error)})


def begin(
    tx: Transaction, parent: RunRecord, call: Call, child: NewChild, place: Place, sequence: int
) -> None:
    """Insert a child run, with a sequence number of the log as its order, and wake its host."""
    run = RunRecord(
        child.id,
        parent.conversation_id,
        child.message.message_id,
        parent.client_format,
        ParentCall(parent.id, call.position),
    )
    insert_run(tx, run, child.key, sequence, child.message, place.columns)
    announce(tx, child.key)


def end(
    tx: Transaction,
    child: RunRecord,
    call: ParentCall,
    status: Run.Status,
    return_value: ReturnValue | None,
    reason: str,
) -> None:
    """Record the result of a finished child for the parent's call, and let the parent continue."""
    parent = Run.objects.get(pk=call.run)
    if parent.status in Run.FINISHED or _is_cut(parent, call):
        return
    entry = _open(call.run, call.position).filter(result__run=str(child.id)).first()
    if entry is None:
        return
    result = error = None
    if status == Run.Status.COMPLETED:
        result = text_of(child.id) if return_value is None else return_value.value
    else:
        error = {"type": status.value, "message": reason}
    _finish(tx, parent, entry, result, error)
    resume_wait(tx, parent, entry.position, result, error)


def _is_cut(parent: Run, call: ParentCall) -> bool:
    """Return whether a stop of the parent ends this call, so that the child's outcome is ignored.

    The stop of the parent also stops the child. If the child ends first, the parent must not handle
    this as a failure. Calls of the parent's clean-up code do wait for their children.
    """
    stop = parent.stop_point
    begun_before = stop is None or call.position <= stop["position"]
    return parent.stop_requested_at is not None and begun_before


def expire(tx: Transaction, parent: RunRecord, call: Call) -> CallResult:
    """End a call after its timeout; return the outcome, as the child may have just ended before."""
    tx.lock(parent.conversation_id)
    entry = _open(parent.id, call.position).first()
    if entry is None:
        finished_entry = JournalEntry.objects.get(run_id=parent.id, position=call.position)
        return CallResult(finished_entry.result, finished_entry.error)
    child_record: Any = entry.result
    child = Run.objects.get(pk=child_record["run"])
    error = {"type": "timeout", "message": "It took longer than its timeout."}
    _finish(tx, Run.objects.get(pk=parent.id), entry, None, error)
    set_running(parent.id)
    request_stop(tx, child)
    return CallResult(error=error)


def _open(run: UUID, position: int) -> "QuerySet[JournalEntry]":
    return JournalEntry.objects.filter(run_id=run, position=position, kind=RUN, finished_at=None)


def _finish(
    tx: Transaction, parent: Run, entry: JournalEntry, result: object, error: dict[str, str] | None
) -> None:
    child_record: Any = entry.result  # a dict made by `NewChild.journal_record`
    if title := child_record["title"]:
        state, payload = ("failed", error["message"]) if error else ("complete", "")
        step = step_payload(parent.id, entry.position, title, state, payload)
        tx.append(parent, Event.Type.STEP.value, step)
    entry.result, entry.error, entry.finished_at = result, error, tx.now
    track = track_of(entry.place)
    entry.last_position = last_positions(parent.id)[track] if error else None
    entry.save(update_fields=["result", "error", "finished_at", "last_position"])
