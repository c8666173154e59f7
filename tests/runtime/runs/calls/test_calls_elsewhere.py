"""Tests that a call of the context in a step, or in a foreign thread, is refused immediately.

This holds for every kind of call, and however the caller handles the refusal.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from sessions_app import runs
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.errors import CalledInStep, CalledInThread, Unrecorded
from sessions_app.models import Run
from sessions_app.workflows import Context, Retry, TextPrompt
from tests.runtime.replay.deployed import Body, deploy, executed, host_code, work
from tests.support.hosting import django_user, problem, running
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = TextPrompt(text="Sure?")
Call = Callable[[Context], Awaitable[Any]]


async def ask(context: Context) -> str:
    return (await context.ask(QUESTION)).text


async def step(context: Context) -> str:
    return await context.step(work, "inner")


async def show(context: Context) -> None:
    context.show("seen")


async def pieces() -> AsyncIterator[str]:
    yield "piece"


async def all_of(stream: Any) -> list[str]:
    return [piece async for piece in stream]


async def swallow(context: Context) -> str:
    """Swallow an error, like tools that report errors to the model."""
    try:
        return await ask(context)
    except Exception as error:  # noqa: BLE001 - as said
        return f"failed: {error}"


async def make_another_error(context: Context) -> str:
    try:
        return await ask(context)
    except Exception as error:
        raise ValueError("no luck") from error


CALLS: dict[str, Call] = {
    "ask": ask,
    "ask_all": lambda context: context.ask_all([QUESTION]),
    "step": step,
    "transactional_step": lambda context: context.transactional_step(work, "x"),
    "stream": lambda context: all_of(context.stream(pieces)),
    "show": show,
    "run": lambda context: context.run("t_deployed", "x"),
    "sleep": lambda context: context.sleep(1),
    "wait_for": lambda context: context.wait_for("payment"),
    "history": lambda context: context.history(),
    "now": lambda context: asyncio.to_thread(context.now),
    "random": lambda context: asyncio.to_thread(context.random),
    "patched": lambda context: asyncio.to_thread(context.patched, "change"),
    "add_usage": lambda context: asyncio.to_thread(
        context.add_usage, prompt_tokens=1, completion_tokens=1
    ),
    "gathered calls": lambda context: context.gather(
        context.ask(QUESTION), context.step(work, "a")
    ),
    "gathered coroutines": lambda context: context.gather(ask(context), ask(context)),
    "in a task": lambda context: asyncio.create_task(ask(context)),
    "in tasks": lambda context: asyncio.gather(ask(context), step(context)),
    "swallowed": swallow,
    "another error": make_another_error,
}


def in_a_step(call: Call) -> Body:
    async def tool() -> str:
        return str(await call(Context.get()))

    async def agent(context: Context) -> str:
        try:
            return await context.step(tool, timeout=30)
        except Exception:  # noqa: BLE001 - as agents do that tell the model of it
            return await context.step(work, "it failed")

    return agent


def in_a_thread(call: Call) -> Body:
    """Make the call in the event loop of a separate thread."""

    async def called(context: Context) -> Any:
        return await call(context)

    async def agent(context: Context) -> str:
        return str(await asyncio.to_thread(lambda: asyncio.run(called(context))))

    return agent


ADVICE = {
    CalledInStep: "Await the function itself, without a step around it",
    CalledInThread: "Call the context in the workflow itself",
}


async def assert_refused(agent: Body, error: type[Exception]) -> None:
    """Assert that a run of the agent is suspended, without a recorded call in the journal."""
    async with host_code(agent) as hosting:
        row = await hosting.until_ended(await hosting.submit())
        assert (row.status, problem(row)["code"]) == (Run.Status.SUSPENDED, error.__name__)
        assert ADVICE[error] in problem(row)["detail"]
        assert not await hosting.count_prompts(row.id)
        journal = await HostedRun(row.id, hosting.person).journal()
        in_a_step = error is CalledInStep  # the journal has an entry of the step, which has begun
        assert [entry for entry in journal if entry.finished or not in_a_step] == []
        assert executed == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("place", "error"), [(in_a_step, CalledInStep), (in_a_thread, CalledInThread)]
)
async def test_no_call_of_the_context_is_made_elsewhere(
    call: Call, place: Callable[[Call], Body], error: type[Exception]
) -> None:
    await assert_refused(place(call), error)
    with pytest.raises(error):
        await in_script("t_deployed", user_input_callback=_nobody)


async def _nobody(prompt: object) -> str:
    raise AssertionError("nobody is asked")


async def tool_that_streams() -> AsyncIterator[str]:
    yield "a "
    await asyncio.create_task(ask(Context.get()))


async def _writes(context: Context) -> str:
    def tool() -> str:
        return str(context.now())

    return await context.transactional_step(tool)


async def _in_a_thread_of_a_step(context: Context) -> str:
    loop = asyncio.get_running_loop()

    def tool() -> str:
        return asyncio.run_coroutine_threadsafe(ask(context), loop).result()

    return await context.step(tool, timeout=30)


def _made_outside(method: str) -> Body:
    async def agent(context: Context) -> str:
        inner = getattr(context, method)(work, "inner")

        async def tool() -> str:
            return str(await inner)

        return await context.step(tool)

    return agent


async def _swallowed_by_the_workflow(context: Context) -> str:
    with suppress(Unrecorded):
        await in_a_thread(ask)(context)
    return await context.step(work, "after it")


AGENTS: dict[str, tuple[Any, type[Exception]]] = {
    "in a stream": (
        lambda context: all_of(context.stream(tool_that_streams, name="tool")),
        CalledInStep,
    ),
    "in a transactional step": (_writes, CalledInStep),
    "in a thread of a step": (_in_a_thread_of_a_step, CalledInStep),
    "a step made outside": (_made_outside("step"), CalledInStep),
    "a transactional step made outside": (_made_outside("transactional_step"), CalledInStep),
    "awaited in a thread": (
        lambda context: asyncio.to_thread(asyncio.run, context.ask(QUESTION)),
        CalledInThread,
    ),
    "read in a thread": (
        lambda context: asyncio.to_thread(asyncio.run, all_of(context.stream(pieces))),
        CalledInThread,
    ),
    "swallowed by the workflow": (_swallowed_by_the_workflow, CalledInThread),
}


@pytest.mark.parametrize(("agent", "error"), AGENTS.values(), ids=AGENTS)
async def test_a_call_that_gets_elsewhere_in_another_way_is_refused(
    agent: Body, error: type[Exception]
) -> None:
    await assert_refused(agent, error)


async def test_a_tool_that_calls_is_not_tried_again() -> None:
    tries = []

    async def tool() -> str:
        tries.append("tool")
        return await ask(Context.get())

    async def agent(context: Context) -> str:
        return await context.step(tool, retry=Retry(wait=0))

    await assert_refused(agent, CalledInStep)
    assert tries == ["tool"]


async def test_a_run_with_fixed_code_goes_on() -> None:
    async def tool(context: Context) -> str:
        answer = await ask(context)
        return await context.step(work, answer)

    async def broken(context: Context) -> str:
        first = await context.step(work, "a ")
        second: str = await context.step(tool, context)
        return first + second

    async def fixed(context: Context) -> str:
        return await context.step(work, "a ") + await tool(context)

    async with running(host_code(broken)) as (hosting, run):
        assert (await hosting.until_ended(run)).status == Run.Status.SUSPENDED
        deploy(fixed)
        assert await runs.aresume(run, by=django_user("an operator"))
        await hosting.prompts(run)
        assert await hosting.complete(run, "b", restart=True) == "a b"


async def test_calls_at_once_beside_a_step_are_no_calls_in_it() -> None:
    entered, asked = threading.Event(), asyncio.Event()

    def slow(text: str) -> str:
        entered.set()
        asyncio.run_coroutine_threadsafe(asked.wait(), loop).result(20)
        return text

    async def own(context: Context) -> str:
        await asyncio.to_thread(entered.wait, 20)
        try:
            return await context.step(work, "b")
        finally:
            asked.set()

    async def agent(context: Context) -> str:
        calls: list[Any] = [context.step(slow, "a"), own(context), context.step(own_loop, "c")]
        return "".join(await asyncio.gather(*calls))

    async def own_loop(text: str) -> str:
        """Join a text's characters in tasks that the step creates itself."""
        return "".join(await asyncio.gather(*(asyncio.sleep(0, one) for one in text)))

    loop = asyncio.get_running_loop()
    async with host_code(agent) as hosting:
        assert await hosting.reply_to() == "abc"
