"""The session API, a façade over the pool with the names of the NeMo Agent Toolkit's runtime."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.http import HttpRequest
from pydantic import BaseModel

from sessions_app.models.people import AnyUserId
from sessions_app.pool import schemas
from sessions_app.pool.builders import PerUserBuilderInfo
from sessions_app.pool.runner import Runner
from sessions_app.pool.workflow_pool import SHUTDOWN_WAIT, OpenWorkflow, WorkflowPool
from sessions_app.sessions import script_backend
from sessions_app.sessions.script_backend import ScriptBackend, UserInputCallback
from sessions_app.storage.periodic import repeat
from sessions_app.workflows import request_context
from sessions_app.workflows.concurrency import Limit
from sessions_app.workflows.config import WorkflowConfig
from sessions_app.workflows.context import AuthCallback, RuntimeTypeEnum, user_auth_callback
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.registry import BuilderFactory, OfferedWorkflow, Workflow, resolve
from sessions_app.workflows.request_context import (
    Connection,
    ParentTokens,
    RequestContext,
    workflow_parent_id,
    workflow_parent_name,
)


class Session:
    """An open workflow with its builder, used by one request; made by `SessionManager.session`.

    The user and the callback for prompts come from context variables when the session is made. A
    `semaphore` that is a `nullcontext` is no limit.
    """

    def __init__(
        self,
        session_manager: "SessionManager",
        workflow: Workflow,
        semaphore: Limit,
        user_id: AnyUserId | None = None,
    ) -> None:
        self.session_manager = self._session_manager = session_manager
        self.opened = OpenWorkflow(
            workflow,
            session_manager.options,
            session_manager.shared_builder,
            semaphore,
            request_context.request_of(user_id),
        )
        self._ask = script_backend.user_input_callback.get()
        self._authenticate = user_auth_callback.get()

    @property
    def user_id(self) -> str | None:
        """The user's id as text; None for anonymous use."""
        return self.opened.request.user_id or None

    _user_id = user_id

    @property
    def workflow(self) -> Workflow:
        """The workflow that this session runs."""
        return self.opened.workflow

    _workflow = workflow

    @property
    def _semaphore(self) -> Limit:
        return self.opened.limit

    @asynccontextmanager
    async def run(
        self,
        message: object,
        runtime_type: RuntimeTypeEnum | None = None,
        parent_id: str | None = None,
        parent_name: str | None = None,
    ) -> AsyncIterator[Runner]:
        """Take a slot under the concurrency limit, and run the workflow for one message.

        Nothing is stored, and prompts go to the session's `user_input_callback`.

        Args:
            message: the person's text, or another value that the workflow takes
                (`SessionManager.get_workflow_input_schema`).
            runtime_type: the purpose of the run; by default the manager's.
            parent_id: the id of the step of another workflow that calls this one; `parent_name` is
                the step's name. By default, both come from the request's headers.

        Raises:
            SessionsError: the session has ended, or its manager is shut down.
        """
        manager = self._session_manager
        backend = ScriptBackend(self._ask, self._authenticate, manager.run_beside)
        given_parents = {workflow_parent_id: parent_id, workflow_parent_name: parent_name}
        parent = {
            variable: variable.get() if value is None else value
            for variable, value in given_parents.items()
        }
        info = replace(
            self.opened.run_info(message, str(uuid4())),
            authenticate=backend.sign_in,
            parent=(parent[workflow_parent_id], parent[workflow_parent_name]),
            runtime_type=runtime_type or manager.runtime_type,
        )
        async with self.opened.run(info, backend) as runner:
            with bind(parent):
                yield runner


