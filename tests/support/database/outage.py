"""A database outage for code that runs in the test's own process."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any
from unittest.mock import patch

import psycopg
from django.db import connection
from psycopg import sql

from sessions_app.storage import sql as statements
from sessions_app.storage import sqlite
from sessions_app.storage.writer import writer
from tests.support.database.cleanup import opened
from tests.support.running_form import CLUSTER

# Name prefixes of the runtime's threads that write and read.
OURS = ("writer", "read")
IMPATIENT = "PRAGMA busy_timeout=20"


@asynccontextmanager
async def database_away() -> AsyncIterator[None]:
    """Let each write fail within the block, and some reads."""
    away = _disconnect_postgresql() if CLUSTER else _lock_sqlite()
    if not CLUSTER:  # SQLite: let writes fail soon, or they would wait longer than the lock is held
        await writer.write(lambda tx: statements.execute(IMPATIENT, ()))
    await asyncio.to_thread(away.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(away.__exit__, None, None, None)


@contextmanager
def _lock_sqlite() -> Iterator[None]:
    """Hold SQLite's write lock elsewhere. After a failed write, the writer reconnects."""
    other = sqlite3.connect(_name(), isolation_level=None, check_same_thread=False)
    with (
        closing(other),
        patch("sessions_app.storage.sqlite.PRAGMAS", (*sqlite.PRAGMAS, IMPATIENT)),
    ):
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _disconnect_postgresql() -> Iterator[None]:
    """Break every connection to PostgreSQL, and refuse new ones.

    The tests' own connections are spared, because nothing would restore them before the next test.
    """
    theirs = [one.connection for one, thread in opened.items() if not thread.name.startswith(OURS)]
    spared = [one.info.backend_pid for one in theirs if one is not None and not one.closed]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        _allow_connections(other, False)
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND NOT pid = ANY(%s)",
            [_name(), spared],
        )
        yield
        _allow_connections(other, True)


def _allow_connections(other: "psycopg.Connection[Any]", allowed: bool) -> None:
    statement = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    other.execute(statement.format(sql.Identifier(_name()), sql.Literal(allowed)))


def _name() -> str:
    return str(connection.settings_dict["NAME"])
