"""The session API: `SessionManager` gives sessions on one workflow; a `Session` runs it.

The names are those of the NeMo Agent Toolkit's runtime (docs/architecture.md maps them).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sessions_app.builder import Built, PerUserBuilderInfo, build
from sessions_app.config import WorkflowConfig
from sessions_app.context import Driver, Message, Scope
from sessions_app.errors import NoPerson, SessionsError
from sessions_app.interactive import AnyPrompt
from sessions_app.locks import KeyLocks
from sessions_app.people import Person
from sessions_app.runner import Runner
from sessions_app.slots import Slot
from sessions_app.standalone import Script
from sessions_app.workflows.registry import NoOptions, Offered, Workflow

CLEANUP_EVERY = 30.0
SHUTDOWN_WAIT = 10.0

UserInputCallback = Callable[[AnyPrompt], Awaitable[str | list[str]]]


async def _nobody(prompt: AnyPrompt) -> str:
    raise NoPerson


class Session:
    """One request's hold on a workflow and its builder. Made by `SessionManager.session`."""

    def __init__(
        self, manager: "SessionManager", user: Person, info: PerUserBuilderInfo | None
    ) -> None:
        self.session_manager = manager
        self._user = user
        self._info = info
        self.conversation_id = ""
        self.metadata: dict[str, Any] = {}
        self.user_input_callback: UserInputCallback = _nobody

    @property
    def user_id(self) -> str:
        """The user's id as text."""
        return str(self._user.id)

    @property
    def workflow(self) -> Workflow:
        """The workflow that this session runs."""
        return self.session_manager.entry

    @asynccontextmanager
    async def run(
        self, message: Message | str, *, run_id: str = "", driver: Driver | None = None
    ) -> AsyncIterator[Runner]:
        """Take a place under the concurrency limit and run the workflow for one message.

        Args:
            driver: what the context stands on; without one, a script's: nothing is stored and
                prompts go to the session's `user_input_callback`.
        """
        given = Message(message) if isinstance(message, str) else message
        manager = self.session_manager
        builder = manager.shared_builder if self._info is None else self._info.builder
        scope = Scope(
            message=given,
            user=self._user,
            conversation_id=self.conversation_id,
            run_id=run_id,
            metadata=self.metadata,
            builder=builder.value if isinstance(builder, Built) else builder,
            options=manager.options,
        )
        semaphore = manager.semaphore if self._info is None else self._info.semaphore
        began, success = time.monotonic(), False
        slot = Slot(semaphore)
        try:
            async with slot:
                runner = Runner(
                    manager.entry, scope, driver or Script(self.user_input_callback), slot
                )
                try:
                    yield runner
                finally:
                    runner.close()
            success = not runner.failed
        finally:
            if self._info is not None:
                spent = time.monotonic() - began - slot.waited
                self._info.record_request(max(spent, 0) * 1000, success)


