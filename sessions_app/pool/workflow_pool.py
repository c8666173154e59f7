"""The pool of one workflow: its shared builder, or a builder per user, and its open sessions."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from pydantic import BaseModel

from sessions_app.errors import SessionsError
from sessions_app.logs import Log
from sessions_app.pool.builders import SHUT, BuiltObject, PerUserBuilderInfo, UserBuilders
from sessions_app.pool.runner import Runner, Stop
from sessions_app.storage.periodic import repeat
from sessions_app.workflows.backend import Backend
from sessions_app.workflows.concurrency import Limit, Slot, limit_of
from sessions_app.workflows.context import Message, RunInfo, current_context
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.registry import OfferedWorkflow, Workflow
from sessions_app.workflows.request_context import RequestContext

log = Log(__name__)

# Maximum and minimum of the seconds between two checks for idle builders; and seconds that open
# requests may take to finish at a shutdown.
CLEANUP_EVERY = 30.0
CLEANUP_AT_MOST_EVERY = 1.0
SHUTDOWN_WAIT = 10.0
# Seconds that a run may take to end after a shutdown has cancelled it; then it is abandoned.
END_WAIT = 10.0


class OpenWorkflow:
    """An open workflow with its builder, used by one request; made by `WorkflowPool.open`.

    `limit` limits concurrent runs; a `nullcontext` is no limit. `info` is the record of the user's
    own builder; None for a shared builder, or before `acquire_builder`.
    """

    def __init__(
        self,
        workflow: Workflow,
        options: BaseModel,
        shared_builder: object,
        limit: Limit,
        request: RequestContext,
    ) -> None:
        self.workflow = workflow
        self.limit = limit
        self.request = request
        self.info: PerUserBuilderInfo | None = None
        self._options = options
        self._shared_builder = shared_builder
        self._runners: set[Runner] = set()
        self._ended = False
        self._stop = Stop()

    async def acquire_builder(self, builders: UserBuilders) -> None:
        """Acquire the user's builder; from now on the user's own limit applies to runs.

        Raises:
            BuilderFailed: the build failed; says why.
            SessionsError: this workflow was stopped during the build.
        """
        acquisition = builders.acquire(self.request.user_id, self.request.user)
        self.info = await self._stop.guard(acquisition)
        self.limit = self.info.semaphore

    def run_info(self, message: object, run_id: str) -> RunInfo:
        """Describe a run of the message; its parent comes from the request's headers."""
        headers = self.request.metadata.headers
        return RunInfo(
            message=Message(message) if isinstance(message, str) else message,
            request=self.request,
            run_id=run_id,
            builder=self._shared_builder if self.info is None else self.info.builder,
            options=self._options,
            parent=(headers.get("workflow-parent-id"), headers.get("workflow-parent-name")),
        )

    @asynccontextmanager
    async def run(
        self, info: RunInfo, backend: Backend, version: int | None = None
    ) -> AsyncIterator[Runner]:
        """Take a slot under the limit, and run the workflow once.

        Args:
            info: the facts of the run, based on those of `run_info`.
            backend: the backend of the run's context.
            version: the version of the workflow; by default the newest.

        Raises:
            UnknownVersion: the workflow is not declared in that version.
            SessionsError: the request has ended, or the pool is shut down.
        """
        self._check()
        slot = Slot(self.limit, self.request.user_id)
        backend.attach(slot)
        began, failed = time.monotonic(), False
        try:
            await self._stop.guard(slot.acquire())
            self._check()
            code = self.workflow if version is None else self.workflow.of_version(version)
            runner = Runner(code, info, backend, self._stop)
            self._runners.add(runner)
            try:
                with bind({current_context: runner.context}):
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
            if self.info is not None:
                seconds = max(time.monotonic() - began - slot.waited, 0)
                self.info.record_request(seconds * 1000, success=not failed)

    def end(self) -> None:
        """End the request: runs can no longer use their context and builder."""
        self._ended = True
        for runner in self._runners:
            runner.execution.close()

    async def stop(self, reason: str) -> None:
        """Stop the session's runs; callers awaiting results get a `SessionsError` with the reason.

        Returns when the runs no longer use their context and the builder's object.
        """
        self._stop.cancel_all(reason)
        try:
            # Ignore errors of workflows' clean-up code: no caller waits for the results any more.
            runners = [runner.stop() for runner in self._runners]
            await asyncio.gather(*runners, return_exceptions=True)
        finally:
            self.end()

    def _check(self) -> None:
        self._stop.check()
        if self._ended:
            raise SessionsError("This session has ended; open another one.")


