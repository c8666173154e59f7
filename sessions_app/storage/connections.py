"""The database connections of the runtime, under any settings of a project."""

from collections.abc import AsyncIterator, Callable

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.storage import caller_thread, reads
from sessions_app.storage.sql import database


def prepare(*, connection: BaseDatabaseWrapper, **_: object) -> None:
    """Prepare a new connection; a receiver of Django's signal `connection_created`."""
    if connection.alias == DEFAULT_DB_ALIAS:
        caller_thread.remember(connection)
        database().prepare(connection)
        if reads.is_kept(connection):
            database().prepare_to_read(connection)


def prepare_to_migrate(*, using: str, **_: object) -> None:
    """Lift the idle limit for a long migration; a receiver of Django's signal `pre_migrate`."""
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0")


async def close_broken() -> None:
    """Close a broken connection of the thread behind `sync_to_async` and Django's async queries.

    Django does so at the beginning and end of each request, but a worker has no requests.
    """
    await sync_to_async(close_old_connections)()


def connect_to_write() -> None:
    """Connect this thread, unless already connected."""
    if connection.connection is None:
        connection.ensure_connection()
        database().prepare_to_write(connection)


async def end_request_thread() -> None:
    """End the thread of the current request, with its database connection.

    Django keeps one thread per request, which would stand idle until the response is complete. A
    later database access gets another thread.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is not None and context in SyncToAsync.context_to_thread_executor:
        await sync_to_async(connections.close_all)()
        del SyncToAsync.context_to_thread_executor[context]  # deleting the executor ends its thread


async def yield_response(
    content: AsyncIterator[bytes], at_end: Callable[[], object] = bool
) -> AsyncIterator[bytes]:
    """Yield the content of a response, without keeping the thread of the request idle meanwhile."""
    await end_request_thread()
    async for piece in content:
        yield piece
    at_end()
