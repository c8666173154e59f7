"""Calls that make other calls, as functions of the NeMo Agent Toolkit do."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from sessions_app import runs
from sessions_app.contrib.agents.nesting import NamedCall, NestedCalls
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.conversations import stops
from sessions_app.errors import NotJson
from sessions_app.models import Interaction, Run
from sessions_app.workflows import Context, TextPrompt
from tests.runtime.replay.deployed import Body, executed, host_code, work
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)

Function = Callable[[], Awaitable[object]]
# Those of the execution that is under way.
nested: list[NestedCalls] = []


class Odd(Exception):
    """An error of the author's own."""


def hosting(code: Body) -> Hosting:
    async def body(context: Context) -> str:
        nested[:] = [NestedCalls(context._execution)]
        with nested[0].outermost():
            return await code(context)

    return host_code(body, park_after=0)


async def call(name: str, function: Function) -> Any:
    async def result() -> AsyncGenerator[object, None]:
        yield await function()

    [value] = [piece async for piece in nested[0].pieces(NamedCall(name, title=name), result)]
    return value


async def leaf(name: str) -> str:
    async def do() -> str:
        return work(name)

    return str(await call("leaf", do))


async def ask(context: Context, text: str) -> str:
    await nested[0].note_nested_call()
    return (await context.ask(TextPrompt(text=text))).text


async def resume(hosted: Hosting, run: HostedRun) -> None:
    by = await get_user_model().objects.aget(pk=hosted.user)
    assert await runs.aresume(run.id, by=by)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_calls_at_once_are_answered_in_any_order_over_crashes(order: str) -> None:
    async def code(context: Context) -> str:
        def tool(name: str) -> Function:
            async def use() -> str:
                await leaf(f"{name} prepared")
                answer = await ask(context, name)
                return f"{await leaf(f'{name} done')} {answer}"

            return use

        results = await asyncio.gather(*(call(name, tool(name)) for name in "ab"))
        return f"{results} {await ask(context, 'c')}"

    async with hosting(code) as hosted:
        run = await hosted.send("go")
        for name in [*order, "c"]:
            assert name in [prompt.text for prompt in await run.prompts()]
            await hosted.crash()
            await run.answer(f"yes {name}", to=name)
        assert await run.result() == "['a done yes a', 'b done yes b'] yes c"
    assert sorted(executed) == ["a done", "a prepared", "b done", "b prepared"]


@pytest.mark.slow
async def test_error_that_follows_from_calls_is_the_same_in_a_replay() -> None:
    async def code(context: Context) -> str:
        async def fail() -> None:
            await leaf("before")
            raise Odd("again")

        try:
            await call("fails", fail)
        except Odd as error:
            return f"{error} {await ask(context, 'Go on?')}"
        return "It did not fail."

    async with hosting(code) as hosted:
        run = await hosted.send("go")
        await run.prompts()
        await hosted.crash()
        await run.answer("yes")
        assert await run.result() == "again yes"
    assert executed == ["before"]


async def test_fork_makes_the_calls_around_its_position_again() -> None:
    async def code(context: Context) -> str:
        async def tool() -> str:
            await leaf("prepared")
            return f"{await ask(context, 'Go on?')} {await leaf('done')}"

        async def agent() -> str:
            return str(await call("tool", tool))

        return f"{await leaf('first')} {await call('agent', agent)}"

    async with hosting(code) as hosted:
        run = await hosted.send("go")
        await run.answer("yes")
        assert await run.result() == "first yes done"
        executed.clear()
        question = await Interaction.objects.aget(run=run.id)
        by = await get_user_model().objects.aget(pk=hosted.user)
        fork = HostedRun(
            await runs.afork(run.id, position=question.position or 0, by=by), hosted.person
        )
        await fork.answer("no")
        assert await fork.result() == "first no done"
    assert executed == ["done"]


async def test_result_that_cannot_be_stored_suspends_though_the_caller_goes_on() -> None:
    async def code(context: Context) -> str:
        async def give() -> object:
            work("done")
            return object()

        try:
            await call("gives", give)
        except NotJson:
            return "It went on."
        return "It was stored."

    async with hosting(code) as hosted:
        run = await hosted.send("go")
        row = await run.rest()
        assert row.status == Run.Status.SUSPENDED
        assert row.error is not None
        assert row.error["code"] == "ResultRefused"
        await resume(hosted, run)
        assert (await run.rest()).status == Run.Status.SUSPENDED
    assert executed == ["done"]


async def test_call_around_others_runs_again_when_its_result_could_not_be_stored() -> None:
    results: list[object] = [object(), "stored"]

    async def code(context: Context) -> str:
        async def give() -> object:
            await leaf("done")
            return results.pop(0)

        return str(await call("gives", give))

    async with hosting(code) as hosted:
        run = await hosted.send("go")
        assert (await run.rest()).status == Run.Status.SUSPENDED
        await resume(hosted, run)
        assert await run.result() == "stored"
    assert executed == ["done"]


@pytest.mark.slow
async def test_stop_ends_a_call_that_asks() -> None:
    async def code(context: Context) -> str:
        async def wait() -> str:
            return await ask(context, "Go on?")

        return str(await call("waits", wait))

    async with hosting(code) as hosted:
        run = await hosted.send("go")
        await run.prompts()
        await hosted.crash()
        await stops.stop(owner=hosted.user, conversation_id="c")
        row = await hosted.until_ended(run.id)
        assert row.status == Run.Status.CANCELLED
