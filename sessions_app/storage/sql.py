"""Plain SQL for the writes that every message, event and answer costs.

The ORM builds each statement anew, which takes ten times what the database needs to execute it.
These are portable between SQLite and PostgreSQL; column names are those of the models.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, models

Row = tuple[Any, ...]


class Json:
    """Any JSON value on its way into its column; a bare dict or list needs no such mark."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def adapt(value: Any) -> Any:
    """A value as the database in use stores it: UUIDs, aware datetimes, JSON."""
    adapter = _ADAPTERS.get(type(value))
    return value if adapter is None else adapter(value)


@cache
def _has_own_types() -> bool:
    """Whether the database has types for UUIDs and aware datetimes; SQLite stores text."""
    return connection.vendor == "postgresql"


def _uuid(value: UUID) -> UUID | str:
    return value if _has_own_types() else value.hex


def _time(value: datetime) -> datetime | str:
    if _has_own_types():
        return value
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


_ADAPTERS: dict[type, Callable[[Any], Any]] = {
    UUID: _uuid,
    datetime: _time,
    dict: json.dumps,
    list: json.dumps,
    Json: lambda json_value: json.dumps(json_value.value),
}


def read_uuid(value: Any) -> UUID:
    """A UUID from its column."""
    return value if isinstance(value, UUID) else UUID(value)


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID; the database takes nothing else for one."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def read_time(value: Any) -> datetime | None:
    """An aware datetime from its column."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value if isinstance(value, datetime) else None


def read_json(value: Any) -> Any:
    """JSON from its column."""
    return json.loads(value) if isinstance(value, str) else value


def fetch(statement: str, params: Sequence[Any]) -> list[Row]:
    """Run a query on this thread's connection; all its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [adapt(value) for value in params])
        rows: list[Row] = cursor.fetchall()
        return rows


def execute(statement: str, params: Sequence[Any]) -> int:
    """Run a statement on this thread's connection; how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, [adapt(value) for value in params])
        count: int = cursor.rowcount
        return count


def insert(model: type[models.Model], **values: Any) -> None:
    """Insert a row. Defaults of the model do not apply: name every column."""
    execute(_insert(model, tuple(values)), tuple(values.values()))


def insert_new(model: type[models.Model], **values: Any) -> None:
    """Insert a row, unless there is one that it may not stand beside."""
    statement = f"{_insert(model, tuple(values))} ON CONFLICT DO NOTHING"
    execute(statement, tuple(values.values()))


def update(model: type[models.Model], values: dict[str, Any], **where: Any) -> int:
    """Update the rows whose columns equal `where`; how many there were."""
    statement = _update(model, tuple(values), tuple(where))
    return execute(statement, (*values.values(), *where.values()))


@cache
def _insert(model: type[models.Model], columns: tuple[str, ...]) -> str:
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {_table(model)} ({_names(columns)}) VALUES ({places})"  # noqa: S608 - names of ours


@cache
def _update(model: type[models.Model], columns: tuple[str, ...], where: tuple[str, ...]) -> str:
    changes = ", ".join(f'"{column}" = %s' for column in columns)
    conditions = " AND ".join(f'"{column}" = %s' for column in where)
    return f"UPDATE {_table(model)} SET {changes} WHERE {conditions}"  # noqa: S608 - names of ours


def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'  # noqa: SLF001 - Django's documented _meta


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
