"""The pool of a workflow: its shared builder, those of its users, and the limit of its runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from sessions_app.errors import SessionsError
from sessions_app.logs import Log
from sessions_app.pool.builders import SHUT, BuiltObject, UserBuilders
from sessions_app.pool.open_workflow import OpenWorkflow
from sessions_app.storage.periodic import repeat
from sessions_app.workflows.concurrency import limit_of
from sessions_app.workflows.registry import OfferedWorkflow
from sessions_app.workflows.request_context import RequestContext

log = Log(__name__)

# Seconds between two looks for idle builders, and for what is open at a shutdown.
CLEANUP_EVERY = 30.0
CLEANUP_AT_MOST_EVERY = 1.0
SHUTDOWN_WAIT = 10.0
# Seconds that a run may take to end once it was cancelled by a shutdown; then it is left behind.
END_WAIT = 10.0


class WorkflowPool:
    """A workflow with its builders, and the places that its runs take.

    `build` makes it ready, `shutdown` ends it. Without `build` it closes no idle builders, and has
    only the shared builder that it is given.
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
        """True if each user has a builder of their own."""
        return self.workflow.per_user_builder is not None

    async def build(self, shared_builder: Any = None) -> Self:
        """Build the shared builder, if there is one, and begin to close idle ones of users.

        `shared_builder`: a function that builds it from the options, or the ready thing; else the
        workflow's own.

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
        """Open the workflow for a request, with its user's builder; see `admit`."""
        opened = OpenWorkflow(self.workflow, self.options, self.shared_builder, self.limit, request)
        async with self.admit(opened):
            yield opened

    @asynccontextmanager
    async def admit(self, opened: OpenWorkflow) -> AsyncIterator[None]:
        """Count a use of the workflow as open, and lend it the builder of its user until the end.

        A builder that is not there is built.

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
                await opened.take_builder(self.user_builders)
            yield
        finally:
            if opened.info is not None:
                self.user_builders.release(opened.info)
            opened.end()
            self._opened.discard(opened)
            if not self._opened:
                self._is_idle.set()

    def idle_until(self, user_id: str) -> float | None:
        """Return when the user's builder will have been idle too long (monotonic); None without
        one.
        """
        info = self.user_builders.infos.get(user_id)
        return None if info is None else info.active_at + self.config.per_user_idle

    async def clean_up(self) -> int:
        """Close the builders that nothing used for `per_user_idle` seconds; returns how many."""
        return await self.user_builders.evict_idle(self.config.per_user_idle)

    async def shutdown(self, wait: float = SHUTDOWN_WAIT) -> None:
        """Open for nobody any more, wait for open uses up to `wait` seconds, and end those that are
        left: their runs are cancelled, and who waits for them gets a `SessionsError`. Then close
        the users' builders and last the shared one. A second call waits for the first.
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
