"""Tests of transactional steps: the writes and the journal entry are committed together, or not."""

from collections.abc import AsyncGenerator
from concurrent.futures import Future
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from sessions_app import runs
from sessions_app.models import JournalEntry, Run
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import Context, Message, StepFailed, TextPrompt, workflow
from tests.support.hosting import Hosting, asking, make_user, problem, running
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)


def add(name: str) -> date:
    """Write a row, and assert that a transaction is open."""
    Group.objects.create(name=name)
    assert connection.in_atomic_block
    return date(2030, 1, 2)


def add_and_fail(name: str) -> None:
    add(name)
    raise ValueError("on purpose")


def add_and_return_a_lock(name: str) -> Any:
    add(name)
    return object()


def add_and_tell(name: str) -> None:
    def tell() -> None:
        raise OSError("the broker is away")

    add(name)
    transaction.on_commit(tell)


def exits(name: str) -> None:
    add(name)
    raise SystemExit(3)


def start_another(user: str) -> str:
    return str(runs.start("t_writes", "nothing", user=make_user(user)))


looks: list[Future[tuple[int, int]]] = []


def add_and_have_looked(name: str) -> None:
    """Write a row, and queue a count that runs directly after this transaction."""
    add(name)
    looks.append(writer.submit(lambda tx: (groups(), JournalEntry.objects.count())))


async def add_async(name: str) -> None:
    raise AssertionError("it is never called")


@workflow(name="t_writes", title="Writes")
async def writes(message: Message, context: Context) -> AsyncGenerator[str, None]:
    match message.text:
        case "add":
            day = await context.transactional_step(add, "g", title="Add")
            yield f"{day:%d.%m.} "
            yield (await context.ask(TextPrompt(text="Name?"))).text
        case "fail" | "exit" | "twice" | "tell":
            functions = {"fail": add_and_fail, "exit": exits, "twice": add, "tell": add_and_tell}
            try:
                await context.transactional_step(functions[message.text], "g")
            except StepFailed as error:
                yield error.error_type
            else:
                yield "written"
        case "lock":
            yield await context.transactional_step(add_and_return_a_lock, "g")
        case "async":
            yield await context.transactional_step(add_async, "g")  # type: ignore[arg-type]  # an author's mistake
        case "start":
            yield await context.transactional_step(start_another, context.user.username)
        case "look":
            await context.transactional_step(add_and_have_looked, "g")
        case _:
            yield "nothing"


def groups() -> int:
    return Group.objects.count()


async def test_a_transactional_step_writes_once_and_replays_its_result() -> None:
    async with asking(Hosting("t_writes", park_after=0), "add") as (hosting, run, _):
        assert await hosting.complete(run, "Eve", restart=True) == "02.01. Eve"
        assert await hosting.in_thread(groups) == 1
        [entry] = await hosting.journal(run)
        assert (entry.kind, entry.name, entry.result) == ("step", "add", "2030-01-02")
        steps = [event for event in await hosting.events() if event.type == "step"]
        assert [step.payload["state"] for step in steps] == ["complete"]


async def test_nobody_ever_sees_what_it_writes_without_its_journal_entry() -> None:
    """No crash can separate the writes from the journal entry."""
    async with running("t_writes", "look") as (hosting, run):
        await hosting.until_ended(run)
        counts = [look.result() for look in looks]
        assert counts
        # The transaction may commit between the two counts.
        assert all(written <= recorded for written, recorded in counts)


@pytest.mark.parametrize(
    ("text", "output", "count"),
    [("fail", "ValueError", 0), ("exit", "SystemExit", 0), ("tell", "written", 1)],
)
async def test_a_transactional_step_that_raises_is_rolled_back_and_recorded(
    text: str, output: str, count: int
) -> None:
    """Code after the commit undoes nothing."""
    async with running("t_writes", text) as (hosting, run):
        assert await hosting.result(run) == output
        assert await hosting.in_thread(groups) == count
        [entry] = await hosting.journal(run)
        assert (entry.error is None) == bool(count)


async def test_a_result_that_cannot_be_stored_writes_nothing() -> None:
    async with running("t_writes", "lock") as (hosting, run):
        row = await hosting.until_ended(run)
        assert (row.status, problem(row)["code"]) == (Run.Status.SUSPENDED, "NotJson")
        assert await hosting.in_thread(groups) == 0
        assert await hosting.journal(run) == []


async def test_a_coroutine_is_refused_before_it_is_called() -> None:
    async with Hosting("t_writes") as hosting:
        row = await hosting.until_ended(await hosting.submit("async"))
        assert "plain function" in problem(row)["detail"]


async def test_a_transactional_step_is_written_once_despite_failing_writes() -> None:
    """Writes share a transaction. After a failure, each is repeated in its own transaction."""

    def fails(tx: Transaction) -> None:
        raise RuntimeError("on purpose")

    async with Hosting("t_writes") as hosting:
        many = [await hosting.submit("twice", conversation=f"c{n}") for n in range(8)]
        failing = [writer.submit(fails) for _ in range(50)]
        for run in many:
            await hosting.until_ended(run)
        assert all(one.exception() is not None for one in failing)
        outputs = [await hosting.output(run) for run in many]
        assert sorted(outputs) == ["IntegrityError"] * 7 + ["written"]
        assert await hosting.in_thread(groups) == 1
        assert await hosting.in_thread(JournalEntry.objects.count) == 8


async def test_a_transactional_step_may_start_another_run() -> None:
    async with running("t_writes", "start") as (hosting, run):
        await hosting.until_ended(run)
        other = (await runs.aresult(run)).text
        assert (await runs.aresult(UUID(other), timeout=30)).text == "nothing"


async def test_a_script_runs_transactional_steps() -> None:
    assert await in_script("t_writes", "twice") == "written"
    assert await in_script("t_writes", "twice") == "IntegrityError"
