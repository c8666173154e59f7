"""Tests of `SessionManager` under random interleavings of session, cancel, evict and shutdown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from pydantic import BaseModel

from sessions_app.errors import BuilderFailed, RunEnded, SessionsError
from sessions_app.pool.builders import PerUserBuilderInfo
from sessions_app.sessions.manager import Session, SessionManager
from sessions_app.workflows import Context, Message, Person
from sessions_app.workflows.config import WorkflowConfig
from tests.support.sessions import declare

USERS = st.sampled_from(["ann", "ben"])


@dataclass
class Thing:
    """A builder's product, with its state as the factory knows it."""

    user: str
    gate: "asyncio.Future[bool]"
    alive: bool = True
    ready: bool = False
    closed: bool = False


@dataclass
class Visit:
    """A user's session, which uses its builder whenever the test decides."""

    work: "asyncio.Queue[str]"
    task: "asyncio.Task[None]"


class Interleavings(RuleBasedStateMachine):
    """A state machine in which the event loop turns only when a rule turns it."""

    visits = Bundle("visits")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.things: list[Thing] = []
        self.held: dict[int, Session] = {}
        self.cancelled: set[asyncio.Task[Any]] = set()
        self.shutting = False
        self.works: list[asyncio.Queue[str]] = []
        self.infos: list[PerUserBuilderInfo] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.wrong: list[str] = []
        self.free = False  # True: builds and closings no longer wait
        workflow = declare(self.use, per_user_builder=self.build)
        config = WorkflowConfig(max_concurrency=2, per_user_idle=1e-9)
        self.manager = self.loop.run_until_complete(
            SessionManager.create(config, entry_function=workflow)
        )
        cleanup = self.manager._per_user_builders_cleanup_task
        assert cleanup is not None
        cleanup.cancel()  # a rule calls the clean-up instead

    # --- the hosted code

    @asynccontextmanager
    async def build(self, user: Person, options: BaseModel) -> AsyncIterator[Thing]:
        thing = Thing(user.username, self.loop.create_future())
        self.things.append(thing)
        try:
            if not self.free and not await thing.gate:
                raise OSError("no such host")
            thing.ready = True
            yield thing
            thing.closed = True
            thing.gate = self.loop.create_future()
            if not self.free:
                await thing.gate
        finally:
            thing.alive = False

    async def use(self, message: Message, context: Context) -> None:
        work = self.works[int(message.id)]
        builder = context.builder
        while await work.get() == "look":
            if builder.closed or not builder.ready:
                self.wrong.append("a builder was used that is closed, or not ready")

    async def visit(self, user: str, number: int) -> None:
        async with self.manager.session(user) as session:
            assert session.opened.info is not None
            self.infos.append(session.opened.info)
            self.held[number] = session
            try:
                async with session.run(Message("x", id=str(number))) as runner:
                    await runner.result()
            finally:
                del self.held[number]

    def begin(self, coroutine: Any) -> "asyncio.Task[Any]":
        task = self.loop.create_task(coroutine)
        self.tasks.append(task)
        return task

    def cut(self, task: "asyncio.Task[Any]") -> None:
        self.cancelled.add(task)
        task.cancel()

    def turn(self, times: int) -> None:
        async def turns() -> None:
            for _ in range(times):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    # --- rules of the state machine

    @rule(target=visits, user=USERS)
    def session(self, user: str) -> Visit:
        work: asyncio.Queue[str] = asyncio.Queue()
        self.works.append(work)
        return Visit(work, self.begin(self.visit(user, len(self.works) - 1)))

    @rule(visit=visits, action=st.sampled_from(["look", "leave"]))
    def tell(self, visit: Visit, action: str) -> None:
        visit.work.put_nowait(action)

    @rule(visit=visits)
    def cancel(self, visit: Visit) -> None:
        self.cut(visit.task)

    @precondition(lambda self: any(not thing.gate.done() for thing in self.things))
    @rule(index=st.integers(0, 9), succeed=st.booleans())
    def let_go_on(self, index: int, succeed: bool) -> None:
        """Let a build succeed or fail, or let a closing end."""
        waiting = [thing.gate for thing in self.things if not thing.gate.done()]
        waiting[index % len(waiting)].set_result(succeed)

    @rule(user=USERS)
    def evict(self, user: str) -> None:
        self.begin(self.manager._pool.user_builders.evict(user))

    @rule()
    def clean_up(self) -> None:
        self.begin(self.manager._cleanup_inactive_per_user_builders())

    @rule(index=st.integers(0, 99))
    @precondition(lambda self: self.tasks)
    def cancel_any(self, index: int) -> None:
        """Cancel any task, even one that evicts, cleans up or shuts down."""
        self.cut(self.tasks[index % len(self.tasks)])

    @precondition(lambda self: len(self.works) > 2)
    @rule(wait=st.sampled_from([0.0, 60.0]))
    def shutdown(self, wait: float) -> None:
        self.shutting = True
        self.begin(self.manager.shutdown(wait))

    @rule(times=st.integers(1, 12))
    def go_on(self, times: int) -> None:
        self.turn(times)

    # --- invariants

    @invariant()
    def one_builder_of_a_user_is_alive(self) -> None:
        alive = [thing.user for thing in self.things if thing.alive]
        assert len(alive) == len(set(alive)), "built twice while alive"

    @invariant()
    def what_a_session_holds_is_there(self) -> None:
        for session in self.held.values():
            assert session.opened.info is not None
            thing = session.opened.info.builder
            assert thing.ready, "not ready"
            assert not thing.closed or (self.shutting and session.opened._ended), "evicted in use"

    @invariant()
    def nothing_was_used_wrongly(self) -> None:
        assert not self.wrong, self.wrong

    @invariant()
    def references_are_of_sessions(self) -> None:
        held = sum(info.ref_count for info in self.manager.builders.values())
        assert held <= len(self.manager._pool._opened)

    def teardown(self) -> None:
        """Let all tasks end, and check that nothing is left."""
        self.loop.run_until_complete(self.come_to_an_end())
        try:
            assert not any(info.ref_count for info in self.infos)
            assert not self.manager.builders
            assert not self.manager._pool._opened
            assert not self.manager._pool.user_builders._closing
            assert not [thing for thing in self.things if thing.alive], "leaked"
            assert not asyncio.all_tasks(self.loop)
            self.nothing_was_used_wrongly()
            for task in self.tasks:
                if task.cancelled():
                    assert task in self.cancelled, "cancelled by another"
                else:
                    assert self.expected(task.exception())
        finally:
            self.loop.close()

    def expected(self, error: BaseException | None) -> bool:
        """Return whether an error is allowed: a failed build, or a shutdown's effect."""
        if isinstance(error, BuilderFailed) and "OSError" in str(error):
            return True
        return error is None or (self.shutting and isinstance(error, (RunEnded, SessionsError)))

    async def come_to_an_end(self) -> None:
        self.free = True
        for thing in self.things:
            if not thing.gate.done():
                thing.gate.set_result(True)
        visits = [task for task in self.tasks if not task.done()]
        for task in visits:
            self.cut(task)
        await asyncio.gather(*visits, return_exceptions=True)
        await self.manager.shutdown()


Interleavings.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestInterleavings = Interleavings.TestCase
