"""Transactions of one conversation that meet on PostgreSQL: no two wait for each other."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from sessions_app.conversations import listing, messages, stops
from sessions_app.hosting import lease, run_selection, run_writes
from sessions_app.hosting.run_writes import LeasedRun, NewPrompt
from sessions_app.interactions import answers
from sessions_app.journal.journal import Call, CallResult
from sessions_app.lifecycle import due
from sessions_app.models import Conversation, HostLease, Interaction, JournalEntry, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.models.people import Person
from sessions_app.prompts import TextAnswer, TextPrompt
from sessions_app.storage import reads, sql
from sessions_app.storage.transaction import Transaction
from tests.support.database.stored_log import log_record
from tests.support.hosting import Hosting
from tests.support.polling import until
from tests.support.workflows import probe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only("SQLite has one writer"),
]

assert probe  # the import declares the workflow

WAITS = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
PATIENCE = 30  # seconds
Work = Callable[[Transaction], object]


def works(run: Run, asked: Interaction) -> dict[str, Work]:
    """Return what processes do with a run that waits, in transactions of their own."""
    conversation = Conversation.objects.select_related("owner").get(pk=run.conversation_id)
    owner, name = conversation.owner.pk, conversation.conversation_id
    by = Person.of(conversation.owner)
    hold = lease.Lease(HostKey(run.key), HostLease.objects.get(key=run.key).generation)
    incoming = answers.IncomingAnswer(
        uuid4().hex, "test", TextAnswer("yes"), interaction=str(asked.id)
    )
    checked = answers._check(by, name, incoming)
    assert checked is not None
    message = messages.IncomingMessage(uuid4().hex, 'echo("hello")')
    question = TextPrompt(text="And?").model_dump(mode="json")

    def leased() -> LeasedRun:
        return LeasedRun(hold, log_record(run))

    def ask(tx: Transaction) -> None:
        prompts = [
            NewPrompt(Call(place, "ask", ""), question, '{"text": "And?"}', uuid4(), None)
            for place in (50, 51)
        ]
        run_writes.open_interactions(tx, leased(), prompts, only_waits=True)

    def step(tx: Transaction) -> None:
        call = Call(50, JournalEntry.Kind.STEP, "step")
        run_writes.begin_step(tx, leased(), call, "Step")
        run_writes.finish_call(tx, leased(), call, CallResult(result=1, title="Step"))

    def end(tx: Transaction) -> None:
        ended = leased()
        ended.has_asked = True
        run_writes.end(tx, ended, Run.Status.COMPLETED, text="done")

    driven = run_selection.DrivenRuns(frozenset(), frozenset(), {})
    return {
        "ask": ask,
        "answer": lambda tx: answers._answer(tx, by, checked),
        "expire": lambda tx: due.expire(tx, asked.id),
        "message": lambda tx: messages.submit_in(tx, owner, name, message),
        "stop": lambda tx: stops._stop(tx, owner, name, None),
        "step": step,
        "text": lambda tx: run_writes.append_text(tx, leased(), "text"),
        "end": end,
        "select": lambda tx: run_selection.select_runs(tx, hold, driven),
        "take over": lambda tx: lease.take_lease(tx, hold.key),
        "delete": lambda tx: listing._delete(tx, owner, name),
    }


def _go_on() -> None:
    """Do not pause."""


class Meeting:
    """A transaction that pauses after some statements, while another one ends, or waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.problems: list[str] = []
        self._gates: dict[int, Callable[[], None]] = {}
        execute = sql._execute

        def execute_and_tell(*arguments: Any) -> Any:
            result = execute(*arguments)
            self._gates.get(threading.get_ident(), _go_on)()
            return result

        monkeypatch.setattr(sql, "_execute", execute_and_tell)

    def meet(self, first: Work, second: Work, pause_after: int, *, commits: bool = False) -> bool:
        """Return False if the first transaction has fewer statements; it may commit at its end."""
        paused, go_on, over = (threading.Event() for _ in range(3))
        pids: list[int] = []
        statements = count(1)

        def pause() -> None:
            if next(statements) == pause_after:
                paused.set()
                assert go_on.wait(PATIENCE)

        one = threading.Thread(target=partial(self._run, first, pause, [], paused, commits))
        other = threading.Thread(target=partial(self._run, second, _go_on, pids, over, False))
        one.start()
        assert paused.wait(PATIENCE)
        other.start()
        until(lambda: over.is_set() or (pids and sql.fetch(WAITS, (pids[0],))), every=0.002)
        go_on.set()
        one.join(PATIENCE)
        other.join(PATIENCE)
        return next(statements) > pause_after

    def _run(
        self,
        work: Work,
        gate: Callable[[], None],
        pids: list[int],
        over: threading.Event,
        commits: bool,
    ) -> None:
        try:
            connection.ensure_connection()
            pids.append(connection.connection.info.backend_pid)
            self._gates[threading.get_ident()] = gate
            with transaction.atomic():
                work(Transaction())
                transaction.set_rollback(not commits)
        except Exception as error:  # noqa: BLE001 - the test tells all of them
            self.problems.append(repr(error))
        finally:
            del self._gates[threading.get_ident()]
            over.set()
            connection.close()


@asynccontextmanager
async def waiting_run() -> AsyncIterator[dict[str, Work]]:
    """Have a run that waits, without its host; yield what processes do with it."""
    async with Hosting("probe") as hosting:
        run = await hosting.submit("ask()")
        row = await hosting.until_status(run, Run.Status.WAITING)
        [asked] = await hosting.prompts(run)
        await hosting.stop()
        yield await reads.read(works, row, asked)


async def test_no_two_transactions_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = Meeting(monkeypatch)

    def meet_all(everything: dict[str, Work]) -> list[str]:
        found = []
        for one, first in everything.items():
            for other, second in everything.items():
                for pause_after in count(1):
                    if not meeting.meet(first, second, pause_after):
                        break
                    found += [f"{one}, {other}: {each}" for each in meeting.problems]
                    meeting.problems.clear()
        return found

    async with waiting_run() as everything:
        assert await reads.read(meet_all, everything) == []


async def test_who_waited_for_a_commit_goes_on_from_what_it_wrote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meeting = Meeting(monkeypatch)

    def meet_commits(everything: dict[str, Work]) -> None:
        for work in everything.values():
            meeting.meet(everything["text"], work, 1, commits=True)
        assert meeting.problems == []
        meeting.meet(everything["take over"], everything["ask"], 1, commits=True)
        [problem] = meeting.problems
        assert problem.startswith("Fenced")

    async with waiting_run() as everything:
        await reads.read(meet_commits, everything)
