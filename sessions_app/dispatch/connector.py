"""Procrastinate's connector, patient with a database that restarts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, LiteralString, TypeVar

import psycopg
from procrastinate import PsycopgConnector, exceptions, sql
from procrastinate.connector import Notify
from procrastinate.contrib.django.utils import connector_params
from psycopg_pool import AsyncConnectionPool
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.storage.safety_times import CONNECTION_PATIENCE

log = Log(__name__)

T = TypeVar("T")
# Of the pool: its two workers, and what listens, ask one by one.
CONNECTIONS = 4
# Seconds that a query may take: they are all short. One that hangs would end all taking of jobs,
# unseen, as the worker is alive otherwise.
QUERY_PATIENCE = 10.0


class PatientConnector(PsycopgConnector):
    """Tries again until the database is back, so that a worker outlives a restart of it.

    Procrastinate's worker ends where one of its own queries fails. All of them may be done twice:
    a job that is taken but not begun is given back by its worker (see `take_over.give_back`).
    """

    def __init__(self) -> None:
        super().__init__(
            pool_factory=_make_unchecked_pool,
            kwargs=connector_params(),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=CONNECTION_PATIENCE,
        )

    async def execute_query_async(self, query: LiteralString, **arguments: object) -> None:
        """Execute a query; finishing a job that others have taken over does nothing."""
        try:
            await _patiently(super().execute_query_async, query, arguments)
        except exceptions.ConnectorException as error:
            if query != sql.queries["finish_job"] or not _is_raised(error):
                raise
            log.info("job.taken_over", job=arguments["job_id"])

    async def execute_query_one_async(
        self, query: LiteralString, **arguments: object
    ) -> JsonObject:
        """Execute a query and return its row."""
        return await _patiently(super().execute_query_one_async, query, arguments)

    async def execute_query_all_async(
        self, query: LiteralString, **arguments: object
    ) -> list[JsonObject]:
        """Execute a query and return all rows."""
        return await _patiently(super().execute_query_all_async, query, arguments)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled; what is missed meanwhile is found by looking now and then."""
        async for attempt in _attempts():
            with attempt:
                await super().listen_notify(on_notification, channels)


def _make_unchecked_pool(**options: Any) -> AsyncConnectionPool:
    """Make a pool that does not check its connections, which takes a round trip for each query.

    A query that finds its connection gone is tried again.
    """
    return AsyncConnectionPool(**options | {"check": None})


async def _patiently(
    execute: Callable[..., Awaitable[T]], query: LiteralString, arguments: JsonObject
) -> T:
    async for attempt in _attempts():
        with attempt:
            async with asyncio.timeout(QUERY_PATIENCE):
                return await execute(query, **arguments)
    raise AssertionError("tenacity gives no attempt up")


def _attempts() -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(_is_gone),
        wait=wait_exponential_jitter(multiplier=0.1, max=1.0),
        after=_log_first,
        reraise=True,
    )


def _log_first(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        log.warning("worker.database_gone", error=repr(state.outcome.exception()))


def _is_gone(error: BaseException) -> bool:
    """Return whether the connection was lost, could not be had, or does not answer."""
    return isinstance(error, TimeoutError) or (
        isinstance(error, exceptions.ConnectorException)
        and isinstance(error.__cause__, psycopg.OperationalError)
    )


def _is_raised(error: exceptions.ConnectorException) -> bool:
    """Return whether a function in the database raised the error."""
    return isinstance(error.__cause__, psycopg.errors.RaiseException)
