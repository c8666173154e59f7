"""A session: one request's use of a workflow and its builder."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any, Generic, NoReturn, Protocol, TypeAlias, TypeVar
from uuid import uuid4

from pydantic import BaseModel

from sessions_app.errors import NoPerson, SessionsError
from sessions_app.logs import Log
from sessions_app.models.people import AnyUserId
from sessions_app.sessions.builder import PerUserBuilderInfo
from sessions_app.sessions.runner import Runner, Stop
from sessions_app.sessions.standalone import ScriptBackend, user_input_callback
from sessions_app.workflows import request_context
from sessions_app.workflows.backend import Backend
from sessions_app.workflows.concurrency import Limit, Slot
from sessions_app.workflows.context import current_context
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.registry import Workflow
from sessions_app.workflows.request_context import workflow_parent_id, workflow_parent_name
from sessions_app.workflows.run_info import Message, RunInfo, RuntimeTypeEnum, user_auth_callback

log = Log(__name__)

# Seconds that a run may take to end once it was cancelled by a shutdown; then it is left behind.
END_WAIT = 10.0


async def _nobody(*_: object) -> NoReturn:
    raise NoPerson


class Manager(Protocol):
    """The part of a manager that its sessions need."""

    @property
    def options(self) -> BaseModel:
        """The workflow's options."""

    @property
    def runtime_type(self) -> RuntimeTypeEnum:
        """The purpose of its runs."""

    @property
    def shared_builder(self) -> object:
        """The builder that all users share."""

    async def run_beside(self, workflow: str, message: object) -> object:
        """Run another workflow in the session that is open here; the result."""


M = TypeVar("M", bound=Manager)
T = TypeVar("T")


class Session(Generic[M]):
    """The use of a workflow and its builder by one request. Made by `SessionManager.session`.

    Whom it serves, and who answers its prompts, it has from the context in which it is made. A
    `semaphore` that is a null context is no limit.
    """

    def __init__(
        self,
        session_manager: M,
        workflow: Workflow,
        semaphore: Limit,
        user_id: AnyUserId | None = None,
    ) -> None:
        self._session_manager = session_manager
        self._workflow = workflow
        self._semaphore = semaphore
        self._request = request_context.request_of(user_id)
        self._user_id = self._request.user_id or None
        self._ask = user_input_callback.get()
        self._authenticate = user_auth_callback.get()
        self._runners: set[Runner] = set()
        self._ended = False
        self._stop = Stop()
        self._info: PerUserBuilderInfo | None = None

    @property
    def user_id(self) -> str | None:
        """The user's id as text; None where nobody is identified."""
        return self._user_id

    @property
    def workflow(self) -> Workflow:
        """The workflow that this session runs."""
        return self._workflow

    @property
    def session_manager(self) -> M:
        """The manager that made the session."""
        return self._session_manager

    @property
    def conversation_id(self) -> str:
        """The conversation's id, given or of the request's header; may be empty."""
        return self._request.conversation_id

    def use(self, info: PerUserBuilderInfo) -> None:
        """Use the user's own builder and limit; runs are recorded there."""
        self._info, self._semaphore = info, info.semaphore

    @asynccontextmanager
    async def run(  # noqa: PLR0913 - the toolkit's names, and what a host adds
        self,
        message: object,
        runtime_type: RuntimeTypeEnum | None = None,
        parent_id: str | None = None,
        parent_name: str | None = None,
        *,
        run_id: str = "",
        backend: Backend | None = None,
        version: int | None = None,
    ) -> AsyncIterator[Runner]:
        """Take a slot under the concurrency limit, and run the workflow for one message.

        Args:
            message: what the person wrote, or another value that the workflow takes
                (`SessionManager.get_workflow_input_schema`).
            runtime_type: what the run is for; else the manager's.
            parent_id: the step of another workflow that calls this one; `parent_name` its name.
                Else those of the request's headers.
            run_id: the run's id as text; else a new one.
            backend: what the context stands on; without one, a script's: nothing is stored and
                prompts go to the session's `user_input_callback`.
            version: of the workflow; else the newest.

        Raises:
            UnknownVersion: the workflow is not declared in that version.
            SessionsError: the session has ended, or its manager is shut down.
        """
        self._check()
        slot = Slot(self._semaphore, self.user_id or "")
        stands_on = backend or ScriptBackend(self._ask or _nobody, self._session_manager.run_beside)
        stands_on.attach(slot)
        began, failed = time.monotonic(), False
        try:
            await self._stop.guard(slot.take())
            self._check()
            parent = _parent(parent_id, parent_name)
            info = RunInfo(
                message=Message(message) if isinstance(message, str) else message,
                request=self._request,
                run_id=run_id or str(uuid4()),
                builder=self._builder(),
                options=self._session_manager.options,
                authenticate=slot.waiting(self._authenticate or _nobody),
                parent=(parent[workflow_parent_id], parent[workflow_parent_name]),
                runtime_type=runtime_type or self._session_manager.runtime_type,
            )
            code = self.workflow if version is None else self.workflow.of_version(version)
            runner = Runner(code, info, stands_on, self._stop)
            self._runners.add(runner)
            try:
                with bind({current_context: runner.context, **parent}):
                    yield runner
            finally:
                self._runners.discard(runner)
                await runner.close()
                failed = runner.failed
        except Exception:
            failed = True
            raise
        finally:
            slot.end()
            self._record(time.monotonic() - began - slot.waited, failed=failed)

    def end(self) -> None:
        """End the session: it runs nothing more, and its runs may not use its context and
        builder.
        """
        self._ended = True
        for runner in self._runners:
            runner.execution.close()

    async def stop(self, reason: str) -> None:
        """End it from outside: all that waits in it gets a `SessionsError` with the reason. Returns
        when its runs use nothing any more.
        """
        self._stop.now(reason)
        try:
            # What a workflow's clean-up raises now, nobody waits for.
            runners = [runner.stop() for runner in self._runners]
            await asyncio.gather(*runners, return_exceptions=True)
        finally:
            self.end()

    async def guard(self, work: Awaitable[T]) -> T:
        """Await something, unless the session is stopped meanwhile.

        Raises:
            SessionsError: it is; says why.
        """
        return await self._stop.guard(work)

    def _check(self) -> None:
        self._stop.check()
        if self._ended:
            raise SessionsError("This session has ended; open another one.")

    def _record(self, seconds: float, *, failed: bool) -> None:
        if self._info is not None:
            self._info.record_request(max(seconds, 0) * 1000, success=not failed)

    def _builder(self) -> object:
        return self._session_manager.shared_builder if self._info is None else self._info.builder


def _parent(*values: str | None) -> dict[ContextVar[str | None], str | None]:
    """Return the id and name of the step that calls a run: as given, else those that stand here."""
    variables = (workflow_parent_id, workflow_parent_name)
    return {
        variable: variable.get() if value is None else value
        for variable, value in zip(variables, values, strict=True)
    }


AnySession: TypeAlias = Session[Any]


class OpenSessions:
    """The open sessions of a manager."""

    def __init__(self) -> None:
        self._open: set[AnySession] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, session: AnySession) -> None:
        """Note an open session, until `end`."""
        self._open.add(session)
        self._none.clear()

    def end(self, session: AnySession) -> None:
        """End the session."""
        session.end()
        self._open.discard(session)
        if not self._open:
            self._none.set()

    async def end_all(self, wait: float, reason: str) -> None:
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
