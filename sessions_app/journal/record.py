"""The writing of a run's journal: an entry for each call, with the step that people see.

Callers have checked, in the same transaction, that their host still has the lease of the run's key.
"""

from sessions_app.journal.journal import ASK, Call, CallResult
from sessions_app.models import Event, Interaction, JournalEntry
from sessions_app.storage import sql
from sessions_app.storage.records import RunRecord, step_payload
from sessions_app.storage.storable import storable
from sessions_app.storage.transaction import Transaction

LAST_SEQUENCE = "SELECT last_sequence FROM sessions_app_conversation WHERE id = %s"


def begin(tx: Transaction, run: RunRecord, call: Call, title: str = "", **columns: object) -> int:
    """Record that a call began; return the sequence number of the log's last event."""
    sequence = _show(tx, run, call, title, "in_progress")
    _insert(tx, run, call, sequence=sequence, **columns)
    return sequence


def finish(tx: Transaction, run: RunRecord, call: Call, result: CallResult) -> None:
    """Record the result of a call: update the entry of its start, or insert an entry."""
    state = "failed" if result.error else "complete"
    sequence = _show(tx, run, call, result.title, state, result.payload)
    outcome = {
        "result": sql.Json(result.result),
        "error": storable(result.error),
        "finished_at": tx.now,
        "sequence": sequence,
    }
    if result.error:
        outcome["last_position"] = result.last_position
    if result.attempts > 1:
        outcome["attempts"] = result.attempts
    if not sql.update(JournalEntry, outcome, run_id=run.id, position=call.position):
        _insert(tx, run, call, **outcome)


def note_difference(run: RunRecord, call: Call, difference: str) -> None:
    """Record, for operators, how a call made by a replay differs from the recorded call."""
    model = Interaction if call.kind == ASK else JournalEntry
    sql.update(model, {"difference": difference}, run_id=run.id, position=call.position)


def _insert(tx: Transaction, run: RunRecord, call: Call, **columns: object) -> None:
    if call.place:
        columns["place"] = call.place
    sql.insert(
        JournalEntry,
        run_id=run.id,
        position=call.position,
        kind=call.kind,
        name=call.name,
        arguments=call.arguments,
        started_at=tx.now,
        **columns,
    )


def _show(
    tx: Transaction, run: RunRecord, call: Call, title: str, state: str, payload: str = ""
) -> int:
    """Append an event if the step has a title; return the sequence number of the last event."""
    if not title:
        [(sequence,)] = sql.fetch(LAST_SEQUENCE, (run.conversation_id,))
        return int(sequence)
    step = step_payload(run.id, call.position, title, state, payload)
    return tx.append(run, Event.Type.STEP.value, step)
