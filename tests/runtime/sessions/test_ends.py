"""Tests of closing builders, and of a manager's shutdown while sessions are active."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from pydantic import BaseModel

from sessions_app.errors import SessionsError
from sessions_app.pool import builders, workflow_pool
from sessions_app.sessions.manager import SessionManager
from sessions_app.workflows import Context, Message, Person, TextPrompt
from sessions_app.workflows.config import WorkflowConfig
from tests.support.hosting import until_true
from tests.support.sessions import Log, Made, declare, free, managing, managing_with_log, say, turns

SHUT = pytest.raises(SessionsError, match="shut down")


async def own(message: Message, context: Context) -> str:
    return str(context.builder.name)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time after which a late closing is cut off."""
    monkeypatch.setattr(builders, "CLOSE_WAIT", 0.02)
    monkeypatch.setattr(builders, "CUT_EVERY", 0.01)


async def hang() -> None:
    await asyncio.Event().wait()


# --- a close that hangs


@pytest.mark.usefixtures("hurried")
async def test_a_close_that_hangs_is_cut_off_though_who_waited_for_it_is_cancelled() -> None:
    log = Log()
    log.hold("ann closing")
    async with managing(declare(own, per_user_builder=log.build)) as manager:
        await say(manager, user_id="ann")
        eviction = asyncio.create_task(manager._pool.user_builders.evict("ann"))
        await log.until("ann closing")
        eviction.cancel()
        async with asyncio.timeout(10):
            assert await say(manager, user_id="ann") == "ann#2"
        assert log.made[0].closed is False  # the closing was cancelled in the middle
        log.gates.clear()


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
async def test_a_shutdown_during_a_clean_up_that_hangs_comes_to_its_end() -> None:
    log = Log()
    log.hold("ann closing")
    workflow = declare(own, per_user_builder=log.build)
    async with managing(workflow, per_user_idle=0.01) as manager:
        await say(manager, user_id="ann")
        await log.until("ann closing")
        async with asyncio.timeout(10):
            await manager.shutdown(wait=1)
        await turns()
        assert not manager._pool.user_builders._closing


async def deaf_until(free: asyncio.Event) -> None:
    """Ignore each cancellation until `free` is set."""
    while not free.is_set():
        with suppress(asyncio.CancelledError):
            await free.wait()


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("ignores_its_end", [False, True])
async def test_a_builder_that_hangs_holds_up_no_shutdown(*, ignores_its_end: bool) -> None:
    closed_names: list[str] = []
    free = asyncio.Event()

    @asynccontextmanager
    async def hanging(name: str) -> AsyncIterator[None]:
        try:
            yield
        finally:
            try:
                await (deaf_until(free) if ignores_its_end else free.wait())
            finally:
                closed_names.append(name)

    @asynccontextmanager
    async def build(user: Person, options: BaseModel) -> AsyncIterator[Made]:
        async with hanging("one"), hanging("two"):
            yield Made("both")

    manager = await SessionManager.create(entry_function=declare(own, per_user_builder=build))
    await say(manager, user_id="ann")
    try:
        async with asyncio.timeout(10):
            await manager.shutdown()
        if not ignores_its_end:  # the close is cut off
            await until_true(lambda: closed_names == ["two", "one"])
    finally:
        free.set()
    await until_true(lambda: not manager._pool.user_builders._closing)


# --- shutdown of a manager


class Used:
    """A builder's product that notes a use after its closing."""

    def __init__(self) -> None:
        self.closed = False
        self.uses: list[bool] = []

    def use(self) -> None:
        self.uses.append(self.closed)


@asynccontextmanager
async def used(options: BaseModel) -> AsyncIterator[Used]:
    built = Used()
    yield built
    built.closed = True


