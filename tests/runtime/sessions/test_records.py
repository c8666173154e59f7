"""Tests of a builder's metrics, and of when a builder counts as idle."""

import asyncio
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sessions_app.pool import workflow_pool
from sessions_app.sessions.manager import SessionManager
from sessions_app.workflows import Context, Message, TextPrompt, concurrency
from tests.support.hosting import until_true
from tests.support.sessions import managing_with_log, say


class Clock:
    """A monotonic clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the clock's time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (workflow_pool, concurrency):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


async def test_latency_is_the_runs_time_without_that_of_people(clock: Clock) -> None:
    async def work(message: Message, context: Context) -> None:
        clock.now += 1
        await context.ask(TextPrompt(text="?"))
        await context.user_auth_callback()
        clock.now += 2

    async def answer(*prompts: Any) -> str:
        clock.now += 100
        return "x"

    callbacks: dict[str, Any] = {
        "user_input_callback": answer,
        "user_authentication_callback": answer,
    }
    async with managing_with_log(work) as (manager, _):
        for _ in range(2):
            await say(manager, user_id="ann", **callbacks)
        assert manager.builders["ann"].total_latency_ms == 6000


async def act(message: Message, context: Context) -> str:
    if message.text == "fail":
        raise KeyError(message.text)
    if message.text == "hang":
        await asyncio.Event().wait()
    return message.text


async def visit(manager: SessionManager, text: str) -> None:
    await say(manager, text, user_id="ann")


async def test_errors_are_counted_but_cancelled_runs_are_no_errors() -> None:
    async with managing_with_log(act) as (manager, _):
        await visit(manager, "well")
        info = manager.builders["ann"]
        assert (info.total_requests, info.error_count) == (1, 0)
        with pytest.raises(KeyError):
            await visit(manager, "fail")
        assert (info.total_requests, info.error_count) == (2, 1)
        hanging = asyncio.create_task(visit(manager, "hang"))
        await until_true(lambda: info.ref_count == 1)
        hanging.cancel()
        await asyncio.wait([hanging])
        assert (info.total_requests, info.error_count) == (3, 1)


async def test_an_error_counts_that_the_caller_handles_in_the_block_or_makes_there() -> None:
    async with managing_with_log(act) as (manager, _):
        async with manager.run("fail", user_id="ann") as runner:
            with pytest.raises(KeyError):
                await runner.result()
        assert manager.builders["ann"].error_count == 1
        with pytest.raises(ZeroDivisionError):
            async with manager.run("well", user_id="ann"):
                _ = 1 / 0
        assert manager.builders["ann"].error_count == 2


async def test_a_session_is_activity_when_it_begins_and_when_it_ends() -> None:
    async with managing_with_log(act) as (manager, _):
        await visit(manager, "well")
        info = manager.builders["ann"]
        info.last_activity = long_ago = info.last_activity - timedelta(seconds=1000)
        before = time.monotonic()
        async with manager.session("ann"):
            assert info.active_at >= before
            info.last_activity = long_ago
            before = time.monotonic()
        assert info.active_at >= before


async def test_the_end_of_a_build_is_activity() -> None:
    async with managing_with_log(act) as (manager, log):
        gate = log.hold("ann")
        visiting = asyncio.create_task(visit(manager, "hang"))
        await log.until("ann building")
        info = manager.builders["ann"]
        info.last_activity -= timedelta(seconds=1000)
        before = time.monotonic()
        gate.set()
        await until_true(lambda: info.builder is not None)
        assert info.active_at >= before
        visiting.cancel()
        await asyncio.wait([visiting])
