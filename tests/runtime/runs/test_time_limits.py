"""Tests of time limits of asyncio around calls that may wait for days: they are refused."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import ClassVar

import pytest

from sessions_app import runs
from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import Hosting, django_user, problem, running, until_true
from tests.support.workflows import probe

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # the import declares the workflow

Way = Callable[[Context], Awaitable[object]]
QUESTION = TextPrompt(text="Which?")


async def within_timeout(context: Context) -> object:
    async with asyncio.timeout(60):
        return (await context.ask(QUESTION)).text


async def within_caller(context: Context) -> object:
    async with asyncio.timeout_at(asyncio.get_running_loop().time() + 60) as limit:
        assert limit.when()
        return await asked(context)


async def within_wait_for(context: Context) -> object:
    return await asyncio.wait_for(asked(context), 60)


async def within_generator(context: Context) -> object:
    async def pieces() -> AsyncGenerator[str, None]:
        yield "a"
        async with asyncio.timeout(60):
            yield await asked(context)

    return [piece async for piece in pieces()]


async def within_gathered(context: Context) -> object:
    return await context.gather(within_timeout(context), asked(context))


async def around_gathered(context: Context) -> object:
    async with asyncio.timeout(60):
        return await context.gather(asked(context), asked(context))


async def around_message(context: Context) -> object:
    async with asyncio.timeout(60):
        return await context.wait_for("payment")


async def around_sleep(context: Context) -> object:
    async with asyncio.timeout(60):
        await context.sleep(3600)
    return "slept"


async def around_child(context: Context) -> object:
    async with asyncio.timeout(60):
        return await context.run("probe", "ask()")


async def behind_limit(context: Context) -> object:
    async with asyncio.timeout(60) as limit:
        await context.step(str, "work")
    assert not limit.expired()
    return await asked(context)


async def without_time(context: Context) -> object:
    async with asyncio.timeout(None):
        return await asyncio.wait_for(asked(context), None)


async def asked(context: Context) -> str:
    return (await context.ask(QUESTION)).text


class Gate:
    """The gate before a question."""

    opens: ClassVar[asyncio.Event] = asyncio.Event()
    is_reached: ClassVar[bool] = False


async def slow() -> None:
    await asyncio.sleep(0.2)


async def behind_early_answer(context: Context) -> object:
    async def second() -> str:
        Gate.is_reached = True
        await Gate.opens.wait()
        text = await asked(context)
        async with asyncio.timeout(60):
            await context.step(slow)
        return text

    return (await context.gather(asked(context), second()))[1]


REFUSED: tuple[Way, ...] = (
    within_timeout,
    within_caller,
    within_wait_for,
    within_generator,
    within_gathered,
    around_gathered,
    around_message,
    around_sleep,
    around_child,
)
ALLOWED: tuple[Way, ...] = (behind_limit, without_time)
WAYS = {way.__name__: way for way in (*REFUSED, *ALLOWED, behind_early_answer)}


@workflow(name="t_time_limited", title="Limited")
async def limited(message: Message, context: Context) -> str:
    return str(await WAYS[message.text](context))


@pytest.mark.parametrize("way", [way.__name__ for way in REFUSED])
async def test_time_limit_around_a_wait_suspends_the_run_and_says_the_remedy(way: str) -> None:
    async with running(Hosting("t_time_limited", beside=("probe",)), way) as (hosting, run):
        await hosting.until_status(run, Run.Status.SUSPENDED)
        row = await reads.read(Run.objects.get, pk=run)
        assert problem(row)["code"] == "WaitsInTimeLimit"
        assert "Give the call the time instead" in problem(row)["detail"]
        assert problem(row)["detail"].startswith(("within_", "around_"))


async def test_run_goes_on_with_its_question_once_the_limit_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running("t_time_limited", "within_timeout") as (hosting, run):
        await hosting.until_status(run, Run.Status.SUSPENDED)
        await hosting.prompts(run)
        monkeypatch.setitem(WAYS, "within_timeout", asked)
        await runs.aresume(run, by=django_user("an operator"))
        assert await hosting.complete(run, "this", restart=True) == "this"
        assert await hosting.count_prompts(run) == 1


@pytest.mark.parametrize("way", [way.__name__ for way in ALLOWED])
async def test_time_limit_that_has_ended_or_has_no_time_is_allowed(way: str) -> None:
    async with running("t_time_limited", way) as (hosting, run):
        await hosting.prompts(run)
        assert await hosting.complete(run, "this", restart=True) == "this"


async def test_time_limit_behind_an_answer_that_was_there_already_is_allowed() -> None:
    Gate.opens = asyncio.Event()
    Gate.opens.set()
    async with running("t_time_limited", "behind_early_answer") as (hosting, run):
        await hosting.prompts(run, 2)
        await hosting.restart()
        Gate.opens.clear()
        Gate.is_reached = False
        first, second = await hosting.prompts(run, 2)
        await hosting.answer("this", first)
        await until_true(hosting.hosted)
        [host] = hosting.hosts
        await until_true(lambda: host.runs and Gate.is_reached)
        await hosting.answer("that", second)
        await until_true(lambda: host.runs[0].waits._answers)
        Gate.opens.set()
        assert await hosting.result(run) == "that"
