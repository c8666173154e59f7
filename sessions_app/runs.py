"""The writes of a run, made by its host: each one transaction, each fenced by the key's generation."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from sessions_app.event_log import Transaction
from sessions_app.event_log.fold import fold
from sessions_app.interactive import AnyPrompt
from sessions_app.journal import Call
from sessions_app.models import Event, Interaction, JournalEntry, Run


@dataclass(frozen=True, slots=True)
class Hold:
    """A host's claim on its key."""

    key: str
    generation: int

    def check(self, tx: Transaction) -> None:
        """Raise `Fenced` where another host has the key now."""
        tx.check_fence(self.key, self.generation)


def append_text(tx: Transaction, hold: Hold, run: Run, text: str) -> int:
    """A piece of output."""
    hold.check(tx)
    return tx.append(run, Event.Type.TEXT, {"text": text})


def restart_text(tx: Transaction, hold: Hold, run: Run, *, from_sequence: int) -> int:
    """The run's text from that sequence on was cut, and is begun anew."""
    hold.check(tx)
    return tx.append(run, Event.Type.RESTART, {"from_sequence": from_sequence})


def begin_step(tx: Transaction, hold: Hold, run: Run, call: Call, title: str) -> None:
    """A step that people see has begun. Only seen ones are recorded before they end."""
    hold.check(tx)
    sequence = tx.append(run, Event.Type.STEP, _step(run, call, title, "in_progress", ""))
    _entry(tx, run, call, sequence).save(force_insert=True)


def finish_call(
    tx: Transaction,
    hold: Hold,
    run: Run,
    call: Call,
    *,
    result: Any = None,
    error: dict[str, Any] | None = None,
    title: str = "",
    payload: str = "",
) -> None:
    """Record what a call came to; with a title, as a step that people see."""
    hold.check(tx)
    if title:
        state = "failed" if error else "complete"
        sequence = tx.append(run, Event.Type.STEP, _step(run, call, title, state, payload))
    else:
        sequence = _last_sequence(run)
    entry = _entry(tx, run, call, sequence)
    entry.result, entry.error, entry.finished_at = result, error, tx.now
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
    hold: Hold,
    run: Run,
    asked: list[tuple[Call, AnyPrompt, UUID]],
    *,
    wake_at: datetime | None,
) -> None:
    """Ask: interaction, journal entry and event of each question, and the run waits."""
    hold.check(tx)
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
    wait(tx, hold, run, wake_at=wake_at)


def wait(tx: Transaction, hold: Hold, run: Run, *, wake_at: datetime | None) -> None:
    """It is a person's turn, or a sleep's: nothing has to host the run until then.

    `wake_at` is the earliest end of the sleeps that the run is in.
    """
    hold.check(tx)
    Run.objects.filter(pk=run.pk, status__in=Run.UNFINISHED).update(
        status=Run.Status.WAITING, wake_at=wake_at, crashes=0
    )
    run.crashes = 0


def begin_sleep(
    tx: Transaction, hold: Hold, run: Run, call: Call, *, until: datetime, wake_at: datetime | None
) -> None:
    """A durable sleep: its end is journaled, and the run waits for it."""
    hold.check(tx)
    entry = _entry(tx, run, call, _last_sequence(run))
    entry.result, entry.finished_at = until.isoformat(), tx.now
    entry.save(force_insert=True)
    wait(tx, hold, run, wake_at=wake_at)


def awake(tx: Transaction, hold: Hold, run: Run) -> None:
    """The sleep is over: it is the system's turn again."""
    hold.check(tx)
    Run.objects.filter(pk=run.pk, status=Run.Status.WAITING).update(
        status=Run.Status.RUNNING, wake_at=None
    )


def release(tx: Transaction, hold: Hold, run_ids: Iterable[UUID]) -> None:
    """The host stops in good order while these run: that is no crash of theirs."""
    hold.check(tx)
    Run.objects.filter(pk__in=list(run_ids), crashes__gt=0).update(crashes=F("crashes") - 1)


def end(
    tx: Transaction,
    hold: Hold,
    run: Run,
    status: Run.Status,
    *,
    error: dict[str, str] | None = None,
    detail: str = "",
) -> None:
    """The run is over (or suspended): its open interactions are cancelled and its text folded.

    A suspended run keeps both: it may go on. People see `error`; operators also `detail`.
    """
    hold.check(tx)
    final = status in Run.FINISHED
    if final:
        for interaction in Interaction.objects.filter(
            run=run, status=Interaction.Status.PENDING
        ).order_by("sequence"):
            settle(tx, run, interaction, Interaction.Status.CANCELLED, via="run")
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
    status: Interaction.Status,
    *,
    via: str,
    response: dict[str, Any] | None = None,
    by: Any = None,
    answer_id: str = "",
) -> bool:
    """Give the interaction its one final status. False if another was faster.

    One conditional UPDATE decides; the event, the journal and the run follow in the same transaction.
    """
    won = Interaction.objects.filter(pk=interaction.pk, status=Interaction.Status.PENDING).update(
        status=status,
        version=2,
        response=response,
        answered_by=by,
        answered_at=tx.now,
        answered_via=via,
        answer_id=answer_id,
    )
    if not won:
        return False
    username = by.get_username() if by else None
    tx.append(
        run,
        Event.Type.INTERACTION_UPDATE,
        {
            "interaction_id": str(interaction.pk),
            "status": status.value,
            "version": 2,
            "response": response,
            "by": username,
            "at": tx.now.isoformat(),
            "via": via,
        },
    )
    if status != Interaction.Status.CANCELLED:
        JournalEntry.objects.filter(run_id=run.pk, position=interaction.position).update(
            result=response, finished_at=tx.now
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
    return (
        Run.objects.filter(pk=run.pk).values_list("conversation__last_sequence", flat=True).get()
    )


def _step(run: Run, call: Call, title: str, state: str, payload: str) -> dict[str, Any]:
    return {
        "step_id": f"{run.pk}:{call.position}",
        "name": title,
        "state": state,
        "payload": payload,
    }
