"""Plain SQL for the writes that every message, event and answer needs.

The ORM builds each statement anew, which takes ten times as long as the database takes to execute
the statement; and Django's cursors take as long as the database. So the driver executes these
statements, on the thread's Django connection. All are portable between SQLite and PostgreSQL,
except for the modules `sqlite` and `postgresql`; column names are those of the models.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from pydantic_core import from_json, to_json

from sessions_app.errors import NotFound
from sessions_app.json_types import JsonObject

Row = tuple[Any, ...]


class _Thread(threading.local):
    """The connection of a thread, cached: a lookup in Django takes longer than a statement."""

    connection: BaseDatabaseWrapper | None = None


_thread = _Thread()


class Json:
    """A mark for a JSON value to be stored in a column; a dict or list needs no mark."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


@cache
def database() -> ModuleType:
    """Return the module of the database in use: `sqlite` or `postgresql`, with the same names."""
    return import_module(f"sessions_app.storage.{connections[DEFAULT_DB_ALIAS].vendor}")


def add_lock(query: str, clause: str) -> str:
    """Add a clause that locks the rows, such as `FOR UPDATE`, if there are several writers."""
    return f"{query} {clause}" if database().WRITERS > 1 else query


def _json(value: object) -> str:
    return to_json(value).decode()


@cache
def _adapters() -> dict[type, Callable[[Any], Any]]:
    """Return the functions that convert values for columns, by the type of the value."""
    return {
        dict: _json,
        list: _json,
        Json: lambda json_value: _json(json_value.value),
        **database().ADAPTERS,
    }


def read_uuid(value: object) -> UUID:
    """Convert the value of a UUID column to a UUID: SQLite returns text."""
    return value if isinstance(value, UUID) else _uuid_of(value)


def read_id(value: UUID | str) -> UUID:
    """Convert a row's id from a caller, a UUID or its text, to a UUID.

    Raises:
        NotFound: no row can have such an id.
    """
    try:
        return read_uuid(value)
    except ValueError:
        raise NotFound(f"{value!r:.100} is no id.") from None


@lru_cache(maxsize=1024)  # cached: parsing a UUID takes as long as a SELECT
def _uuid_of(text: str) -> UUID:
    return UUID(text)


def is_uuid(text: str) -> bool:
    """Return whether the text is a UUID; in a query, the database would refuse any other text."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def read_time(value: object) -> datetime | None:
    """Convert the value of a datetime column to an aware datetime: SQLite returns text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value if isinstance(value, datetime) else None


def read_json(value: object) -> Any:
    """Decode the value of a JSON column."""
    return from_json(value) if isinstance(value, str) else value


def fetch(statement: str, params: Sequence[object]) -> list[Row]:
    """Run a query on this thread's connection; return all rows."""
    connection = _open_connection()
    with connection.wrap_database_errors:
        rows: list[Row] = _execute(connection.connection, statement, params).fetchall()
        return rows


def execute(statement: str, params: Sequence[object]) -> int:
    """Run a statement on this thread's connection; return the number of changed rows."""
    connection = _open_connection()
    with connection.wrap_database_errors:
        count: int = _execute(connection.connection, statement, params).rowcount
        return count


def _open_connection() -> BaseDatabaseWrapper:
    connection = _thread.connection
    if connection is None:
        connection = _thread.connection = connections[DEFAULT_DB_ALIAS]
    if connection.connection is None:
        connection.ensure_connection()
    return connection


def _execute(driver: object, statement: str, params: Sequence[Any]) -> Any:
    adapter = _adapters().get
    values = [value if (of := adapter(type(value))) is None else of(value) for value in params]
    return database().execute(driver, statement, values)


def insert(model: type[models.Model], **values: object) -> None:
    """Insert a row. Defaults of the model do not apply: name every column."""
    execute(insert_statement(model, tuple(values)), tuple(values.values()))


def insert_new(model: type[models.Model], **values: object) -> bool:
    """Insert a row; return False if a conflicting row exists."""
    statement = f"{insert_statement(model, tuple(values))} ON CONFLICT DO NOTHING"
    return bool(execute(statement, tuple(values.values())))


def update(model: type[models.Model], values: JsonObject, **where: object) -> int:
    """Update the rows whose columns equal `where`; return the number of rows."""
    statement = update_statement(model, tuple(values), tuple(where))
    return execute(statement, (*values.values(), *where.values()))


@cache
def insert_statement(model: type[models.Model], columns: tuple[str, ...], source: str = "") -> str:
    """Return the statement that inserts a row: of values, or the result of the query `source`."""
    source = source or f"VALUES ({', '.join(['%s'] * len(columns))})"
    return f"INSERT INTO {_table(model)} ({_names(columns)}) {source}"


@cache
def update_statement(
    model: type[models.Model], columns: tuple[str, ...], where: tuple[str, ...]
) -> str:
    """Return the statement that updates columns of the rows whose columns `where` have values."""
    changes = ", ".join(f'"{column}" = %s' for column in columns)
    conditions = " AND ".join(f'"{column}" = %s' for column in where)
    return f"UPDATE {_table(model)} SET {changes} WHERE {conditions}"  # noqa: S608 - names of ours


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'  # noqa: SLF001 - Django's documented _meta


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