class SessionManager:
    """Sessions on one workflow: its builders, its limit, and the clean-up of idle builders.

    Use `create` to make one and `shutdown` to end it.
    """

    def __init__(self, offered: Offered) -> None:
        self.entry = offered.workflow
        self.config: WorkflowConfig = offered.config
        self.options = offered.options
        self.semaphore = asyncio.Semaphore(offered.config.max_concurrency)
        self.shared_builder: Any = None
        self._per_user: dict[str, PerUserBuilderInfo] = {}
        self._locks = KeyLocks()
        self._cleanup: asyncio.Task[None] | None = None
        self._closed = False
        self._sessions = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def create(
        cls,
        config: WorkflowConfig | None = None,
        shared_builder: Callable[..., Any] | None = None,
        entry_function: Workflow | Offered | None = None,
        max_concurrency: int | None = None,
    ) -> "SessionManager":
        """Build the shared builder, if any, and begin the clean-up of idle ones.

        Args:
            entry_function: the workflow; one that is offered brings its configuration along.
            max_concurrency: overrides the configuration's (default 8).

        Raises:
            BuilderFailed: the shared builder could not be built.
        """
        if isinstance(entry_function, Workflow):
            entry_function = Offered(entry_function, config or WorkflowConfig(), NoOptions())
        if entry_function is None:
            raise SessionsError("SessionManager.create() needs the workflow as entry_function.")
        if max_concurrency is not None:
            changed = entry_function.config.model_copy(update={"max_concurrency": max_concurrency})
            entry_function = Offered(entry_function.workflow, changed, entry_function.options)
        manager = cls(entry_function)
        factory = shared_builder or manager.entry.shared_builder
        if factory is not None:
            manager.shared_builder = await build(factory, manager.options)
        if manager.is_workflow_per_user:
            manager._cleanup = asyncio.create_task(manager._run_periodic_cleanup())
        return manager

    @property
    def is_workflow_per_user(self) -> bool:
        """Whether each user has a builder of their own."""
        return self.entry.per_user_builder is not None

    @property
    def workflow(self) -> Workflow:
        """The workflow, where all users share it.

        Raises:
            ValueError: it is per user; `session(user_id=…).workflow` has it.
        """
        if self.is_workflow_per_user:
            raise ValueError(
                "This workflow is per user: open a session(user_id=…) and use its workflow."
            )
        return self.entry

    @property
    def builders(self) -> dict[str, PerUserBuilderInfo]:
        """The live per-user builders by user id."""
        return dict(self._per_user)

    @asynccontextmanager
    async def session(
        self,
        user_id: str | int | None = None,
        *,
        user: Person | None = None,
        conversation_id: str = "",
        metadata: dict[str, Any] | None = None,
        user_input_callback: UserInputCallback | None = None,
    ) -> AsyncIterator[Session]:
        """Open a session: takes the user's builder (builds it if there is none) and gives it back
        on every way out.

        Raises:
            ValueError: the workflow is per user and nobody is identified.
            BuilderFailed: the user's builder could not be built.
        """
        person = user or Person(int(user_id or 0), str(user_id or ""))
        if self._closed:
            raise SessionsError("This SessionManager is shut down.")
        if self.is_workflow_per_user and not person.id:
            raise ValueError(
                "This workflow is per user: give session() a user_id, or identify the user by a "
                "signed-in request."
            )
        self._sessions += 1
        self._idle.clear()
        try:
            info = await self._acquire(person) if self.is_workflow_per_user else None
            try:
                session = Session(self, person, info)
                session.conversation_id = conversation_id
                session.metadata = metadata or {}
                session.user_input_callback = user_input_callback or _nobody
                yield session
            finally:
                if info is not None:
                    info.ref_count -= 1
                    info.last_activity = time.monotonic()
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._idle.set()

    async def run(
        self, message: Message | str, *, user_id: str | None = None, **session: Any
    ) -> Any:
        """Run the workflow once and return its result; `session` as for `session()`."""
        async with (
            self.session(user_id, **session) as opened,
            opened.run(message) as runner,
        ):
            return await runner.result()

    async def evict(self, user_id: str) -> bool:
        """Close the user's builder unless it is in use. False if it is, or if there is none."""
        async with self._locks.hold(user_id):
            info = self._per_user.get(user_id)
            # Between this check and the removal nothing awaits: no session can take it meanwhile.
            # The lock keeps a new builder from being built before the old one is closed.
            if info is None or info.ref_count:
                return False
            del self._per_user[user_id]
            await info.builder.close()
            return True

    async def shutdown(self) -> None:
        """Stop the clean-up, wait a while for open sessions, then close users' builders and last
        the shared one.
        """
        self._closed = True
        if self._cleanup is not None:
            self._cleanup.cancel()
            await asyncio.gather(self._cleanup, return_exceptions=True)
        try:
            async with asyncio.timeout(SHUTDOWN_WAIT):
                await self._idle.wait()
        except TimeoutError:
            pass
        infos, self._per_user = list(self._per_user.values()), {}
        for info in infos:
            await info.builder.close()
        if isinstance(self.shared_builder, Built):
            await self.shared_builder.close()

    async def _acquire(self, person: Person) -> PerUserBuilderInfo:
        """The user's builder with a reference taken before anything can evict it."""
        info = await self._get_or_create_per_user_builder(person)
        info.ref_count += 1
        info.last_activity = time.monotonic()
        return info

    async def _get_or_create_per_user_builder(self, person: Person) -> PerUserBuilderInfo:
        """Two requests of one user build once; different users build at the same time; a build
        that fails is not kept.
        """
        key = str(person.id)
        if (known := self._per_user.get(key)) is not None:
            return known
        async with self._locks.hold(key):
            if (known := self._per_user.get(key)) is not None:
                return known
            built = await build(self.entry.per_user_builder, person, self.options)
            info = PerUserBuilderInfo(
                builder=built,
                workflow=self.entry,
                semaphore=asyncio.Semaphore(self.config.max_concurrency),
            )
            self._per_user[key] = info
            return info

    async def _run_periodic_cleanup(self) -> None:
        every = min(CLEANUP_EVERY, self.config.per_user_idle)
        while True:
            await asyncio.sleep(every)
            await self._cleanup_inactive_per_user_builders()

    async def _cleanup_inactive_per_user_builders(self) -> int:
        """Close the builders that nothing used for `per_user_idle` seconds; returns how many."""
        limit = time.monotonic() - self.config.per_user_idle
        idle = [key for key, info in self._per_user.items() if info.last_activity < limit]
        return sum([await self.evict(key) for key in idle])
