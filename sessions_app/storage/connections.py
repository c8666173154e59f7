"""What the runtime needs of its connections to the database, whatever a project's settings say."""

from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.storage.safety_times import IDLE_TRANSACTION, LOCK_TIMEOUT

# A commit is on the disk when it returns, and readers do not wait for the writer.
SQLITE = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=20000",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA cache_size=-2000",
    # Its log goes into the database after 40 MB, not after 4: all writes wait meanwhile.
    "PRAGMA wal_autocheckpoint=10000",
    "PRAGMA temp_store=MEMORY",
)
# A writer that stands still (a stopped process, a cut cable) loses what it has locked before others
# take its runs over.
POSTGRESQL = (
    f"SET lock_timeout = {LOCK_TIMEOUT * 1000:.0f}",
    f"SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION * 1000:.0f}",
)


def prepare(*, connection: BaseDatabaseWrapper, **_: object) -> None:
    """Receive Django's `connection_created`."""
    if connection.vendor != "sqlite" or connection.alias != DEFAULT_DB_ALIAS:
        return
    sqlite: Any = connection
    # The default, DEFERRED, fails at once where two transactions read and then write.
    sqlite.transaction_mode = "IMMEDIATE"
    with connection.cursor() as cursor:
        for pragma in SQLITE:
            cursor.execute(pragma)


def prepare_to_migrate(*, using: str, **_: object) -> None:
    """Receive Django's `pre_migrate`: a migration may compute for long between two statements."""
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0")


async def close_broken() -> None:
    """Have the thread behind `sync_to_async` and Django's async queries connect anew, if it has
    lost its connection: no request that begins or ends does so in a worker.
    """
    await sync_to_async(close_old_connections)()


def connect_to_write() -> None:
    """Connect this thread, unless it is connected."""
    if connection.connection is not None:
        return
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        # The same few statements over and over: planned once. (Django switches this off.)
        driver: Any = connection.connection
        driver.prepare_threshold = 1
        with connection.cursor() as cursor:
            for statement in POSTGRESQL:
                cursor.execute(statement)


async def give_back_thread() -> None:
    """End the thread of the current request, with its database connection.

    Django has one for each request, which would stand idle until the response is complete. What
    needs one after that gets another.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is not None and context in SyncToAsync.context_to_thread_executor:
        await sync_to_async(connections.close_all)()
        del SyncToAsync.context_to_thread_executor[context]  # its thread ends with it
