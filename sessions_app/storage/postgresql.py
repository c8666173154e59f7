"""The code that is specific to PostgreSQL; `storage.sqlite` has the same names for SQLite.

PostgreSQL has types for UUIDs and aware datetimes, and allows several writers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString

from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Cursor
from psycopg.errors import QueryCanceled

from sessions_app.storage.safety_times import IDLE_TRANSACTION, LOCK_TIMEOUT

WRITERS = 4
ADAPTERS: dict[type, Callable[[Any], Any]] = {}
# If a writer is stopped or cut off, PostgreSQL frees its locks before another worker takes over its
# runs. Under a stricter isolation, which may be a user's default, concurrent writes fail.
LIMITS = (
    f"SET lock_timeout = {LOCK_TIMEOUT * 1000:.0f}",
    f"SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION * 1000:.0f}",
    "SET default_transaction_isolation = 'read committed'",
)
# One statement assigns the sequence number and stores the event, which saves a round trip.
APPEND_EVENT = """
    WITH taken AS ({sequence_query})
    INSERT INTO sessions_app_event
        (conversation_id, run_id, type, payload, created_at, first_sequence, sequence)
    SELECT %s::uuid, %s::uuid, %s, %s::json, %s::timestamptz, last_sequence, last_sequence
    FROM taken RETURNING sequence
"""


def execute(driver: Any, statement: LiteralString, values: Sequence[Any]) -> Any:
    """Execute a statement on the driver's connection, and return the cursor.

    A plain psycopg cursor is used: Django's cursor class takes as long as the database itself.
    """
    return Cursor(driver).execute(statement, values)


def read_time(fetch: Callable[[str, Sequence[Any]], list[Any]]) -> datetime | None:
    """Return the time of the database's clock."""
    [(time,)] = fetch("SELECT clock_timestamp()", ())
    return time  # type: ignore[no-any-return] # psycopg's rows have no types


def append_event(
    fetch: Callable[[str, Sequence[Any]], list[Any]],
    sequence_query: str,
    sequence_values: tuple[Any, ...],
    event: tuple[Any, ...],
) -> list[Any]:
    """Run the query that assigns a sequence number; store the event; return the query's row."""
    return fetch(APPEND_EVENT.format(sequence_query=sequence_query), (*sequence_values, *event))


def prepare(connection: BaseDatabaseWrapper) -> None:
    """Prepare a new connection: nothing to do, as the project's settings apply."""


def prepare_to_read(connection: BaseDatabaseWrapper) -> None:
    """Prepare the connection of a reading thread: its statements recur, with many others."""
    _prepare_statements(connection, 5)


def prepare_to_write(connection: BaseDatabaseWrapper) -> None:
    """Prepare a writer's connection: set the timeouts, whatever a project has configured."""
    _prepare_statements(connection, 1)  # a few statements recur
    with connection.cursor() as cursor:
        for limit in LIMITS:
            cursor.execute(limit)


def _prepare_statements(connection: BaseDatabaseWrapper, threshold: int) -> None:
    """Let the server prepare statements at this execution: planning some takes most of their time.

    Django disables that by default, and a project may do so for a pooler that lacks them.
    """
    if "prepare_threshold" not in connection.settings_dict["OPTIONS"]:
        connection.connection.prepare_threshold = threshold


def disconnect(connection: BaseDatabaseWrapper) -> None:
    """Close the connection, and the pool that it may come from."""
    wrapper: Any = connection
    wrapper.close()
    wrapper.close_pool()


@contextmanager
def limited_statements(seconds: float) -> Iterator[None]:
    """Limit the time of each statement in the block, which is one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}")
        yield


def is_over_limit(error: BaseException) -> bool:
    """Return whether an error of Django says that a statement took too long."""
    return isinstance(error.__cause__, QueryCanceled)
