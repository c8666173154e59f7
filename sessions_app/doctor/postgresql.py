"""Checks of PostgreSQL: commits last, pages are whole, there is room, and connections for all."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from django.db import InternalError, OperationalError, connection, transaction

from sessions_app.dispatch import processes
from sessions_app.dispatch.connector import CONNECTIONS as QUEUE_POOL_SIZE
from sessions_app.doctor import disk
from sessions_app.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.models import Process
from sessions_app.storage import sql
from sessions_app.storage.databases import POOL_SIZE

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
CONNECTIONS = """
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int,
        (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
# Without the right to read all settings there is no row.
DIRECTORY = """
    SELECT setting FROM pg_settings WHERE name = 'data_directory'
    AND (inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8'
        OR inet_server_addr() = '::1')
"""
CHECKSUMS = """
    SELECT current_setting('data_checksums'), COALESCE(checksum_failures, 0)
    FROM pg_stat_database WHERE datname = current_database()
"""
AMCHECK = "SELECT has_function_privilege(to_regprocedure('bt_index_check(regclass)'), 'EXECUTE')"
INDEXES = """
    SELECT COUNT(bt_index_check(index.indexrelid)) FROM pg_index index
    JOIN pg_class class ON class.oid = index.indexrelid JOIN pg_am am ON am.oid = class.relam
    WHERE am.amname = 'btree' AND class.relpersistence = 'p' AND index.indisvalid
    AND class.relnamespace = current_schema()::regnamespace
"""
# Reads the tables themselves, whose pages have checksums, and not what an index says of them.
BY_PAGE = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off"
INTEGRITY = 20.0  # seconds
RESTORE = "Look into PostgreSQL's log, and restore a backup on another disk."
FULL = 0.9
# Seconds by which clocks may differ: deadlines and what admin shows differ as much.
NEAR = 1.0
FAR = 5.0


def _durability() -> Iterator[Finding]:
    values = {name: sql.fetch(f"SHOW {name}", ())[0][0] for name in DURABLE}
    off = [f"{name}=off" for name, value in values.items() if value == "off"]
    if off:
        yield wrong(f"{', '.join(off)}: a commit may be lost", "Set them to on in PostgreSQL.")
    else:
        yield ok(f"fsync on, synchronous_commit {values['synchronous_commit']}")


def _integrity() -> Iterator[Finding]:
    """Each page of each table is read, and each index where amcheck is there. Nobody waits."""
    [(amcheck,)] = sql.fetch(AMCHECK, ())
    try:
        with transaction.atomic():
            sql.execute(f"SET LOCAL statement_timeout = '{INTEGRITY:.0f}s'; {BY_PAGE}", ())
            sql.fetch(_tables(), ())
            if amcheck:
                sql.fetch(INDEXES, ())
    except InternalError as error:
        yield wrong(f"a page is damaged: {error}", RESTORE)
        return
    except OperationalError as error:
        yield warning(f"it could not be read whole: {error}", "Run on its machine: pg_amcheck")
        return
    [(checksums, failures)] = sql.fetch(CHECKSUMS, ())
    done = "tables and indexes" if amcheck else "tables, and no indexes (no extension amcheck)"
    if failures:
        todo = f"{RESTORE} Once it is mended: SELECT pg_stat_reset()"
        yield wrong(f"{failures} pages were found that had another checksum", todo)
    elif checksums == "on":
        yield ok(f"checksums are on; read were {done}")
    else:
        yield warning(f"checksums are off; read were {done}", "Turn them on with pg_checksums.")


def _tables() -> str:
    names = map(connection.ops.quote_name, connection.introspection.table_names())
    counts = (f"SELECT COUNT(*) FROM {name}" for name in names)  # noqa: S608 - quoted
    return " UNION ALL ".join(counts)


def _disk() -> Iterator[Finding]:
    """PostgreSQL does not say what is free; on this machine the disk itself does."""
    [(size,)] = sql.fetch("SELECT pg_database_size(current_database())", ())
    for (directory,) in sql.fetch(DIRECTORY, ()):
        with suppress(OSError):
            yield disk.room(Path(directory), size)
            return
    known = f"the database has {disk.in_words(size)}"
    yield warning(
        f"{known}; what is free on its disk cannot be seen from here",
        "Have it watched where PostgreSQL runs.",
    )


def _connections() -> Iterator[Finding]:
    [(limit, used)] = sql.fetch(CONNECTIONS, ())
    alive = processes.alive()
    queued = sum(row.kind == Process.Kind.WORKER for row in alive)
    most = len(alive) * POOL_SIZE + queued * QUEUE_POOL_SIZE
    fact = f"{used} of {limit} in use; the processes that are up may take {most}"
    if used > limit * FULL:
        yield wrong(fact, "Raise max_connections, or run fewer processes.")
    elif most > limit:
        yield warning(fact, "Raise max_connections; see docs/deployment.md, Sizing.")
    else:
        yield ok(fact)


def _clock() -> Iterator[Finding]:
    before = time.time()
    [(theirs,)] = sql.fetch("SELECT EXTRACT(EPOCH FROM clock_timestamp())", ())
    apart = float(theirs) - (before + time.time()) / 2
    fact = f"{abs(apart):.3f} s {'behind' if apart > 0 else 'ahead of'} the database's"
    if abs(apart) > FAR:
        yield wrong(fact, "Have NTP set the clocks of all machines.")
    elif abs(apart) > NEAR:
        yield warning(fact, "Have NTP set the clocks of all machines.")
    else:
        yield ok(fact)


CHECKS = (
    Check("durability", _durability, needs="database"),
    Check("integrity", _integrity, needs="database"),
    Check("disk", _disk, needs="database"),
    Check("connections", _connections, needs="migrations"),
    Check("clock", _clock, needs="database"),
)
