"""The code that is specific to PostgreSQL; `storage.sqlite` has the same names for SQLite.

PostgreSQL has types for UUIDs and aware datetimes, and allows several writers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, LiteralString

from django.db import connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Cursor
from psycopg.errors import QueryCanceled

from sessions_app.storage import sql
from sessions_app.storage.new_event import LEASE, SEQUENCE, Insert, NewEvent, StoredEvent, Update
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
# The sequence number and the event; `first` and `lease` come before, changes of other rows after.
EVENT = """
    taken AS ({sequence_query}),
    event AS (
        INSERT INTO sessions_app_event
            (conversation_id, run_id, type, payload, created_at, first_sequence, sequence)
        SELECT %s::uuid, %s::uuid, %s, %s::json, %s::timestamptz, last_sequence, last_sequence
        FROM taken
    )
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


def store_event(new: NewEvent) -> StoredEvent:
    """Check the lease, assign the sequence number, and store the event and the other changes.

    It is one statement. Its parts wait for each other by their data, in the fixed order of locks:
    the lease, or the row that changes first; then the conversation; then other rows.
    """
    before: tuple[object, ...] = ()
    behind: tuple[object, ...] = ()
    first = None
    if new.lease is not None:
        before, behind = new.lease[:1], new.lease[1:]
    if new.first is not None:
        first, values = _shape(new.first)
        before = (*before, *values)
    shapes, then = zip(*map(_shape, new.then), strict=True) if new.then else ((), ())
    statement = _event_statement(new.sequence_query, new.lease is not None, first, shapes)
    values = (*before, *new.sequence_values, *behind, *new.values, *chain.from_iterable(then))
    [(sequence, generation, evict)] = sql.fetch(statement, values)
    return StoredEvent(sequence, generation or 0, evict)


def _shape(change: Insert | Update) -> tuple[str, tuple[object, ...]]:
    """Return the part of the statement that makes the change, and its values."""
    if isinstance(change, Update):
        names = (tuple(change.values), tuple(change.where))
        values = (*change.values.values(), *change.where.values())
        return sql.update_statement(change.model, *names), values
    numbered = tuple(name for name, value in change.values.items() if value is SEQUENCE)
    values = tuple(value for value in change.values.values() if value is not SEQUENCE)
    return _insert_with_event(change.model, tuple(change.values), numbered), values


@cache
def _insert_with_event(
    model: type[models.Model], columns: tuple[str, ...], numbered: tuple[str, ...]
) -> str:
    """Return the statement that inserts a row if an event is stored, with its sequence number."""
    types = {field.column: str(field.db_type(connection)) for field in model._meta.concrete_fields}  # noqa: SLF001 - Django's documented _meta
    # A cast to `varchar(n)` would cut a text that is too long, which is an error otherwise.
    types = {name: "text" if of.startswith("varchar") else of for name, of in types.items()}
    values = (
        "last_sequence" if column in numbered else f"%s::{types[column]}" for column in columns
    )
    source = f"SELECT {', '.join(values)} FROM taken"  # noqa: S608 - names of ours
    return sql.insert_statement(model, columns, source)


@cache
def _event_statement(
    sequence_query: str, has_lease: bool, first: str | None, then: tuple[str, ...]
) -> str:
    parts, where, lease = [], "", "NULL, NULL"
    if first is not None:
        parts.append(f"first AS ({first} RETURNING 1)")
        where += " AND EXISTS (SELECT 1 FROM first)"
    if has_lease:
        parts.append(f"lease AS ({LEASE} FOR SHARE)")
        where += " AND (SELECT generation FROM lease) = %s"
        lease = "(SELECT generation FROM lease), (SELECT evict_requested_at FROM lease)"
    query = sequence_query.replace(" RETURNING", f"{where} RETURNING")
    parts.append(EVENT.format(sequence_query=query))
    for number, change in enumerate(then):
        condition = " AND EXISTS (SELECT 1 FROM taken)" if change.startswith("UPDATE") else ""
        parts.append(f"then{number} AS ({change}{condition})")
    return f"WITH {', '.join(parts)} SELECT (SELECT last_sequence FROM taken), {lease}"  # noqa: S608 - names of ours


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
