"""Code that changes under a parked run, and code that never was the same twice."""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from django.db import connection

from sessions_app.models import Run
from sessions_app.operations import operators
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, WorkflowError, workflow
from sessions_app.workflows.journal import Entry, Journal, digest
from tests.support.hosting import Hosting, problem, until_true

pytestmark = pytest.mark.django_db(transaction=True)

executed: list[str] = []
Body = Callable[[Context], Awaitable[str]]
body: list[Body] = []


def work(name: str) -> str:
    executed.append(name)
    return name


def other(name: str) -> str:
    return work(name)


@workflow(name="t_deployed", title="Whatever is deployed")
async def deployed(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield await body[0](context)


def handle() -> Any:
    return object()


async def recorded(context: Context) -> str:
    await context.step(work, "a")
    await context.step(other, "b")
    answer = await context.ask(TextPrompt(text="Go on?"))
    return f"{answer.text} {await context.step(work, 'c')}"


async def added(context: Context) -> str:
    await context.step(work, "new")
    return await recorded(context)


async def removed(context: Context) -> str:
    await context.step(work, "a")
    answer = await context.ask(TextPrompt(text="Go on?"))
    return answer.text


async def reordered(context: Context) -> str:
    await context.step(other, "b")
    await context.step(work, "a")
    answer = await context.ask(TextPrompt(text="Go on?"))
    return answer.text


async def shortened(context: Context) -> str:
    await context.step(work, "a")
    return "done already"


async def asks_another(context: Context) -> str:
    await context.step(work, "a")
    await context.step(other, "b")
    return (await context.ask(TextPrompt(text="Delete it all?"))).text


async def swallows(context: Context) -> str:
    try:
        return await removed(context)
    except WorkflowError:
        return "nothing happened"


@pytest.mark.parametrize(
    ("changed", "position", "said"),
    [
        (added, 1, "step work"),
        (removed, 2, "step other"),
        (reordered, 1, "step work"),
        (shortened, 3, "the end"),
        (asks_another, 3, "ask TextPrompt"),
        (swallows, 2, "step other"),
    ],
)
async def test_changed_code_suspends_a_parked_run_and_the_old_code_resumes_it(
    changed: Body, position: int, said: str
) -> None:
    executed.clear()
    body[:] = [recorded]
    async with Hosting("t_deployed") as hosting:
        run = await hosting.submit()
        [prompt] = await hosting.prompts(run)
        body[:] = [changed]
        await hosting.restart()
        await hosting.answer("yes", prompt)
        row = await hosting.ended(run)
        assert row.status == Run.Status.SUSPENDED
        assert f"at position {position}" in problem(row)["message"]
        assert said in problem(row)["message"]
        assert executed == ["a", "b"]
        body[:] = [recorded]
        assert await hosting.in_thread(operators.resume, run, by="an operator")
        assert (await hosting.ended(run)).status == Run.Status.COMPLETED
        assert await hosting.output(run) == "yes c"
        assert executed == ["a", "b", "c"]


async def _by(context: Context, value: Any) -> str:
    await context.step(work, str(value))
    return (await context.ask(TextPrompt(text="?"))).text


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda: random.random(), id="chance"),
        pytest.param(lambda: time.time_ns(), id="time"),
        pytest.param(lambda: os.environ["T_REPLAY"], id="environment"),
        pytest.param(lambda: len(executed), id="state of the process"),
    ],
)
async def test_what_differs_from_execution_to_execution_is_found_out(
    draw: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    executed.clear()
    body[:] = [lambda context: _by(context, draw())]
    monkeypatch.setenv("T_REPLAY", "before")
    async with Hosting("t_deployed") as hosting:
        run = await hosting.submit()
        await hosting.prompts(run)
        monkeypatch.setenv("T_REPLAY", "after")
        await hosting.restart()
        await hosting.answer("x")
        row = await hosting.ended(run)
        assert row.status == Run.Status.SUSPENDED
        assert "context.now(), context.random() or a step" in problem(row)["message"]


def test_the_order_of_a_set_is_no_difference() -> None:
    # They collide in a small table: who came first is first.
    one, other = {0}, {8}
    one.add(8)
    other.add(0)
    assert list(one) != list(other)
    assert digest({"ids": [one]}) == digest({"ids": [other]})
    assert digest({0, 8}) != digest({0, 9})


async def test_what_the_context_draws_may_differ() -> None:
    async def drawn(context: Context) -> str:
        return await _by(context, f"{context.now()} {context.random()}")

    body[:] = [drawn]
    async with Hosting("t_deployed") as hosting:
        run = await hosting.submit()
        await hosting.prompts(run)
        await hosting.restart()
        await hosting.answer("x")
        assert (await hosting.ended(run)).status == Run.Status.COMPLETED


async def test_a_result_that_is_not_json_suspends_with_what_to_return() -> None:
    async def returns_a_handle(context: Context) -> str:
        return str(await context.step(handle))

    body[:] = [returns_a_handle]
    async with Hosting("t_deployed") as hosting:
        row = await hosting.ended(await hosting.submit())
        assert row.status == Run.Status.SUSPENDED
        assert "cannot be stored as JSON" in problem(row)["message"]
        assert "Return plain values" in problem(row)["message"]


async def test_a_context_outlives_its_run_to_no_use() -> None:
    kept: list[Context] = []

    async def keep(context: Context) -> str:
        kept.append(context)
        return "done"

    body[:] = [keep]
    async with Hosting("t_deployed") as hosting:
        await hosting.ended(await hosting.submit())
        await until_true(lambda: kept)
        with pytest.raises(WorkflowError, match="The run has ended"):
            await kept[0].ask(TextPrompt(text="too late"))


async def ask_once(context: Context) -> str:
    return (await context.ask(TextPrompt(text="?"))).text


async def test_an_answer_that_comes_while_the_journal_is_read_says_who_gave_it() -> None:
    body[:] = [ask_once]
    async with Hosting("t_deployed", park_after=0) as hosting:
        run = await hosting.submit()
        await hosting.prompts(run)
        loop = asyncio.get_running_loop()
        given: list[Any] = []

        def answer_after_the_first(execute: Callable[..., Any], *query: Any) -> Any:
            found = execute(*query)
            if not given:
                answering = asyncio.run_coroutine_threadsafe(hosting.answer("yes"), loop)
                given.append(answering.result(10))
            return found

        def load() -> list[Entry]:
            with connection.execute_wrapper(answer_after_the_first):
                return list(Journal.load(run)._entries.values())

        [entry] = await reads.read(load)
        assert (entry.finished, entry.by) in ((True, "ann"), (False, "ann"), (False, None))
        assert (await hosting.ended(run)).status == Run.Status.COMPLETED
