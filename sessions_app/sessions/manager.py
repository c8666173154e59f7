"""The `SessionManager`: sessions on one workflow, with its builders and its limit."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from pydantic import BaseModel

from sessions_app.errors import SessionsError
from sessions_app.models.people import AnyUserId
from sessions_app.sessions import schemas, standalone
from sessions_app.sessions.builder import BuiltObject, PerUserBuilderInfo
from sessions_app.sessions.builder_pool import SHUT, BuilderPool
from sessions_app.sessions.runner import Runner
from sessions_app.sessions.session import OpenSessions, Session
from sessions_app.sessions.standalone import UserInputCallback
from sessions_app.storage.periodic import repeat
from sessions_app.workflows import request_context, run_info
from sessions_app.workflows.concurrency import Limit, limit_of
from sessions_app.workflows.config import WorkflowConfig
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.registry import BuilderFactory, OfferedWorkflow, Workflow, resolve
from sessions_app.workflows.request_context import Connection, ParentTokens, RequestContext
from sessions_app.workflows.run_info import AuthCallback, RuntimeTypeEnum

# Seconds between two looks for idle builders, and for open sessions at a shutdown.
CLEANUP_EVERY = 30.0
CLEANUP_AT_MOST_EVERY = 1.0
SHUTDOWN_WAIT = 10.0

NO_USER = (
    "This workflow is per user, and nobody is identified: give session() a user_id, a "
    "user_manager, or an http_connection with a signed-in user."
)


class SessionManager:
    """Sessions on one workflow: its builders, its limit, and the clean-up of idle builders.

    Use `create` to make one and `shutdown` to end it. One that is made without `create` has no
    clean-up, and of shared builders only what it is given.
    """

    def __init__(
        self,
        config: WorkflowConfig | None = None,
        shared_builder: object = None,
        entry_function: Workflow | OfferedWorkflow | str | None = None,
        shared_workflow: Workflow | None = None,
        max_concurrency: int | None = None,
        runtime_type: RuntimeTypeEnum = RuntimeTypeEnum.RUN_OR_SERVE,
    ) -> None:
        """Make a manager without building anything.

        `shared_builder` is what all users share, ready to use; `shared_workflow` is the workflow
        itself, where it need not be found by `entry_function`. All else is as `create` has it.

        Raises:
            UnknownWorkflow, pydantic.ValidationError: as `create` does.
        """
        offer = resolve(shared_workflow or entry_function, config, max_concurrency)
        self.options = offer.options
        self.runtime_type = self._runtime_type = runtime_type
        self._config = offer.config
        self._entry_function = entry_function
        self._workflow = offer.workflow
        self._shared_workflow = None if self.is_workflow_per_user else self._workflow
        self._max_concurrency = self._config.max_concurrency
        self._semaphore = limit_of(self._max_concurrency, self._config.per_user)
        self._shared_builder = shared_builder
        self._shared: BuiltObject | None = None
        self._pool = BuilderPool(offer)
        self._per_user_session_timeout = timedelta(seconds=self._config.per_user_idle)
        self._per_user_session_cleanup_interval = timedelta(
            seconds=max(min(CLEANUP_EVERY, self._config.per_user_idle), CLEANUP_AT_MOST_EVERY)
        )
        self._per_user_builders_cleanup_task: asyncio.Task[None] | None = None
        self._shutdown: asyncio.Task[None] | None = None
        self._sessions = OpenSessions()

    @classmethod
    async def create(
        cls,
        config: WorkflowConfig | None = None,
        shared_builder: BuilderFactory | object = None,
        entry_function: Workflow | OfferedWorkflow | str | None = None,
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
            max_concurrency: runs at once, 0 for no limit; else the configuration's, by default 64.
                For each user where the workflow is per user, else for all, of which one user has
                at most `max_concurrency_per_user`, by default half.
            runtime_type: what its runs are for.

        Raises:
            BuilderFailed: the shared builder could not be built.
            UnknownWorkflow: there is none of that name.
            pydantic.ValidationError: the configured options are not the workflow's.
        """
        manager = cls(config, None, entry_function, None, max_concurrency, runtime_type)
        factory = manager._workflow.shared_builder if shared_builder is None else shared_builder
        if callable(factory):
            manager._shared = BuiltObject(factory, manager.options)
            try:
                factory = await manager._shared.ready()
            except BaseException:
                manager._shared.end()
                raise
        manager._shared_builder = factory
        if manager.is_workflow_per_user:
            cleanup = asyncio.create_task(manager._run_periodic_cleanup())
            manager._per_user_builders_cleanup_task = cleanup
        return manager

    @property
    def config(self) -> WorkflowConfig:
        """The configuration with which the workflow is offered."""
        return self._config

    @property
    def is_workflow_per_user(self) -> bool:
        """True if each user has a builder of their own."""
        return self._workflow.per_user_builder is not None

    _is_workflow_per_user = is_workflow_per_user

    @property
    def workflow(self) -> Workflow:
        """The workflow, where all users share it.

        Raises:
            ValueError: it is per user; `session(user_id=…).workflow` has it.
        """
        if self._shared_workflow is None:
            raise ValueError(
                "Workflow is per-user: open a session(user_id=…) and use its workflow."
            )
        return self._shared_workflow

    @property
    def limit(self) -> Limit:
        """The places of its runs, where all users share them."""
        return self._semaphore

    @property
    def shared_builder(self) -> Any:
        """The builder that all users share, ready to use; None if there is none."""
        return self._shared_builder

    @property
    def builders(self) -> dict[str, PerUserBuilderInfo]:
        """The per-user builders, live or being built, by user id."""
        return self._pool.infos

    _per_user_builders = builders

    def get_workflow_input_schema(self) -> type[BaseModel]:
        """Return the model of the workflow's input: its own, or one with it as `input_message`."""
        return schemas.workflow_input(self._workflow)

    def get_workflow_single_output_schema(self) -> type[BaseModel]:
        """Return the model of its whole result: its own, or one with the result as `value`."""
        return schemas.single_output(self._workflow)

    def get_workflow_streaming_output_schema(self) -> type[BaseModel]:
        """Return the model of one chunk of its output: its own, or one with the chunk as
        `value`.
        """
        return schemas.streaming_output(self._workflow)

    @asynccontextmanager
    async def session(  # noqa: PLR0913 - the toolkit's names
        self,
        user_id: AnyUserId | None = None,
        user_manager: object = None,
        http_connection: Connection | None = None,
        user_message_id: str | None = None,
        conversation_id: str | None = None,
        user_input_callback: UserInputCallback | None = None,
        user_authentication_callback: AuthCallback | None = None,
    ) -> AsyncIterator["Session[SessionManager]"]:
        """Open a session: takes the user's builder (builds it if there is none) and gives it back
        on every way out.

        Args:
            user_id: who the user is; else what `user_manager` says, else `http_connection`, else
                the session that is open here, else the request of `set_metadata_from_…`.
            user_manager: a Django user, a `Person`, or any object with `get_user_id()` or
                `user_id`.
            http_connection: the request that the session serves: Django's `HttpRequest`, an ASGI
                scope (`http` or `websocket`), what has one (`scope`), or the metadata of a
                stored run.
            user_message_id: else that of the request's header; `conversation_id` likewise.
            user_input_callback: is given a prompt and answers it: a text, an option's value, or
                a list of values; else that of the session that is open here. The run's slot is
                free meanwhile, and its latency leaves the time out.
            user_authentication_callback: what `context.user_auth_callback` calls, in the same way.

        Raises:
            ValueError: the workflow is per user and nobody is identified.
            BuilderFailed: the user's builder could not be built; says why, and the next session
                tries anew.
            SessionsError: the manager is shut down.
        """
        request = await request_context.open_request(
            http_connection,
            user_id,
            user_manager,
            user_message_id=user_message_id,
            conversation_id=conversation_id,
        )
        if self._shutdown is not None:
            raise SessionsError(SHUT)
        if self.is_workflow_per_user and not request.user_id:
            raise ValueError(NO_USER)
        variables = request_context.of_session(request, http_connection)
        if user_input_callback is not None:
            variables[standalone.user_input_callback] = user_input_callback
        if user_authentication_callback is not None:
            variables[run_info.user_auth_callback] = user_authentication_callback
        with bind(variables):
            session = Session(self, self._workflow, self._semaphore, request.user_id)
            self._sessions.add(session)
            info: PerUserBuilderInfo | None = None
            try:
                if self.is_workflow_per_user:
                    acquisition = self._pool.acquire(request.user_id, request.user)
                    info = await session.guard(acquisition)
                    session.use(info)
                yield session
            finally:
                if info is not None:
                    self._pool.release(info)
                self._sessions.end(session)

    @asynccontextmanager
    async def run(
        self,
        message: object,
        runtime_type: RuntimeTypeEnum | None = None,
        **session: Any,
    ) -> AsyncIterator[Runner]:
        """Open a session and run the workflow once; `session` as for `session()`.

        Raises:
            ValueError, BuilderFailed, SessionsError: as `session()` does.
        """
        async with (
            self.session(**session) as open_session,
            open_session.run(message, runtime_type) as runner,
        ):
            yield runner

    async def run_beside(self, workflow: str, message: object) -> object:
        """Run another workflow for the user of the open session, who answers its prompts here too.

        Return its result. Its builder is built for it, and closed.

        Raises:
            UnknownWorkflow: there is none of that name.
        """
        manager = await SessionManager.create(entry_function=workflow)
        try:
            async with manager.run(message) as runner:
                return await runner.result()
        finally:
            await manager.shutdown()

    async def evict(self, user_id: str) -> bool:
        """Close the user's builder unless it is in use. False if it is, or if there is none."""
        return await self._pool.evict(user_id)

    def idle_until(self, user_id: str) -> float | None:
        """Return when the user's builder will have been idle too long (monotonic); None without
        one.
        """
        info = self._pool.infos.get(user_id)
        return None if info is None else info.active_at + self._config.per_user_idle

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
        context = RequestContext.of(request)
        request_context.set_request(context, await request_context.user_of(request))
        return request_context.set_parents(context.metadata.headers)

    def set_metadata_from_websocket(
        self,
        websocket: Connection,
        user_message_id: str | None = None,
        conversation_id: str | None = None,
        pre_parsed_cookies: Mapping[str, str] | None = None,
    ) -> None:
        """Have this task serve the request of a WebSocket: its ASGI scope, or a consumer, which has
        one.

        Ids that are given stand before those of its headers, `pre_parsed_cookies` before its
        cookies. It sets no parent.
        """
        cookies = {} if pre_parsed_cookies is None else {"cookies": pre_parsed_cookies}
        context = RequestContext.of(websocket, **cookies)
        request = context.with_names(
            user_message_id=user_message_id, conversation_id=conversation_id
        )
        request_context.set_request(request, request_context.scope_of(websocket).get("user"))

    async def _shut_down(self, wait: float) -> None:
        cleanup = self._per_user_builders_cleanup_task
        if cleanup is not None:
            cleanup.cancel()
            await asyncio.wait([cleanup])
        await self._sessions.end_all(wait, SHUT)
        await self._pool.close()
        if self._shared is not None:
            await self._shared.close()

    def _get_user_id_from_context(self) -> str | None:
        """Return the user of the session that is open here, else of the request; None if there is
        none.
        """
        return request_context.user_in_context()[0] or None

    async def _get_or_create_per_user_builder(self, user_id: AnyUserId) -> tuple[object, Workflow]:
        """Return the user's builder, and the workflow. Nothing keeps it alive: a session does."""
        name, person = request_context.by_id(user_id)
        info = await self._pool.acquire(name, person)
        self._pool.release(info)
        return info.builder, info.workflow

    async def _run_periodic_cleanup(self) -> None:
        every = self._per_user_session_cleanup_interval.total_seconds()
        await repeat(self._cleanup_inactive_per_user_builders, every=every, name="session.cleanup")

    async def _cleanup_inactive_per_user_builders(self) -> int:
        """Close the builders that nothing used for `per_user_idle` seconds; returns how many."""
        return await self._pool.evict_idle(self._per_user_session_timeout.total_seconds())