async def serve(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Use the builder until the end of the run, however the run ends."""
    mine = context.builder
    try:
        mine.use()
        yield "begun"
        if message.text == "ask":
            await context.ask(TextPrompt(text="?"))
        elif message.text == "deaf":
            with pytest.raises(asyncio.CancelledError):
                await hang()
            yield "deaf"
        elif message.text == "work":
            await hang()
        mine.use()
        yield "ended"
    finally:
        await turns()
        mine.use()


async def answer(prompt: Any) -> str:
    await hang()
    return ""


@pytest.mark.parametrize("text", ["work", "ask", "deaf"])
async def test_a_run_that_goes_on_is_ended_before_its_builder_is_closed(text: str) -> None:
    manager = await SessionManager.create(entry_function=declare(serve), shared_builder=used)
    builder = manager.shared_builder

    async def read() -> None:
        async with manager.run(text, user_input_callback=answer) as runner:
            async for chunk in runner.result_stream():
                chunks.append(chunk)  # noqa: PERF401 - those that came stay when it fails

    chunks: list[str] = []
    reading = asyncio.create_task(read())
    await until_true(lambda: bool(chunks))
    await manager.shutdown(wait=0)
    assert builder.closed
    with SHUT:
        await reading
    assert chunks == ["begun"]
    assert builder.uses == [False, False]


async def test_a_stream_between_two_chunks_is_closed_first_and_ends_with_an_error() -> None:
    manager = await SessionManager.create(entry_function=declare(serve), shared_builder=used)
    builder = manager.shared_builder
    async with manager.run("go on") as runner:
        chunks = runner.result_stream()
        assert await anext(chunks) == "begun"
        await manager.shutdown(wait=0)
        assert builder.closed
        assert builder.uses == [False, False]
        with SHUT:
            await anext(chunks)
    assert builder.uses == [False, False]


async def test_a_reader_that_comes_while_its_stream_is_closed_gets_the_same_error() -> None:
    closing, go_on = asyncio.Event(), asyncio.Event()

    async def slow(message: Message, context: Context) -> AsyncGenerator[str, None]:
        try:
            yield "begun"
            yield "more"
        finally:
            closing.set()
            await go_on.wait()

    manager = await SessionManager.create(entry_function=declare(slow))
    async with manager.run("x") as runner:
        chunks = runner.result_stream()
        await anext(chunks)
        shutting = asyncio.create_task(manager.shutdown(wait=0))
        await closing.wait()
        with SHUT:
            await anext(chunks)
        go_on.set()
        await shutting


async def test_after_a_shutdown_nothing_begins() -> None:
    began: list[str] = []

    async def begin(message: Message, context: Context) -> str:
        began.append(message.text)
        return ""

    manager = await SessionManager.create(entry_function=declare(begin))
    async with manager.session() as session, session.run("early") as runner:
        await manager.shutdown(wait=0)
        with SHUT:
            await runner.result()
        with SHUT:
            async with session.run("again"):
                pass
    with SHUT:
        await say(manager, user_id="ann")
    with SHUT:
        await manager._get_or_create_per_user_builder("ann")
    assert began == []


async def test_waiters_for_a_place_or_a_builder_are_told_of_the_shutdown() -> None:
    log = Log()
    log.hold("ben")
    manager = await SessionManager.create(
        WorkflowConfig(max_concurrency=1), entry_function=declare(own, per_user_builder=log.build)
    )
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(manager.session("ann"))
        await stack.enter_async_context(session.run("holds the place"))
        waiters = [asyncio.create_task(say(manager, user_id=user)) for user in ("ann", "ben")]
        await log.until("ben building")
        await manager.shutdown(wait=0)
        for task in waiters:
            with SHUT:
                await task
        assert session.opened.info is not None
        assert free(session.opened.info.semaphore) == 0
    assert free(session.opened.info.semaphore) == 1
    assert session.opened.info.ref_count == 0


async def test_a_run_that_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_pool, "END_WAIT", 0.02)
    free = asyncio.Event()

    async def deaf(message: Message, context: Context) -> str:
        await deaf_until(free)
        return ""

    manager = await SessionManager.create(entry_function=declare(deaf))
    running = asyncio.create_task(say(manager, user_id="ann"))
    await turns()
    try:
        async with asyncio.timeout(10):
            await manager.shutdown(wait=0)
        assert not running.done()
    finally:
        free.set()
    await asyncio.wait([running])


# --- errors of callbacks, and of their clean-up


async def test_a_callbacks_own_timeout_is_no_deadline() -> None:
    async def pay(message: Message, context: Context) -> str:
        prompt = TextPrompt(text="Pay?", timeout=60, default="yes")
        return (await context.ask(prompt)).text

    async def fails(prompt: Any) -> str:
        raise TimeoutError("the mail server")

    async with managing(declare(pay)) as manager:
        with pytest.raises(TimeoutError, match="mail server"):
            await say(manager, user_input_callback=fails)


async def test_no_callback_goes_on_once_another_has_failed() -> None:
    was_cancelled = asyncio.Event()

    async def pay(message: Message, context: Context) -> str:
        await context.ask_all([TextPrompt(text="Pay?"), TextPrompt(text="When?")])
        return "paid"

    async def asks(prompt: Any) -> str:
        if prompt.text == "Pay?":
            raise ValueError("no money")
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()
        return ""

    async with managing(declare(pay)) as manager:
        with pytest.raises(ValueError, match="no money"):
            await say(manager, user_input_callback=asks)
        assert was_cancelled.is_set()


async def test_at_the_deadline_the_default_is_the_answer() -> None:
    async def pay(message: Message, context: Context) -> str:
        response = await context.ask(TextPrompt(text="Pay?", timeout=0.01, default="no"))
        return f"{response.text} {response.is_default}"

    async with managing(declare(pay)) as manager:
        assert await say(manager, user_input_callback=answer) == "no True"


@pytest.mark.slow
async def test_a_clean_up_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with managing_with_log(own, per_user_idle=0.01) as (manager, log):
        evict_idle = manager._pool.user_builders.evict_idle
        failures: list[bool] = []

        async def fail_first(seconds: float) -> int:
            if not failures:
                failures.append(True)
                raise RuntimeError("once")
            return await evict_idle(seconds)

        monkeypatch.setattr(manager._pool.user_builders, "evict_idle", fail_first)
        await say(manager, user_id="ann")
        await log.until("ann closed")
    assert failures
