"""Tests of code that changes under a parked run, and of code that differs at each execution."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from sessions_app import runs
from sessions_app.journal.journal import Journal, JournalRecord
from sessions_app.models import Interaction, Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, RadioPrompt, TextPrompt, WorkflowError
from tests.runtime.replay.deployed import Body, deploy, executed, host_code, other, work
from tests.support.hosting import asking, django_user, problem

pytestmark = pytest.mark.django_db(transaction=True)


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


async def raises(context: Context) -> str:
    await context.step(work, "a")
    raise KeyError("room")


async def asks_another(context: Context) -> str:
    await context.step(work, "a")
    await context.step(other, "b")
    return str((await context.ask(RadioPrompt(text="Go on?", options=["yes", "no"]))).value)


async def asks_in_tasks(context: Context) -> str:
    await asyncio.gather(reordered(context), context.ask(TextPrompt(text="Go on?")))
    return "both"


async def swallows(context: Context) -> str:
    try:
        return await removed(context)
    except WorkflowError:
        return "nothing happened"


CALLS = "(recorded there is step other, the code now calls step work)"


@pytest.mark.parametrize(
    ("changed", "position", "expected_problem", "where"),
    [
        (added, 2, f"the name was 'other' and is 'work' now {CALLS}", "recorded"),
        (removed, 2, "the kind was 'step' and is 'ask' now", "removed"),
        (reordered, 1, "the name was 'work' and is 'other' now", "reordered"),
        (shortened, 2, "the workflow comes to its end before it", ""),
        (raises, 2, "the workflow raises KeyError: 'room' before it", "raises"),
        (asks_another, 3, "the name was 'text' and is 'choice' now", "asks_another"),
        (asks_in_tasks, 1, "the name was 'work' and is 'other' now", "reordered"),
        (swallows, 2, "the kind was 'step' and is 'ask' now", "removed"),
    ],
)
async def test_changed_code_suspends_a_parked_run_and_the_old_code_resumes_it(
    changed: Body, position: int, expected_problem: str, where: str
) -> None:
    async with asking(host_code(recorded)) as (hosting, run, prompt):
        deploy(changed)
        await hosting.restart()
        await hosting.answer("yes", prompt)
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.SUSPENDED
        assert problem(row)["message"].startswith("This is paused")
        assert f"at position {position}: {expected_problem}" in problem(row)["detail"]
        assert (f" At {__name__}:" in problem(row)["detail"].replace("\n", " ")) == bool(where)
        assert problem(row)["detail"].endswith(f" in {where}()." if where else " or a step.")
        assert executed == ["a", "b"]
        deploy(recorded)
        assert await runs.aresume(run, by=django_user("an operator"))
        assert await hosting.result(run) == "yes c"
        assert executed == ["a", "b", "c"]


async def ask_once(context: Context) -> str:
    return (await context.ask(TextPrompt(text="?"))).text


async def test_an_answer_that_comes_while_the_journal_is_read_says_who_gave_it() -> None:
    async with asking(host_code(ask_once, park_after=0)) as (hosting, run, _):
        loop = asyncio.get_running_loop()
        outcomes: list[Any] = []

        def answer_after_the_first(execute: Callable[..., Any], *query: Any) -> Any:
            query_result = execute(*query)
            if not outcomes:
                answering = asyncio.run_coroutine_threadsafe(hosting.answer("yes"), loop)
                outcomes.append(answering.result(10))
            return query_result

        def load() -> list[JournalRecord]:
            with connection.execute_wrapper(answer_after_the_first):
                return Journal.load(run).entries

        [entry] = await reads.read(load)
        assert (entry.finished, entry.by) in ((True, "ann"), (False, "ann"), (False, None))
        assert (await hosting.until_ended(run)).status == Run.Status.COMPLETED


async def test_a_prompt_whose_class_reads_it_no_more_suspends_the_run() -> None:
    async def code(context: Context) -> str:
        first = await context.ask(TextPrompt(text="first"))
        return first.text + (await context.ask(TextPrompt(text="second"))).text

    async with asking(host_code(code)) as (hosting, run, first):
        await hosting.answer("a", first)
        [second] = await hosting.prompts(run)
        stored = Interaction.objects.filter(pk=first.pk)
        await stored.aupdate(prompt={**first.prompt, "renamed": 1})
        await hosting.restart()
        await hosting.answer("b", second)
        assert (await hosting.until_ended(run)).status == Run.Status.SUSPENDED
        await stored.aupdate(prompt=first.prompt)
        await runs.aresume(run, by=django_user("ann"))
        assert await hosting.result(run) == "ab"


@dataclass
class Price:
    euro: int


@dataclass
class Cost:
    cents: int


def prices() -> list[Price]:
    return [Price(5)]


def costs() -> list[Cost]:
    return [Cost(500)]


async def stream(context: Context, function: Callable[[], list[Any]], name: str) -> list[Any]:
    return [piece async for piece in context.stream(function, name=name)]


@pytest.mark.parametrize("call", [Context.step, Context.transactional_step, stream])
async def test_a_result_that_is_read_otherwise_now_suspends_the_run(
    call: Callable[..., Any],
) -> None:
    def reads(function: Callable[[], list[Any]]) -> Body:
        async def code(context: Context) -> str:
            first, *_ = await call(context, function, name="prices")
            return f"{first} {(await context.ask(TextPrompt(text='Buy it?'))).text}"

        return code

    async with asking(host_code(reads(prices))) as (hosting, run, prompt):
        deploy(reads(costs))
        await hosting.restart()
        await hosting.answer("yes", prompt)
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.SUSPENDED
        assert "cents Field required" in problem(row)["detail"]
        assert f"At {__name__}:" in problem(row)["detail"]
        deploy(reads(prices))
        assert await runs.aresume(run, by=django_user("an operator"))
        assert await hosting.result(run) == "Price(euro=5) yes"
