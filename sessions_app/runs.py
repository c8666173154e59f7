"""The writes of a run, made by its host.

Each is one transaction, and fenced by the generation of the host's key.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from sessions_app.event_log import Transaction, sql
from sessions_app.event_log.fold import fold
from sessions_app.interactive import AnyPrompt
from sessions_app.journal import Call, Record
from sessions_app.models import Event, Interaction, JournalEntry, Run
from sessions_app.questions import Settlement, find_questions, settle, to_the_system

PENDING = "SELECT id FROM sessions_app_interaction WHERE run_id = %s AND status = 'pending'"
LAST_SEQUENCE = "SELECT last_sequence FROM sessions_app_conversation WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Hold:
    """A host's claim on its key."""

    key: str
    generation: int

    def check(self, tx: Transaction) -> None:
        """Raise `Fenced` where another host has the key now."""
        tx.check_fence(self.key, self.generation)


@dataclass(frozen=True, slots=True)
class Held:
    """A run in the hands of its host."""

    hold: Hold
    run: Run

    def check(self, tx: Transaction) -> Run:
        """The run, if its host is still the host."""
        self.hold.check(tx)
        return self.run


def append_text(tx: Transaction, held: Held, text: str) -> int:
    """A piece of output."""
    run = held.check(tx)
    return tx.append(run, Event.Type.TEXT.value, {"text": text})


def restart_text(tx: Transaction, held: Held, *, from_sequence: int) -> int:
    """The run's text from that sequence on was cut, and is begun anew."""
    run = held.check(tx)
    return tx.append(run, Event.Type.RESTART.value, {"from_sequence": from_sequence})


def begin_step(tx: Transaction, held: Held, call: Call, title: str) -> None:
    """A step that people see has begun. Only seen ones are recorded before they end."""
    run = held.check(tx)
    sequence = tx.append(run, Event.Type.STEP.value, _step(run, call, title, "in_progress", ""))
    _begin(tx, run, call, sequence=sequence)


def finish_call(tx: Transaction, held: Held, call: Call, record: Record) -> None:
    """Record what a call came to."""
    run = held.check(tx)
    if record.title:
        state = "failed" if record.error else "complete"
        step = _step(run, call, record.title, state, record.payload)
        sequence = tx.append(run, Event.Type.STEP.value, step)
    else:
        sequence = _last_sequence(run)
    outcome = {
        "result": sql.Json(record.result),
        "error": record.error,
        "finished_at": tx.now,
        "sequence": sequence,
    }
    if not sql.update(JournalEntry, outcome, run_id=run.id, position=call.position):
        _begin(tx, run, call, **outcome)
    _progressed(tx, run)


def _progressed(tx: Transaction, run: Run) -> None:
    if run.crashes:
        tx.lock(run.conversation_id)
        sql.update(Run, {"crashes": 0}, id=run.id)
        run.crashes = 0


def open_interactions(
    tx: Transaction,
    held: Held,
    asked: list[tuple[Call, AnyPrompt, UUID]],
    *,
    alone: bool,
) -> None:
    """Ask: interaction, journal entry and event of each question.

    `alone`: the run does nothing else meanwhile, so it is a person's turn.
    """
    run = held.check(tx)
    for call, prompt, interaction_id in asked:
        expires_at = tx.now + timedelta(seconds=prompt.timeout) if prompt.timeout else None
        stored = prompt.model_dump(mode="json")
        sequence = tx.append(
            run,
            Event.Type.INTERACTION.value,
            {
                "interaction_id": str(interaction_id),
                "prompt": stored,
                "expires_at": expires_at.isoformat() if expires_at else None,
                "version": 1,
            },
        )
        _begin(tx, run, call, sequence=sequence)
        sql.insert(
            Interaction,
            id=interaction_id,
            run_id=run.id,
            conversation_id=run.conversation_id,
            position=call.position,
            sequence=sequence,
            prompt=stored,
            status=Interaction.Status.PENDING.value,
            version=1,
            created_at=tx.now,
            expires_at=expires_at,
            answered_via="",
            answer_id="",
        )
    if alone:
        _wait(run)
    else:
        _progressed(tx, run)


