"""Checks of PostgreSQL: its commits last, it has connections for all, and its clock is ours."""

import time
from collections.abc import Iterator

from sessions_app.hosting.dispatch.connector import CONNECTIONS as QUEUE_POOL_SIZE
from sessions_app.models import Process
from sessions_app.operations import processes
from sessions_app.operations.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.storage import sql
from sessions_app.storage.databases import POOL_SIZE

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
CONNECTIONS = """
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int,
        (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
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
    Check("connections", _connections, needs="migrations"),
    Check("clock", _clock, needs="database"),
)
