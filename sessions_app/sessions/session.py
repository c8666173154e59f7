"""A session: one request's use of a workflow and its builder."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

import structlog
from pydantic import BaseModel

from sessions_app.errors import NoPerson, SessionsError
from sessions_app.models.people import Person
from sessions_app.sessions.builder import PerUserBuilderInfo
from sessions_app.sessions.runner import Runner, Stop
from sessions_app.sessions.standalone import ScriptBackend, UserInputCallback
from sessions_app.workflows import request_context
from sessions_app.workflows.backend import Backend
from sessions_app.workflows.concurrency import FairSemaphore, Slot
from sessions_app.workflows.context import current_context
from sessions_app.workflows.context_variables import bound
from sessions_app.workflows.registry import Workflow
from sessions_app.workflows.request_context import RequestContext
from sessions_app.workflows.run_info import AuthCallback, Message, RunInfo, RuntimeTypeEnum

log = structlog.get_logger(__name__)

# Seconds that a run may take to end once it was cancelled by a shutdown; then it is left behind.
END_WAIT = 10.0


async def _nobody(*_: Any) -> Any:
    raise NoPerson


class Manager(Protocol):
    """What a session needs of the manager that gave it."""

    @property
    def entry(self) -> Workflow:
        """The workflow that it runs."""

    @property
    def options(self) -> BaseModel:
        """The workflow's options."""

    @property
    def runtime_type(self) -> RuntimeTypeEnum:
        """What its runs are for."""

    @property
    def semaphore(self) -> FairSemaphore:
        """The limit of all users together."""

    @property
    def shared_builder(self) -> Any:
        """What all users share."""


M = TypeVar("M", bound=Manager)
T = TypeVar("T")


class Session(Generic[M]):
    """One request's use of a workflow and its builder. Made by `SessionManager.session`."""

    def __init__(
        self,
        manager: M,
        user: Person,
        request: RequestContext,
        *,
        ask: UserInputCallback | None = None,
        authenticate: AuthCallback | None = None,
    ) -> None:
        self._manager = manager
        self._user = user
        self._request = request
        self._ask = ask or _nobody
        self._authenticate = authenticate or _nobody
        self._runners: set[Runner] = set()
        self._ended = False
        self._stop = Stop()
        # The user's builder and its metrics, where the workflow is per user.
        self.info: PerUserBuilderInfo | None = None

    @property
    def user_id(self) -> str | None:
        """The user's id as text; None where nobody is identified."""
        return self._request.user_id or None

    @property
    def workflow(self) -> Workflow:
        """The workflow that this session runs."""
        return self._manager.entry

    @property
    def session_manager(self) -> M:
        """The manager that gave it."""
        return self._manager

    @property
    def conversation_id(self) -> str:
        """The conversation's id, given or of the request's header; may be empty."""
        return self._request.conversation_id

    @asynccontextmanager
    async def run(
        self,
        message: Message | str,
        runtime_type: RuntimeTypeEnum | None = None,
        parent_id: str | None = None,
        parent_name: str | None = None,
        *,
        run_id: str = "",
        backend: Backend | None = None,
    ) -> AsyncIterator[Runner]:
        """Take a slot under the concurrency limit, and run the workflow for one message.

        Args:
            message: what the person wrote.
            runtime_type: what the run is for; else the manager's.
            parent_id: the step of another workflow that calls this one; `parent_name` its name.
                Else those of the request's headers.
            run_id: the run's id as text; else a new one.
            backend: what the context stands on; without one, a script's: nothing is stored and
                prompts go to the session's `user_input_callback`.

        Raises:
            SessionsError: the session has ended, or its manager is shut down.
        """
        self._check()
        given = Message(message) if isinstance(message, str) else message
        parents = request_context.parents(parent_id, parent_name)
        of_user = self._manager.semaphore.of(self.user_id or "")
        slot = Slot(of_user if self.info is None else self.info.semaphore)
        began, failed = time.monotonic(), False
        try:
            async with AsyncExitStack() as stack:
                await self._stop.guard(stack.enter_async_context(slot))
                self._check()
                info = RunInfo(
                    message=given,
                    user=self._user,
                    request=self._request,
                    run_id=run_id or str(uuid4()),
                    builder=self._builder(),
                    options=self._manager.options,
                    authenticate=slot.waiting(self._authenticate),
                    parent=parents,
                    runtime_type=runtime_type or self._manager.runtime_type,
                )
                stands_on = backend or ScriptBackend(self._ask)
                runner = Runner(self.workflow, info, stands_on, slot, self._stop)
                try:
                    with bound(current_context, runner.context), self._driven(runner):
                        yield runner
                finally:
                    await runner.close()
                    failed = runner.failed
        except Exception:
            failed = True
            raise
        finally:
            self._record(time.monotonic() - began - slot.waited, failed=failed)

    def end(self) -> None:
        """It runs nothing more, and what it runs may not use its context and builder any more."""
        self._ended = True
        for runner in self._runners:
            runner.context.close()

    async def stop(self, reason: str) -> None:
        """End it from outside: all that waits in it gets a `SessionsError` with the reason. Returns
        when its runs use nothing any more.
        """
        self._stop.now(reason)
        try:
            # What a workflow's clean-up raises now, nobody waits for.
            runners = [runner.stopped() for runner in self._runners]
            await asyncio.gather(*runners, return_exceptions=True)
        finally:
            self.end()

    async def guard(self, work: Awaitable[T]) -> T:
        """Await it, unless the session is stopped meanwhile.

        Raises:
            SessionsError: it is; says why.
        """
        return await self._stop.guard(work)

    def _check(self) -> None:
        self._stop.check()
        if self._ended:
            raise SessionsError("This session has ended; open another one.")

    @contextmanager
    def _driven(self, runner: Runner) -> Iterator[None]:
        self._runners.add(runner)
        try:
            yield
        finally:
            self._runners.discard(runner)

    def _record(self, seconds: float, *, failed: bool) -> None:
        if self.info is not None:
            self.info.record_request(max(seconds, 0) * 1000, success=not failed)

    def _builder(self) -> Any:
        return self._manager.shared_builder if self.info is None else self.info.builder


class OpenSessions:
    """The sessions of one manager that are open."""

    def __init__(self) -> None:
        self._open: set[Session[Any]] = set()
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def opened(self, session: Session[Any]) -> Iterator[None]:
        """The session is open inside of the block."""
        self._open.add(session)
        self._none.clear()
        try:
            yield
        finally:
            session.end()
            self._open.discard(session)
            if not self._open:
                self._none.set()

    async def end(self, wait: float, reason: str) -> None:
        """Wait for their end up to `wait` seconds, then stop those that are left: until they use
        nothing any more, or `END_WAIT` seconds have passed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._none.wait()
        stops = [asyncio.create_task(session.stop(reason)) for session in self._open]
        if not stops:
            return
        _, late = await asyncio.wait(stops, timeout=END_WAIT)
        for stop in late:
            log.error("session.end_late", seconds=END_WAIT)
            stop.cancel()