def begin_sleep(tx: Transaction, held: Held, call: Call, *, until: datetime, alone: bool) -> None:
    """A durable sleep: its end is journaled. `alone` as for `open_interactions`."""
    run = held.check(tx)
    outcome = {"result": sql.Json(until.isoformat()), "finished_at": tx.now}
    _begin(tx, run, call, sequence=_last_sequence(run), **outcome)
    if alone:
        _wait(run, until)
    else:
        _progressed(tx, run)


def rest(tx: Transaction, held: Held, *, waits_for: set[UUID], wake_at: datetime | None) -> None:
    """The run is parked: nothing has to host it until an answer, or the end of a sleep.

    Unless an answer came meanwhile: then it is the system's turn, and stays so.
    """
    run = held.check(tx)
    tx.lock(run.conversation_id)  # an answer that is being written is to be seen
    pending = {row[0] for row in sql.fetch(PENDING, (run.id,))}
    if {sql.adapt(one) for one in waits_for} <= pending:
        _wait(run, wake_at)
    else:
        _progressed(tx, run)


def awake(tx: Transaction, held: Held) -> None:
    """The sleep is over: it is the system's turn again."""
    run = held.check(tx)
    tx.lock(run.conversation_id)
    to_the_system(run.id)


def release(tx: Transaction, hold: Hold, run_ids: Iterable[UUID]) -> None:
    """The host stops in good order while these run: that is no crash of theirs."""
    hold.check(tx)
    Run.objects.filter(pk__in=list(run_ids), crashes__gt=0).update(crashes=F("crashes") - 1)


def end(
    tx: Transaction,
    held: Held,
    status: Run.Status,
    *,
    error: dict[str, str] | None = None,
    detail: str = "",
) -> None:
    """The run is over (or suspended): its open interactions are cancelled and its text folded.

    A suspended run keeps both: it may go on. People see `error`; operators also `detail`.
    """
    run = held.check(tx)
    final = status in Run.FINISHED
    if final:
        for (interaction,) in sql.fetch(PENDING, (run.id,)):
            for question in find_questions(interaction=sql.read_uuid(interaction)):
                settle(tx, question, Settlement(Interaction.Status.CANCELLED, via="run"))
    payload: dict[str, Any] = {"status": status.value}
    if error is not None:
        payload["error"] = error
    tx.append(run, Event.Type.RUN.value, payload)
    outcome = {
        "status": status.value,
        "error": {**error, "detail": detail} if error and detail else error,
        "wake_at": None,
        "finished_at": tx.now if final else None,
    }
    sql.update(Run, outcome, id=run.id)
    if final:
        fold(run)


def _begin(tx: Transaction, run: Run, call: Call, **columns: Any) -> None:
    sql.insert(
        JournalEntry,
        run_id=run.id,
        position=call.position,
        kind=call.kind,
        name=call.name,
        fingerprint=call.fingerprint,
        started_at=tx.now,
        **columns,
    )


def _wait(run: Run, wake_at: datetime | None = None) -> None:
    # That it came to rest is progress too: several answers may each bring it back to wait for more.
    waiting = {"status": Run.Status.WAITING.value, "wake_at": wake_at, "crashes": 0}
    sql.update(Run, waiting, id=run.id)
    run.crashes = 0


def _last_sequence(run: Run) -> int:
    [(sequence,)] = sql.fetch(LAST_SEQUENCE, (run.conversation_id,))
    return int(sequence)


def _step(run: Run, call: Call, title: str, state: str, payload: str) -> dict[str, Any]:
    return {
        "step_id": f"{run.id}:{call.position}",
        "name": title,
        "state": state,
        "payload": payload,
    }
