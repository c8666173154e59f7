"""`SessionManager`: sessions on one workflow, with its builders and its limit."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from django.http import HttpRequest
from pydantic import BaseModel

from sessions_app.errors import SessionsError
from sessions_app.models.people import Person, UserId
from sessions_app.sessions import schemas
from sessions_app.sessions.builder import Built, PerUserBuilderInfo
from sessions_app.sessions.builder_pool import SHUT, BuilderPool
from sessions_app.sessions.runner import Runner
from sessions_app.sessions.session import OpenSessions, Session
from sessions_app.sessions.standalone import UserInputCallback
from sessions_app.storage.periodic import repeat
from sessions_app.workflows import request_context
from sessions_app.workflows.concurrency import FairSemaphore
from sessions_app.workflows.config import WorkflowConfig
from sessions_app.workflows.registry import Offered, Workflow, resolve
from sessions_app.workflows.request_context import Connection, ParentTokens, RequestContext
from sessions_app.workflows.run_info import AuthCallback, Message, RuntimeTypeEnum

# Seconds between two looks for idle builders, and for open sessions at a shutdown.
CLEANUP_EVERY = 30.0
SHUTDOWN_WAIT = 10.0

WHO = (
    "This workflow is per user, and nobody is identified: give session() a user_id, a "
    "user_manager, or an http_connection with a signed-in user."
)


class SessionManager:
    """Sessions on one workflow: its builders, its limit, and the clean-up of idle builders.

    Use `create` to make one and `shutdown` to end it.
    """

    def __init__(
        self, offered: Offered, runtime_type: RuntimeTypeEnum = RuntimeTypeEnum.RUN_OR_SERVE
    ) -> None:
        self.entry = offered.workflow
        self.config: WorkflowConfig = offered.config
        self.options = offered.options
        self.runtime_type = runtime_type
        self.semaphore = FairSemaphore(
            offered.config.max_concurrency or sys.maxsize,
            offered.config.max_concurrency_per_user or sys.maxsize,
        )
        self._pool = BuilderPool(offered)
        self._shared: Built | None = None
        self._shared_value: Any = None
        self._cleanup: asyncio.Task[None] | None = None
        self._shutdown: asyncio.Task[None] | None = None
        self._sessions = OpenSessions()

    @classmethod
    async def create(
        cls,
        config: WorkflowConfig | None = None,
        shared_builder: Callable[..., Any] | Any = None,
        entry_function: Workflow | Offered | str | None = None,
        max_concurrency: int | None = None,
        runtime_type: RuntimeTypeEnum = RuntimeTypeEnum.RUN_OR_SERVE,
    ) -> "SessionManager":
        """Build the shared builder, if any, and begin the clean-up of idle ones.

        Args:
            config: how the workflow is offered; else as the configuration file offers it, or the
                defaults.
            shared_builder: what all users share, in the place of the workflow's own: a function
                that builds it from the options, or the ready thing, which the caller closes.
            entry_function: the workflow or its name; without one the default one.
            max_concurrency: runs at once, 0 for no limit; else the configuration's, by default 8.
                For each user where the workflow is per user, else for all.
            runtime_type: what its runs are for.

        Raises:
            BuilderFailed: the shared builder could not be built.
            UnknownWorkflow: there is none of that name.
            pydantic.ValidationError: the configured options are not the workflow's.
        """
        offered = resolve(entry_function, config, max_concurrency)
        manager = cls(offered, runtime_type)
        factory = shared_builder if shared_builder is not None else manager.entry.shared_builder
        if callable(factory):
            manager._shared = Built(factory, manager.options)
            try:
                factory = await manager._shared.ready()
            except BaseException:
                manager._shared.end()
                raise
        manager._shared_value = factory
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
    def shared_builder(self) -> Any:
        """What all users share, ready to use; None if there is nothing."""
        return self._shared_value

    @property
    def builders(self) -> dict[str, PerUserBuilderInfo]:
        """The per-user builders, live or being built, by user id."""
        return self._pool.infos

    def get_workflow_input_schema(self) -> type[BaseModel]:
        """What the workflow takes."""
        return schemas.WorkflowInput

    def get_workflow_single_output_schema(self) -> type[BaseModel]:
        """What it gives as a whole: its own model, or one with the result as `value`."""
        return schemas.single_output(self.entry)

    def get_workflow_streaming_output_schema(self) -> type[BaseModel]:
        """What one chunk of its output is: its own model, or one with the chunk as `value`."""
        return schemas.streaming_output(self.entry)

    @asynccontextmanager
    async def session(  # noqa: PLR0913 - the toolkit's names
        self,
        user_id: UserId | None = None,
        user_manager: Any = None,
        *,
        http_connection: Connection | None = None,
        user_message_id: str | None = None,
        conversation_id: str | None = None,
        user_input_callback: UserInputCallback | None = None,
        user_authentication_callback: AuthCallback | None = None,
    ) -> AsyncIterator["Session[SessionManager]"]:
        """Open a session: takes the user's builder (builds it if there is none) and gives it back
        on every way out.

        Args:
            user_id: who the user is; else what `user_manager` says, else `http_connection`.
            user_manager: a Django user, a `Person`, or any object with `get_user_id()` or
                `user_id`.
            http_connection: the request that the session serves: Django's `HttpRequest`, an ASGI
                scope (`http` or `websocket`), or the metadata of a stored run.
            user_message_id: else that of the request's header; `conversation_id` likewise.
            user_input_callback: is given a prompt and answers it: a text, an option's value, or
                a list of values. The run's slot is free meanwhile, and its latency leaves the
                time out.
            user_authentication_callback: what `context.user_auth_callback` calls, in the same way.

        Raises:
            ValueError: the workflow is per user and nobody is identified.
            BuilderFailed: the user's builder could not be built; says why, and the next session
                tries anew.
            SessionsError: the manager is shut down.
        """
        name, person = await request_context.identify(user_id, user_manager, http_connection)
        request = request_context.open_request(
            http_connection,
            user_id=name,
            user_message_id=user_message_id,
            conversation_id=conversation_id,
        )
        if self._shutdown is not None:
            raise SessionsError(SHUT)
        if self.is_workflow_per_user and not name:
            raise ValueError(WHO)
        session = Session(
            self,
            person,
            request,
            ask=user_input_callback,
            authenticate=user_authentication_callback,
        )
        with self._sessions.opened(session), request_context.serving(request, http_connection):
            if not self.is_workflow_per_user:
                yield session
                return
            acquired = self._get_or_create_per_user_builder(name, person)
            session.info = await session.guard(acquired)
            try:
                yield session
            finally:
                self._pool.release(session.info)

    @asynccontextmanager
    async def run(
        self,
        message: Message | str,
        runtime_type: RuntimeTypeEnum | None = None,
        **session: Any,
    ) -> AsyncIterator[Runner]:
        """Open a session and run the workflow once; `session` as for `session()`.

        Raises:
            ValueError, BuilderFailed, SessionsError: as `session()` does.
        """
        async with self.session(**session) as opened, opened.run(message, runtime_type) as runner:
            yield runner

    async def evict(self, user_id: str) -> bool:
        """Close the user's builder unless it is in use. False if it is, or if there is none."""
        return await self._pool.evict(user_id)

    def idle_until(self, user_id: str) -> float | None:
        """When the user's builder will have been idle for too long, by the monotonic clock; None if
        there is none.
        """
        info = self._pool.infos.get(user_id)
        return None if info is None else info.last_activity + self.config.per_user_idle

    async def shutdown(self, wait: float = SHUTDOWN_WAIT) -> None:
        """Let no session begin, wait for open ones up to `wait` seconds, and end those that are
        left: their runs are cancelled, and who waits for them gets a `SessionsError`. Then close
        the users' builders and last the shared one. A second call waits for the first.
        """
        if self._shutdown is None:
            self._shutdown = asyncio.create_task(self._shut_down(wait))
        await asyncio.shield(self._shutdown)

    async def set_metadata_from_http_request(self, request: HttpRequest) -> ParentTokens:
        """Make the request the one that the current task serves: its metadata and ids are those of
        the sessions opened without an `http_connection`.

        Returns the tokens of `workflow-parent-id` and `-name`, None without the header; the caller
        resets them (`workflow_parent_id.reset(token)`). Asynchronous only as the toolkit's is.
        """
        request_context.current_request.set(RequestContext.of(request))
        return request_context.set_parents(request.headers)

    def set_metadata_from_websocket(
        self,
        websocket: request_context.AsgiScope,
        user_message_id: str | None = None,
        conversation_id: str | None = None,
    ) -> ParentTokens:
        """The same for a WebSocket's ASGI scope; ids that are given stand before its headers'."""
        request = RequestContext.of(websocket).named(
            user_message_id=user_message_id, conversation_id=conversation_id
        )
        request_context.current_request.set(request)
        return request_context.set_parents(request.metadata.headers)

    async def _shut_down(self, wait: float) -> None:
        if self._cleanup is not None:
            self._cleanup.cancel()
            await asyncio.wait([self._cleanup])
        await self._sessions.end(wait, SHUT)
        await self._pool.close()
        if self._shared is not None:
            await self._shared.close()

    def _get_user_id_from_context(self) -> str | None:
        """The user of the session that the current task serves; None if there is none."""
        request = request_context.current_request.get()
        return (request.user_id or None) if request is not None else None

    async def _get_or_create_per_user_builder(
        self, user_id: str, person: Person | None = None
    ) -> PerUserBuilderInfo:
        """The user's builder with a reference taken, which the caller gives back."""
        return await self._pool.acquire(user_id, person or Person(0, user_id))

    async def _run_periodic_cleanup(self) -> None:
        every = min(CLEANUP_EVERY, self.config.per_user_idle)
        await repeat(self._cleanup_inactive_per_user_builders, every=every, name="session.cleanup")

    async def _cleanup_inactive_per_user_builders(self) -> int:
        """Close the builders that nothing used for `per_user_idle` seconds; returns how many."""
        return await self._pool.evict_idle(self.config.per_user_idle)
