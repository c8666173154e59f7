"""The code that is specific to SQLite; `storage.postgresql` has the same names for PostgreSQL.

SQLite has one writer, which waits for no other, and so needs no locks.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, LiteralString
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.storage import caller_thread, sql
from sessions_app.storage.new_event import LEASE, SEQUENCE, Insert, NewEvent, StoredEvent, Update

# Concurrent writers starve each other for seconds; a single writer, which takes all queued work
# into one transaction, gives each write the latency of one commit.
WRITERS = 1
# With these settings, a returned commit is on the disk, and readers do not wait for the writer.
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=20000",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA cache_size=-2000",
    # SQLite copies its write-ahead log into the database after 40 MB, not after 4: all writes wait
    # during the copy.
    "PRAGMA wal_autocheckpoint=10000",
    "PRAGMA temp_store=MEMORY",
)
INSERT_EVENT = """
    INSERT INTO sessions_app_event
        (conversation_id, run_id, type, payload, created_at, first_sequence, sequence)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


@lru_cache(maxsize=16)  # cached: all writes of a transaction have the same time
def _time(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


# SQLite stores UUIDs and aware datetimes as text.
ADAPTERS: dict[type, Callable[[Any], Any]] = {UUID: lambda value: value.hex, datetime: _time}


def execute(driver: Any, statement: LiteralString, values: Sequence[Any]) -> Any:
    """Execute a statement on the driver's connection, and return the cursor."""
    return driver.execute(_with_question_marks(statement), values)


@cache
def _with_question_marks(statement: str) -> str:
    return statement.replace("%s", "?")


def read_time(fetch: Callable[[str, Sequence[Any]], list[Any]]) -> datetime | None:
    """Return None: the clock of the database is the clock of its only process."""
    return None


def store_event(new: NewEvent) -> StoredEvent:
    """Check the lease, assign the sequence number, and store the event and the other changes."""
    lease: tuple[int, object] = (0, None)
    if new.lease is not None:
        key, generation = new.lease
        lease = next(iter(sql.fetch(LEASE, (key,))), lease)
        if lease[0] != generation:
            return StoredEvent(None, *lease)
    if new.first is not None and not _change(new.first, 0):
        return StoredEvent(None, *lease)
    for (sequence,) in sql.fetch(new.sequence_query, new.sequence_values):
        sql.execute(INSERT_EVENT, (*new.values, sequence, sequence))
        for change in new.then:
            _change(change, sequence)
        return StoredEvent(sequence, *lease)
    return StoredEvent(None, *lease)


def _change(change: Insert | Update, sequence: int) -> int:
    if isinstance(change, Update):
        return sql.update(change.model, change.values, **change.where)
    values = {name: sequence if of is SEQUENCE else of for name, of in change.values.items()}
    sql.insert(change.model, **values)
    return 1


def prepare(connection: BaseDatabaseWrapper) -> None:
    """Prepare a connection that was just opened.

    A project's test database keeps SQLite's defaults: `manage.py test --parallel` copies its file,
    without the write-ahead log.
    """
    wrapper: Any = connection
    # By default (DEFERRED), a first write fails at once if other writes came since the first read.
    wrapper.transaction_mode = "IMMEDIATE"
    with connection.cursor() as cursor:
        for pragma in () if caller_thread.is_used() else PRAGMAS:
            cursor.execute(pragma)
    # Replace SQLite's LIKE, which ignores case for ASCII only; the third argument is for ESCAPE.
    wrapper.connection.create_function("like", 3, _is_like, deterministic=True)


def _is_like(pattern: str, value: object, escape: str) -> bool | None:
    return None if value is None else bool(_matcher(pattern, escape)(str(value).casefold()))


@lru_cache(maxsize=64)
def _matcher(pattern: str, escape: str) -> Callable[[str], object]:
    """Return a function that tells whether a case-folded text matches a pattern of LIKE."""
    folded = pattern.casefold()
    word = folded[1:-1]
    if folded[:1] == folded[-1:] == "%" and not {"%", "_", escape}.intersection(word):
        return lambda text: word in text  # substring search is ten times as fast as a regex
    parts = re.findall(f"{re.escape(escape)}?.", folded, re.DOTALL)
    wildcards = {"%": ".*", "_": "."}
    regex = "".join(wildcards.get(part) or re.escape(part[-1]) for part in parts)
    return re.compile(regex, re.DOTALL).fullmatch


def prepare_to_read(connection: BaseDatabaseWrapper) -> None:
    """Prepare the connection of a reading thread: nothing more to do."""


def prepare_to_write(connection: BaseDatabaseWrapper) -> None:
    """Prepare a writer's connection: nothing more to do."""


def disconnect(connection: BaseDatabaseWrapper) -> None:
    """Close the connection; Django keeps that of a database in memory."""
    connection.close()


@contextmanager
def limited_statements(seconds: float) -> Iterator[None]:
    """Do nothing: SQLite cannot limit the time of a statement, and a transaction would write."""
    yield


def is_over_limit(error: BaseException) -> bool:
    """Return whether an error of Django says that a statement took too long: never."""
    return False