class SessionManager:
    """An opener of sessions on one workflow; keeps the builders, and limits concurrent runs.

    Use `create` to make a manager and `shutdown` to end it. A manager made without `create` does
    not close idle builders, and its only shared builder is the one given as an argument.
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

        `shared_builder` is the ready object that all users share; `shared_workflow` is the workflow
        itself, in place of a look-up by `entry_function`. The rest is as for `create`.

        Raises:
            UnknownWorkflow, pydantic.ValidationError: as for `create`.
        """
        offer = resolve(shared_workflow or entry_function, config, max_concurrency)
        self.runtime_type = self._runtime_type = runtime_type
        self._entry_function = entry_function
        self._pool = WorkflowPool(offer, shared_builder)

    @classmethod
    async def create(
        cls,
        config: WorkflowConfig | None = None,
        shared_builder: BuilderFactory | object = None,
        entry_function: Workflow | OfferedWorkflow | str | None = None,
        max_concurrency: int | None = None,
        runtime_type: RuntimeTypeEnum = RuntimeTypeEnum.RUN_OR_SERVE,
    ) -> "SessionManager":
        """Build the shared builder, if any, and begin the clean-up of idle builders.

        Args:
            config: the workflow's configuration; by default that of the site, or else the defaults.
            shared_builder: replaces the workflow's own: a function that takes the options, or the
                ready object, which the caller closes.
            entry_function: the workflow or its name; by default the site's default workflow.
            max_concurrency: limit of concurrent runs, 0 for none; by default the configuration's,
                or 64. The limit is per user for a workflow with per-user builders, else for all
                users, of whom one has at most `max_concurrency_per_user`, by default half.
            runtime_type: the purpose of the runs.

        Raises:
            BuilderFailed: the shared builder could not be built.
            UnknownWorkflow: there is no workflow of that name.
            pydantic.ValidationError: the configured options are invalid for the workflow.
        """
        manager = cls(config, None, entry_function, None, max_concurrency, runtime_type)
        await manager._pool.build(shared_builder)
        return manager

    @property
    def config(self) -> WorkflowConfig:
        """The configuration of the workflow."""
        return self._pool.config

    _config = config

    @property
    def options(self) -> BaseModel:
        """The workflow's options."""
        return self._pool.options

    @property
    def is_workflow_per_user(self) -> bool:
        """True if each user has a separate builder."""
        return self._pool.is_per_user

    _is_workflow_per_user = is_workflow_per_user

    @property
    def workflow(self) -> Workflow:
        """The workflow, if it has no per-user builders.

        Raises:
            ValueError: the workflow is per user; use `session(user_id=…).workflow`.
        """
        if self._pool.is_per_user:
            raise ValueError(
                "Workflow is per-user: open a session(user_id=…) and use its workflow."
            )
        return self._pool.workflow

    @property
    def _shared_workflow(self) -> Workflow | None:
        return None if self._pool.is_per_user else self._pool.workflow

    @property
    def _max_concurrency(self) -> int:
        return self._pool.config.max_concurrency

    @property
    def _semaphore(self) -> Limit:
        return self._pool.limit

    @property
    def shared_builder(self) -> Any:
        """The ready object of the builder that all users share, or None."""
        return self._pool.shared_builder

    _shared_builder = shared_builder

    @property
    def builders(self) -> dict[str, PerUserBuilderInfo]:
        """The records of per-user builders, open or being built, by user id."""
        return self._pool.user_builders.infos

    _per_user_builders = builders

    @property
    def _per_user_builders_cleanup_task(self) -> "asyncio.Task[None] | None":
        return self._pool.cleanup

    @property
    def _per_user_session_timeout(self) -> timedelta:
        return timedelta(seconds=self._pool.config.per_user_idle)

    @property
    def _per_user_session_cleanup_interval(self) -> timedelta:
        return timedelta(seconds=self._pool.cleanup_every)

    def get_workflow_input_schema(self) -> type[BaseModel]:
        """Return the pydantic model of the input, or a wrapper with a field `input_message`."""
        return schemas.workflow_input(self._pool.workflow)

    def get_workflow_single_output_schema(self) -> type[BaseModel]:
        """Return the pydantic model of the whole result, or a wrapper with a field `value`."""
        return schemas.single_output(self._pool.workflow)

    def get_workflow_streaming_output_schema(self) -> type[BaseModel]:
        """Return the pydantic model of a chunk of output, or a wrapper with a field `value`."""
        return schemas.streaming_output(self._pool.workflow)

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
    ) -> AsyncIterator[Session]:
        """Open a session during the block, and hold the user's builder until its end.

        If the user has no builder yet, it is built.

        Args:
            user_id: the user; by default taken from `user_manager`, `http_connection`, the open
                session, or the request of `set_metadata_from_…`, in this order.
            user_manager: a Django user, a `Person`, or any object with `get_user_id()` or
                `user_id`.
            http_connection: the request that the session serves: Django's `HttpRequest`, an ASGI
                scope (`http` or `websocket`), an object with a `scope`, or the metadata of a stored
                run.
            user_message_id: by default from the request's header; `conversation_id` likewise.
            user_input_callback: takes a prompt and returns the answer: a text, an option's value,
                or a list of values; by default the callback of the session around this one. During
                the call the run's slot is free, and the time does not count as latency.
            user_authentication_callback: the function that `context.user_auth_callback` calls; the
                default is that of the session around this one.

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
        variables = request_context.of_session(request, http_connection)
        if user_input_callback is not None:
            variables[script_backend.user_input_callback] = user_input_callback
        if user_authentication_callback is not None:
            variables[user_auth_callback] = user_authentication_callback
        with bind(variables):
            session = Session(self, self._pool.workflow, self._pool.limit, request.user_id)
            async with self._pool.admit(session.opened):
                yield session

    @asynccontextmanager
    async def run(
        self,
        message: object,
        runtime_type: RuntimeTypeEnum | None = None,
        **session: Any,
    ) -> AsyncIterator[Runner]:
        """Open a session and run the workflow once; `session` has the arguments of `session()`.

        Raises:
            ValueError, BuilderFailed, SessionsError: as for `session()`.
        """
        async with (
            self.session(**session) as open_session,
            open_session.run(message, runtime_type) as runner,
        ):
            yield runner

    async def run_beside(self, workflow: str, message: object) -> object:
        """Run another workflow for the user of the open session, and return its result.

        Prompts go to the open session's callback. The other workflow's builder is built for this
        run, and closed after it.

        Raises:
            UnknownWorkflow: there is no workflow of that name.
        """
        manager = await SessionManager.create(entry_function=workflow)
        try:
            async with manager.run(message) as runner:
                return await runner.result()
        finally:
            await manager.shutdown()

    async def shutdown(self, wait: float = SHUTDOWN_WAIT) -> None:
        """Wait up to `wait` seconds for open sessions, stop the rest, and close all builders."""
        await self._pool.shutdown(wait)

    async def set_metadata_from_http_request(self, request: HttpRequest) -> ParentTokens:
        """Set the request that the current task serves.

        Sessions opened without an `http_connection` take metadata and ids from this request.

        Returns the context variables' tokens for the headers `workflow-parent-id` and `-name`, None
        without the header; the caller resets them (`workflow_parent_id.reset(token)`). Asynchronous
        only to match the toolkit.
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
        """Set a WebSocket's request, given as ASGI scope or consumer, as that of the current task.

        Explicit ids override those of the headers, and `pre_parsed_cookies` the cookies. Headers of
        a parent run are ignored.
        """
        cookies = {} if pre_parsed_cookies is None else {"cookies": pre_parsed_cookies}
        context = RequestContext.of(websocket, **cookies)
        request = context.with_names(
            user_message_id=user_message_id, conversation_id=conversation_id
        )
        request_context.set_request(request, request_context.scope_of(websocket).get("user"))

    def _get_user_id_from_context(self) -> str | None:
        """Return the user of the open session, or of the request, or None."""
        return request_context.user_in_context()[0] or None

    async def _get_or_create_per_user_builder(self, user_id: AnyUserId) -> tuple[object, Workflow]:
        """Return the user's builder and the workflow; the builder does not count as in use."""
        name, person = request_context.by_id(user_id)
        info = await self._pool.user_builders.acquire(name, person)
        self._pool.user_builders.release(info)
        return info.builder, info.workflow

    async def _run_periodic_cleanup(self) -> None:
        every = self._pool.cleanup_every
        await repeat(self._cleanup_inactive_per_user_builders, every=every, name="session.cleanup")

    async def _cleanup_inactive_per_user_builders(self) -> int:
        return await self._pool.clean_up()
