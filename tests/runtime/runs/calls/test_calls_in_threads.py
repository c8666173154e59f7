"""The context belongs to the thread of its run: a call in another is refused at once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from sessions_app.errors import CalledInThread, Unrecorded
from sessions_app.models import Run
from sessions_app.workflows import Context, TextPrompt
from tests.runtime.replay.deployed import Body, deploy, executed, host_code, work
from tests.support.hosting import problem
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = TextPrompt(text="Sure?")


async def pieces() -> Any:
    yield "a piece"


async def read(context: Context) -> list[str]:
    return [piece async for piece in context.stream(pieces)]


async def own_calls(context: Context) -> list[Any]:
    async def ask() -> str:
        return (await context.ask(QUESTION)).text

    return await context.gather(ask(), ask())


async def all_of(stream: Any) -> list[str]:
    return [piece async for piece in stream]


def in_a_loop(call: Callable[[Context], Awaitable[Any]]) -> Body:
    """Make a workflow that makes the call in an event loop of a thread of its own."""

    async def called(context: Context) -> Any:
        return await call(context)

    async def body(context: Context) -> str:
        return str(await asyncio.to_thread(lambda: asyncio.run(called(context))))

    return body


def in_a_thread(call: Callable[[Context], Any]) -> Body:
    async def body(context: Context) -> str:
        return str(await asyncio.to_thread(call, context))

    return body


async def made_here(context: Context) -> Any:
    return await asyncio.to_thread(asyncio.run, context.ask(QUESTION))


async def stream_made_here(context: Context) -> Any:
    return await asyncio.to_thread(asyncio.run, all_of(context.stream(pieces)))


async def swallowed(context: Context) -> str:
    with suppress(Unrecorded):
        await in_a_loop(lambda context: context.ask(QUESTION))(context)
    return await context.step(work, "after it")


CODE: dict[str, Body] = {
    "ask": in_a_loop(lambda context: context.ask(QUESTION)),
    "ask_all": in_a_loop(lambda context: context.ask_all([QUESTION])),
    "step": in_a_loop(lambda context: context.step(work, "x")),
    "transactional_step": in_a_loop(lambda context: context.transactional_step(work, "x")),
    "stream": in_a_loop(read),
    "sleep": in_a_loop(lambda context: context.sleep(1)),
    "wait_for": in_a_loop(lambda context: context.wait_for("payment")),
    "run": in_a_loop(lambda context: context.run("t_deployed", "x")),
    "history": in_a_loop(lambda context: context.history()),
    "gather": in_a_loop(own_calls),
    "now": in_a_thread(lambda context: context.now()),
    "random": in_a_thread(lambda context: context.random()),
    "patched": in_a_thread(lambda context: context.patched("change")),
    "show": in_a_thread(lambda context: context.show("x")),
    "made in the workflow": made_here,
    "a stream made in the workflow": stream_made_here,
    "swallowed": swallowed,
}


@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
async def test_a_call_in_another_thread_is_refused_before_anything_of_it(code: Body) -> None:
    async with host_code(code) as hosting:
        row = await hosting.until_ended(await hosting.submit())
        assert (row.status, problem(row)["code"]) == (Run.Status.SUSPENDED, "CalledInThread")
        assert "Call the context in the workflow itself" in problem(row)["detail"]
        assert not await hosting.count_prompts(row.id)
        assert await hosting.journal(row.id) == []
        assert executed == []


async def test_a_script_is_refused_too() -> None:
    async def answer(prompt: object) -> str:
        raise AssertionError("nobody is asked")

    deploy(CODE["ask"])
    with pytest.raises(CalledInThread):
        await in_script("t_deployed", user_input_callback=answer)
