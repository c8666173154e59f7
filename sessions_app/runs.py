"""The writes of a run, made by its host.

Each is one transaction, and fenced by the generation of the host's key.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import F

from sessions_app.event_log import Transaction
from sessions_app.event_log.fold import fold
from sessions_app.interactive import AnyPrompt
from sessions_app.journal import Call, Record
from sessions_app.models import Event, Interaction, JournalEntry, Run


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


@dataclass(frozen=True, slots=True)
class Settlement:
    """The final status of an interaction, and how it came about.

    `response` is what `Prompt.check` returns; `via` is websocket, page, admin, deadline or run.
    """

    status: Interaction.Status
    via: str
    response: dict[str, Any] | None = None
    by: AbstractBaseUser | None = None
    answer_id: str = ""


def append_text(tx: Transaction, held: Held, text: str) -> int:
    """A piece of output."""
    run = held.check(tx)
    return tx.append(run, Event.Type.TEXT, {"text": text})


def restart_text(tx: Transaction, held: Held, *, from_sequence: int) -> int:
    """The run's text from that sequence on was cut, and is begun anew."""
    run = held.check(tx)
    return tx.append(run, Event.Type.RESTART, {"from_sequence": from_sequence})


def begin_step(tx: Transaction, held: Held, call: Call, title: str) -> None:
    """A step that people see has begun. Only seen ones are recorded before they end."""
    run = held.check(tx)
    sequence = tx.append(run, Event.Type.STEP, _step(run, call, title, "in_progress", ""))
    _entry(tx, run, call, sequence).save(force_insert=True)


def finish_call(
    tx: Transaction,
    held: Held,
    call: Call,
    record: Record,
) -> None:
    """Record what a call came to."""
    run = held.check(tx)
    if record.title:
        state = "failed" if record.error else "complete"
        step = _step(run, call, record.title, state, record.payload)
        sequence = tx.append(run, Event.Type.STEP, step)
    else:
        sequence = _last_sequence(run)
    entry = _entry(tx, run, call, sequence)
    entry.result, entry.error, entry.finished_at = record.result, record.error, tx.now
    JournalEntry.objects.bulk_create(
        [entry],
        update_conflicts=True,
        unique_fields=["run", "position"],
        update_fields=["result", "error", "finished_at", "sequence"],
    )
    _progressed(run)


def _progressed(run: Run) -> None:
    if run.crashes:
        Run.objects.filter(pk=run.pk).update(crashes=0)
        run.crashes = 0


def open_interactions(
    tx: Transaction,
    held: Held,
    asked: list[tuple[Call, AnyPrompt, UUID]],
    *,
    wake_at: datetime | None,
) -> None:
    """Ask: interaction, journal entry and event of each question, and the run waits."""
    run = held.check(tx)
    for call, prompt, interaction_id in asked:
        expires_at = tx.now + timedelta(seconds=prompt.timeout) if prompt.timeout else None
        stored = prompt.model_dump(mode="json")
        sequence = tx.append(
            run,
            Event.Type.INTERACTION,
            {
                "interaction_id": str(interaction_id),
                "prompt": stored,
                "expires_at": expires_at.isoformat() if expires_at else None,
                "version": 1,
            },
        )
        _entry(tx, run, call, sequence).save(force_insert=True)
        Interaction(
            id=interaction_id,
            run_id=run.pk,
            conversation_id=run.conversation_id,
            position=call.position,
            sequence=sequence,
            prompt=stored,
            created_at=tx.now,
            expires_at=expires_at,
        ).save(force_insert=True)
    wait(tx, held, wake_at=wake_at)


def wait(tx: Transaction, held: Held, *, wake_at: datetime | None) -> None:
    """It is a person's turn, or a sleep's: nothing has to host the run until then.

    `wake_at` is the earliest end of the sleeps that the run is in.
    """
    run = held.check(tx)
    Run.objects.filter(pk=run.pk, status__in=Run.UNFINISHED).update(
        status=Run.Status.WAITING, wake_at=wake_at, crashes=0
    )
    run.crashes = 0


def begin_sleep(
    tx: Transaction, held: Held, call: Call, *, until: datetime, wake_at: datetime | None
) -> None:
    """A durable sleep: its end is journaled, and the run waits for it."""
    run = held.check(tx)
    entry = _entry(tx, run, call, _last_sequence(run))
    entry.result, entry.finished_at = until.isoformat(), tx.now
    entry.save(force_insert=True)
    wait(tx, held, wake_at=wake_at)


def awake(tx: Transaction, held: Held) -> None:
    """The sleep is over: it is the system's turn again."""
    run = held.check(tx)
    Run.objects.filter(pk=run.pk, status=Run.Status.WAITING).update(
        status=Run.Status.RUNNING, wake_at=None
    )


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
        for interaction in Interaction.objects.filter(
            run=run, status=Interaction.Status.PENDING
        ).order_by("sequence"):
            settle(tx, run, interaction, Settlement(Interaction.Status.CANCELLED, via="run"))
    payload: dict[str, Any] = {"status": status.value}
    if error is not None:
        payload["error"] = error
    tx.append(run, Event.Type.RUN, payload)
    kept = {**error, "detail": detail} if error and detail else error
    Run.objects.filter(pk=run.pk).update(
        status=status, error=kept, wake_at=None, finished_at=tx.now if final else None
    )
    if final:
        fold(run)


def settle(
    tx: Transaction,
    run: Run,
    interaction: Interaction,
    settlement: Settlement,
) -> bool:
    """Give the interaction its one final status. False if another was faster.

    One conditional UPDATE decides; event, journal and run follow in the same transaction.
    """
    won = Interaction.objects.filter(pk=interaction.pk, status=Interaction.Status.PENDING).update(
        status=settlement.status,
        version=2,
        response=settlement.response,
        answered_by=settlement.by,
        answered_at=tx.now,
        answered_via=settlement.via,
        answer_id=settlement.answer_id,
    )
    if not won:
        return False
    by = settlement.by
    tx.append(
        run,
        Event.Type.INTERACTION_UPDATE,
        {
            "interaction_id": str(interaction.pk),
            "status": settlement.status.value,
            "version": 2,
            "response": settlement.response,
            "by": by.get_username() if by else None,
            "at": tx.now.isoformat(),
            "via": settlement.via,
        },
    )
    if settlement.status != Interaction.Status.CANCELLED:
        JournalEntry.objects.filter(run_id=run.pk, position=interaction.position).update(
            result=settlement.response, finished_at=tx.now
        )
        Run.objects.filter(pk=run.pk, status=Run.Status.WAITING).update(status=Run.Status.RUNNING)
    return True


def _entry(tx: Transaction, run: Run, call: Call, sequence: int) -> JournalEntry:
    return JournalEntry(
        run_id=run.pk,
        position=call.position,
        kind=call.kind,
        name=call.name,
        fingerprint=call.fingerprint,
        sequence=sequence,
        started_at=tx.now,
    )


def _last_sequence(run: Run) -> int:
    return Run.objects.filter(pk=run.pk).values_list("conversation__last_sequence", flat=True).get()


def _step(run: Run, call: Call, title: str, state: str, payload: str) -> dict[str, Any]:
    return {
        "step_id": f"{run.pk}:{call.position}",
        "name": title,
        "state": state,
        "payload": payload,
    }
