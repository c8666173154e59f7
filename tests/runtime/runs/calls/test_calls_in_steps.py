"""A step that calls the context of its run is refused at once, in whatever way it does so."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sessions_app.admin import repairs
from sessions_app.errors import CalledInStep
from sessions_app.models import Run
from sessions_app.testing.hosted_run import HostedRun
from sessions_app.workflows import Context, Retry, TextPrompt
from tests.runtime.replay.deployed import Body, deploy, host_code, work
from tests.support.hosting import problem, running
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(context: Context) -> str:
    return (await context.ask(TextPrompt(text="Sure?"))).text


async def step(context: Context) -> str:
    return await context.step(work, "inner")


async def show(context: Context) -> None:
    context.show("seen")


async def stream(context: Context) -> list[str]:
    return [piece async for piece in context.stream(pieces)]


async def gather(context: Context) -> list[Any]:
    return await context.gather(context.ask(TextPrompt(text="Sure?")), context.step(work, "a"))


async def pieces() -> AsyncIterator[str]:
    yield "piece"


async def swallow(context: Context) -> str:
    """Swallow an error, as tools do that have errors told to the model."""
    try:
        return await ask(context)
    except Exception as error:  # noqa: BLE001 - as said
        return f"failed: {error}"


async def make_another_error(context: Context) -> str:
    try:
        return await ask(context)
    except Exception as error:
        raise ValueError("no luck") from error


CALLS: list[Callable[[Context], Awaitable[Any]]] = [
    ask,
    step,
    show,
    stream,
    gather,
    swallow,
    make_another_error,
    lambda context: asyncio.create_task(ask(context)),
    lambda context: asyncio.gather(ask(context), step(context)),
    lambda context: context.ask_all([TextPrompt(text="Sure?")]),
    lambda context: context.run("t_deployed", "x"),
    lambda context: context.sleep(1),
    lambda context: context.wait_for("payment"),
    lambda context: context.history(),
    lambda context: context.transactional_step(work, "x"),
    lambda context: asyncio.to_thread(context.now),
    lambda context: asyncio.to_thread(context.random),
    lambda context: asyncio.to_thread(context.patched, "change"),
    lambda context: asyncio.to_thread(context.add_usage, prompt_tokens=1, completion_tokens=1),
]


async def assert_refused(agent: Body) -> None:
    """Assert that a run of the agent is suspended, with nothing of it in the journal."""
    async with host_code(agent) as hosting:
        row = await hosting.until_ended(await hosting.submit())
        assert (row.status, problem(row)["code"]) == (Run.Status.SUSPENDED, "CalledInStep")
        assert "Await the function itself, without a step around it" in problem(row)["detail"]
        assert not await hosting.count_prompts(row.id)
        journal = await HostedRun(row.id, hosting.person).journal()
        assert [entry for entry in journal if entry.finished] == []


@pytest.mark.parametrize("call", CALLS)
async def test_no_call_of_the_context_is_made_in_a_step(call: Callable[[Context], Any]) -> None:
    """However the step hides it, and whatever the agent takes it for."""

    async def tool() -> str:
        return str(await call(Context.get()))

    async def agent(context: Context) -> str:
        try:
            return await context.step(tool, timeout=30)
        except Exception:  # noqa: BLE001 - as agents do that tell the model of it
            return await context.step(work, "it failed")

    await assert_refused(agent)
    with pytest.raises(CalledInStep):
        await in_script("t_deployed", user_input_callback=_nobody)


async def _nobody(prompt: object) -> str:
    raise AssertionError("nobody is asked")


async def test_a_tool_that_calls_is_not_tried_again() -> None:
    tries = []

    async def tool() -> str:
        tries.append("tool")
        return await ask(Context.get())

    async def agent(context: Context) -> str:
        return await context.step(tool, retry=Retry(wait=0))

    await assert_refused(agent)
    assert tries == ["tool"]


async def tool_that_streams() -> AsyncIterator[str]:
    yield "a "
    await asyncio.create_task(ask(Context.get()))


async def _streams(context: Context) -> str:
    return "".join([one async for one in context.stream(tool_that_streams, name="tool")])


async def _writes(context: Context) -> str:
    def tool() -> str:
        return str(context.now())

    return await context.transactional_step(tool)


async def _in_a_thread(context: Context) -> str:
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


@pytest.mark.parametrize(
    "agent",
    [_streams, _writes, _in_a_thread, _made_outside("step"), _made_outside("transactional_step")],
    ids=["streamed", "transactional", "in a thread", "made outside", "transactional outside"],
)
async def test_a_call_in_any_kind_of_step_is_refused(agent: Body) -> None:
    await assert_refused(agent)


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
        assert await hosting.in_thread(repairs.resume, run, by="an operator")
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
        """Run a step that uses tasks of its own."""
        return "".join(await asyncio.gather(*(asyncio.sleep(0, one) for one in text)))

    loop = asyncio.get_running_loop()
    async with host_code(agent) as hosting:
        assert await hosting.reply_to() == "abc"
