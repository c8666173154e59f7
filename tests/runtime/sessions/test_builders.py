"""Tests of builders: built once, for users in parallel, evicted only when unused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from sessions_app.errors import BuilderFailed, RunEnded, SessionsError
from sessions_app.pool.builders import PerUserBuilderInfo
from sessions_app.sessions.manager import SessionManager
from sessions_app.workflows import Context, Message, Person
from tests.support.sessions import Log, declare, managing, managing_with_log, say, turns


async def own(message: Message, context: Context) -> str:
    return f"{context.user_id} has {context.builder.name}"


async def test_builders_of_different_users_are_built_at_the_same_time() -> None:
    async with managing_with_log(own) as (manager, log):
        gates = [log.hold("ann"), log.hold("ben")]
        sessions = [asyncio.create_task(say(manager, user_id=user)) for user in ("ann", "ben")]
        await log.until("ann building")
        await log.until("ben building")
        for gate in gates:
            gate.set()
        assert await asyncio.gather(*sessions) == ["ann has ann#1", "ben has ben#1"]


async def test_a_build_that_fails_says_why_to_all_who_wait_and_is_not_kept() -> None:
    async with managing_with_log(own) as (manager, log):
        gate = log.hold("ann", error=OSError("no such host"))
        sessions = [asyncio.create_task(say(manager, user_id="ann")) for _ in range(2)]
        await log.until("ann building")
        gate.set()
        for session in sessions:
            with pytest.raises(BuilderFailed, match="OSError: no such host"):
                await session
        assert not manager.builders
        assert await say(manager, user_id="ann") == "ann has ann#2"


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_build_from_others() -> None:
    async with managing_with_log(own) as (manager, log):
        gate = log.hold("ann")
        first, second = (asyncio.create_task(say(manager, user_id="ann")) for _ in range(2))
        await log.until("ann building")
        first.cancel()
        await asyncio.wait([first])
        gate.set()
        assert await second == "ann has ann#1"


async def test_a_build_that_nobody_waits_for_is_given_up_and_the_next_request_builds() -> None:
    async with managing_with_log(own) as (manager, log):
        log.hold("ann")  # the build hangs
        session = asyncio.create_task(say(manager, user_id="ann"))
        await log.until("ann building")
        session.cancel()
        await asyncio.wait([session])
        log.gates.clear()
        assert await say(manager, user_id="ann") == "ann has ann#2"


async def test_a_builder_is_entered_and_left_in_one_task_outside_of_the_request() -> None:
    tasks_and_users: list[tuple[Any, Any]] = []

    @asynccontextmanager
    async def build(user: Person, options: BaseModel) -> AsyncIterator[str]:
        tasks_and_users.append((asyncio.current_task(), None))
        # Fails if entered and left in different tasks, like a cancel scope.
        async with asyncio.timeout(60):
            yield "x"
        tasks_and_users.append((asyncio.current_task(), manager._get_user_id_from_context()))

    workflow = declare(own, per_user_builder=build)
    async with managing(workflow) as manager, manager.session("ann"):
        assert manager._get_user_id_from_context() == "ann"
    [(entry_task, _), (exit_task, user)] = tasks_and_users
    assert entry_task is exit_task is not asyncio.current_task()
    assert user is None


async def test_a_request_during_an_eviction_waits_for_the_close_and_builds_anew() -> None:
    async with managing_with_log(own) as (manager, log):
        await say(manager, user_id="ann")
        gate = log.hold("ann closing")
        eviction = asyncio.create_task(manager._pool.user_builders.evict("ann"))
        await log.until("ann closing")
        session = asyncio.create_task(say(manager, user_id="ann"))
        other = await say(manager, user_id="ben")  # ben does not wait for ann's closing
        assert other == "ben has ben#1"
        assert log.entries.count("ann building") == 1
        gate.set()
        assert await eviction
        assert await session == "ann has ann#2"


async def test_an_eviction_waits_for_a_close_that_another_began() -> None:
    async with managing_with_log(own) as (manager, log):
        await say(manager, user_id="ann")
        gate = log.hold("ann closing")
        idle = asyncio.create_task(manager._pool.user_builders.evict_idle(0))
        await log.until("ann closing")
        # The eviction by a host, which gives the user's key to other workers afterwards.
        eviction = asyncio.create_task(manager._pool.user_builders.evict("ann"))
        await turns()
        assert not eviction.done()
        gate.set()
        assert (await idle, await eviction) == (1, False)


async def test_an_eviction_waits_for_a_build_that_is_given_up() -> None:
    building, closed = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def build(user: Person, options: BaseModel) -> AsyncIterator[str]:
        building.set()
        try:
            await asyncio.Event().wait()
        finally:
            await closed.wait()
        yield ""

    async with managing(declare(own, per_user_builder=build)) as manager:
        session = asyncio.create_task(say(manager, user_id="ann"))
        await building.wait()
        session.cancel()
        await asyncio.wait([session])
        eviction = asyncio.create_task(manager._pool.user_builders.evict("ann"))
        await turns()
        assert not eviction.done()
        closed.set()
        assert not await eviction


async def test_a_builder_is_not_evicted_while_a_session_uses_it() -> None:
    async with managing_with_log(own) as (manager, log):
        async with manager.session("ann"):
            assert not await manager._pool.user_builders.evict("ann")
            assert "ann closing" not in log.entries
        assert await manager._pool.user_builders.evict("ann")


async def test_a_session_cannot_be_used_after_its_end() -> None:
    async with managing_with_log(own) as (manager, _):
        async with manager.session("ann") as session:
            pass
        with pytest.raises(SessionsError, match="has ended"):
            async with session.run("x"):
                pass


async def test_shutdown_ends_what_is_left_and_closes_users_builders_before_the_shared_one() -> None:
    log = Log()

    async def use(message: Message, context: Context) -> str:
        await asyncio.Event().wait()
        return ""

    manager = await SessionManager.create(
        entry_function=declare(use, per_user_builder=log.build), shared_builder=log.build_shared
    )
    async with manager.session("ann") as session, session.run("x") as runner:
        await manager.shutdown(wait=0.01)
        with pytest.raises(RunEnded):
            _ = runner.context.builder
    assert log.entries[-2:] == ["ann closed", "shared closed"]


async def test_shutdown_waits_for_a_session_and_a_cancelled_one_goes_on_shutting_down() -> None:
    log = Log()
    manager = await SessionManager.create(entry_function=declare(own, per_user_builder=log.build))
    async with manager.session("ann") as session:
        first = asyncio.create_task(manager.shutdown(wait=60))
        await turns()
        first.cancel()
        await asyncio.wait([first])
        await turns()
        assert "ann closed" not in log.entries
        async with session.run("x") as runner:
            assert await runner.result() == "ann has ann#1"
    await turns()  # nothing awaits the closing; these turns of the loop suffice for it
    assert "ann closed" in log.entries
    await manager.shutdown()


async def test_a_ready_shared_builder_stays_its_callers() -> None:
    async def shared(message: Message, context: Context) -> str:
        return str(context.builder["name"])

    async with managing(declare(shared), shared_builder={"name": "ready"}) as manager:
        assert manager.shared_builder == {"name": "ready"}
        assert await say(manager) == "ready"


async def test_a_shared_builder_that_fails_fails_the_creation() -> None:
    def broken(options: BaseModel) -> None:
        raise OSError("no key")

    with pytest.raises(BuilderFailed, match="no key"):
        await SessionManager.create(entry_function=declare(own), shared_builder=broken)


def test_the_record_of_a_builder_is_validated() -> None:
    semaphore = asyncio.Semaphore(1)
    info = PerUserBuilderInfo(builder=None, workflow=None, semaphore=semaphore)
    info.record_request(12.5, success=True)
    info.record_request(7.5, success=False)
    assert (info.total_requests, info.error_count, info.total_latency_ms) == (2, 1, 20.0)
    with pytest.raises(ValidationError):
        info.ref_count = -1
    with pytest.raises(ValidationError):
        PerUserBuilderInfo.model_validate({"builder": None, "workflow": None, "semaphore": "none"})
