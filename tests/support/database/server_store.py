"""The stores of test servers: each is an SQLite file or a PostgreSQL database.

Both kinds take SQL with `?` for its parameters, and return UUIDs as 32 hex digits and JSON as text.
"""

import itertools
import os
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from tests.support.running_form import CLUSTER

Row = dict[str, Any]


class Store(ABC):
    """The place where one server keeps its rows; `environment` makes a process use the store."""

    environment: dict[str, str]

    @abstractmethod
    def copy(self, data_dir: Path) -> "Store":
        """Create a store with the same rows, for a server with that directory."""

    @abstractmethod
    def rows(self, statement: str, *parameters: object) -> list[Row]:
        """Return the rows of a query."""

    def execute(self, statement: str, *parameters: object) -> None:
        """Execute a statement, as somebody with access to the database would."""
        self.execute_many(statement, [parameters])

    @abstractmethod
    def execute_many(self, statement: str, many: Iterable[tuple[object, ...]]) -> None:
        """Execute statements in one transaction."""

    @abstractmethod
    def drop(self) -> None:
        """Remove the store."""


class SqliteStore(Store):
    """A store in an SQLite file in the server's directory."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "db.sqlite3"
        self.environment = {}

    def copy(self, data_dir: Path) -> "SqliteStore":
        for path in self._path.parent.glob(f"{self._path.name}*"):
            shutil.copy(path, data_dir)
        return SqliteStore(data_dir)

    def rows(self, statement: str, *parameters: object) -> list[Row]:
        with closing(sqlite3.connect(self._path, timeout=20)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(statement, parameters)]

    def execute_many(self, statement: str, many: Iterable[tuple[object, ...]]) -> None:
        with closing(sqlite3.connect(self._path, timeout=20)) as database, database:
            database.executemany(statement, many)

    def drop(self) -> None:
        """Do nothing, because the directory is removed after the test."""


# Numbers for databases that one process of the tests creates. The process id keeps the names apart
# from those of other processes; Redis has few databases, so there the pytest-xdist number does it.
_numbers = itertools.count()
_place = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PLACES = 8
# Number of databases of the Redis server, which have numbers instead of names.
REDIS_DATABASES = 1024


class PostgresStore(Store):
    """A store in the tests' PostgreSQL, with a database number on the tests' Redis."""

    def __init__(self, template: str = "template1") -> None:
        number = next(_numbers)
        self._name = f"server_{os.getpid()}_{number}"
        redis = f"db={(number * PLACES + _place % PLACES) % REDIS_DATABASES}"
        redis_url = os.environ["REDIS_URL"].partition("?")[0].removesuffix("/0")
        redis_url += f"?{redis}" if redis_url.startswith("unix:") else f"/{redis[3:]}"
        parameters = conninfo_to_dict(os.environ["DATABASE_URL"]) | {"dbname": self._name}
        self.url = f"postgresql:///?{urlencode(parameters)}"
        self.environment = {"DATABASE_URL": self.url, "REDIS_URL": redis_url}
        # FILE_COPY is the faster strategy here, because nothing is written to the write-ahead log.
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        with _service() as connection:
            connection.execute(create.format(*map(sql.Identifier, (self._name, template))))

    def copy(self, data_dir: Path) -> "PostgresStore":
        return PostgresStore(template=self._name)

    def rows(self, statement: str, *parameters: object) -> list[Row]:
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as connection:
            set_json_loads(_text, connection)
            cursor = connection.execute(_marks(statement), parameters or None)
            return [{name: _plain(value) for name, value in row.items()} for row in cursor]

    def execute_many(self, statement: str, many: Iterable[tuple[object, ...]]) -> None:
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.executemany(_marks(statement), many)

    def drop(self) -> None:
        """Drop the database, and close all connections to it."""
        with _service() as connection:
            name = sql.Identifier(self._name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def empty_store(data_dir: Path) -> Store:
    """Create a store without tables for a server with that directory."""
    return PostgresStore() if CLUSTER else SqliteStore(data_dir)


def _service() -> "psycopg.Connection[Any]":
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def _marks(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


def _text(json: str | bytes) -> str:
    return json if isinstance(json, str) else json.decode()


def _plain(value: Any) -> Any:
    return value.hex if isinstance(value, UUID) else value
