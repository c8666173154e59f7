"""The arrivals (data from other systems for a run): stored when sent, taken when the run waits.

Sending and taking both lock the conversation first, so that no arrival is missed.
"""

from uuid import UUID

from sessions_app.conversations.stops import find_run
from sessions_app.errors import NothingCame
from sessions_app.interactions.answers import Outcome
from sessions_app.interactions.settlement import resume_wait, set_running
from sessions_app.journal.journal import Call, CallResult
from sessions_app.models import Arrival, JournalEntry, Run
from sessions_app.storage.records import RunRecord
from sessions_app.storage.transaction import Transaction

WAIT = JournalEntry.Kind.WAIT


def send(tx: Transaction, run_id: UUID, name: str, payload: object, sent_id: str) -> Outcome:
    """Store an arrival, and wake the run if it waits for that name; see `runs.send`.

    Raises:
        NotFound: there is no such run.
    """
    run = find_run(run_id)
    tx.lock(run.conversation_id)
    run.refresh_from_db()
    if Arrival.objects.filter(run=run, sent_id=sent_id).exists():
        return Outcome.DUPLICATE
    if run.status in Run.FINISHED:
        return Outcome.STALE
    waits = JournalEntry.objects.filter(run=run, kind=WAIT, name=name, finished_at=None)
    wait = waits.order_by("position").first()
    arrival = Arrival(run=run, sent_id=sent_id, name=name, payload=payload, created_at=tx.now)
    arrival.position = wait.position if wait else None
    arrival.save(force_insert=True)
    if wait is not None:
        waits.filter(pk=wait.pk).update(result=payload, finished_at=tx.now)
        resume_wait(tx, run, wait.position, payload)
    return Outcome.ACCEPTED


def consume(tx: Transaction, run: RunRecord, call: Call) -> CallResult | None:
    """Take the first stored arrival for the call's name; return its result, or None without one."""
    tx.lock(run.conversation_id)
    came = Arrival.objects.filter(run_id=run.id, name=call.name, position=None)
    first = came.order_by("pk").first()
    if first is None:
        return None
    came.filter(pk=first.pk).update(position=call.position)
    return CallResult(first.payload)


def expire(tx: Transaction, run: RunRecord, call: Call) -> CallResult:
    """End a wait after its timeout, and return the outcome; data may have arrived just before."""
    tx.lock(run.conversation_id)
    entries = JournalEntry.objects.filter(run_id=run.id, position=call.position)
    error = {"type": NothingCame.__name__, "message": str(NothingCame(call.name))}
    if entries.filter(finished_at=None).update(result=None, error=error, finished_at=tx.now):
        set_running(run.id)
        return CallResult(error=error)
    entry = entries.get()
    return CallResult(entry.result, entry.error)