class WorkflowPool:
    """A workflow with its builders, and the concurrency slots for its runs.

    `build` makes the pool ready, `shutdown` ends it. Without `build`, idle builders are not closed,
    and the only shared builder is the one given as an argument.
    """

    def __init__(self, offer: OfferedWorkflow, shared_builder: Any = None) -> None:
        self.workflow = offer.workflow
        self.config = offer.config
        self.options = offer.options
        self.limit = limit_of(offer.config.max_concurrency, offer.config.per_user)
        self.shared_builder = shared_builder
        self.user_builders = UserBuilders(offer)
        self.cleanup_every = max(
            min(CLEANUP_EVERY, offer.config.per_user_idle), CLEANUP_AT_MOST_EVERY
        )
        self.cleanup: asyncio.Task[None] | None = None
        self._built: BuiltObject | None = None
        self._opened: set[OpenWorkflow] = set()
        self._is_idle = asyncio.Event()
        self._shutdown: asyncio.Task[None] | None = None

    @property
    def is_per_user(self) -> bool:
        """True if each user has a separate builder."""
        return self.workflow.per_user_builder is not None

    async def build(self, shared_builder: Any = None) -> Self:
        """Build the shared builder, if there is one, and begin to close idle builders of users.

        `shared_builder`: a function that takes the options, or the ready object; by default the
        workflow's own function.

        Raises:
            BuilderFailed: the shared builder could not be built.
        """
        factory = self.workflow.shared_builder if shared_builder is None else shared_builder
        if callable(factory):
            self._built = BuiltObject(factory, self.options)
            try:
                factory = await self._built.ready()
            except BaseException:
                self._built.end()
                raise
        self.shared_builder = factory
        if self.is_per_user:
            cleanup = repeat(self.clean_up, every=self.cleanup_every, name="session.cleanup")
            self.cleanup = asyncio.create_task(cleanup)
        return self

    @asynccontextmanager
    async def open(self, request: RequestContext) -> AsyncIterator[OpenWorkflow]:
        """Open the workflow for a request during the block, with its user's builder (`admit`)."""
        opened = OpenWorkflow(self.workflow, self.options, self.shared_builder, self.limit, request)
        async with self.admit(opened):
            yield opened

    @asynccontextmanager
    async def admit(self, opened: OpenWorkflow) -> AsyncIterator[None]:
        """Count a request as open during the block, and hold the user's builder until its end.

        If the user has no builder yet, it is built.

        Raises:
            ValueError: the workflow is per user and nobody is identified.
            BuilderFailed: the user's builder could not be built; says why, and the next request
                tries anew.
            SessionsError: the pool is shut down.
        """
        if self._shutdown is not None:
            raise SessionsError(SHUT)
        if self.is_per_user and not opened.request.user_id:
            raise ValueError(
                "This workflow is per user, and nobody is identified: give session() a user_id, a "
                "user_manager, or an http_connection with a signed-in user."
            )
        self._opened.add(opened)
        self._is_idle.clear()
        try:
            if self.is_per_user:
                await opened.acquire_builder(self.user_builders)
            yield
        finally:
            if opened.info is not None:
                self.user_builders.release(opened.info)
            opened.end()
            self._opened.discard(opened)
            if not self._opened:
                self._is_idle.set()

    def idle_until(self, user_id: str) -> float | None:
        """Return the monotonic time at which the user's builder may be closed as idle, or None."""
        info = self.user_builders.infos.get(user_id)
        return None if info is None else info.active_at + self.config.per_user_idle

    async def clean_up(self) -> int:
        """Close builders that have been idle for `per_user_idle` seconds; return their number."""
        return await self.user_builders.evict_idle(self.config.per_user_idle)

    async def shutdown(self, wait: float = SHUTDOWN_WAIT) -> None:
        """Refuse new requests, wait up to `wait` seconds for open requests, and then stop the rest.

        The runs of stopped requests are cancelled, and callers that await these get a
        `SessionsError`. Then the users' builders are closed, and last the shared one. A second call
        waits for the first.
        """
        if self._shutdown is None:
            self._shutdown = asyncio.create_task(self._shut_down(wait))
        await asyncio.shield(self._shutdown)

    async def _shut_down(self, wait: float) -> None:
        if self.cleanup is not None:
            self.cleanup.cancel()
            await asyncio.wait([self.cleanup])
        if self._opened:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._is_idle.wait()
        if stops := [asyncio.create_task(opened.stop(SHUT)) for opened in self._opened]:
            _, late = await asyncio.wait(stops, timeout=END_WAIT)
            for stop in late:
                log.error("session.end_late", seconds=END_WAIT)
                stop.cancel()
        await self.user_builders.close()
        if self._built is not None:
            await self._built.close()
