"""Checks of the database: it answers, is up to date, takes writes and keeps them."""

import time
from collections.abc import Iterator
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.module_loading import import_string

from sessions_app.doctor.findings import Check, Finding, ok, wrong
from sessions_app.lifecycle.start_checks import check_postgresql
from sessions_app.models import HostLease
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql

NAME = "database"
CLUSTER = RuntimeSettings.load().cluster


def _answers() -> Iterator[Finding]:
    try:
        if CLUSTER:
            check_postgresql()  # without the pool, which would not say why
        connection.ensure_connection()
    except ImproperlyConfigured as error:
        yield wrong(*str(error).split(". ", 1))
        return
    except DatabaseError as error:
        yield wrong(f"it cannot be opened: {error}", "Check where its file is, and who may write.")
        return
    started = time.perf_counter()
    sql.fetch("SELECT 1", ())
    took = (time.perf_counter() - started) * 1000
    version = ".".join(map(str, connection.get_database_version()))
    yield ok(f"{connection.display_name} {version} answers in {took:.1f} ms")


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        apps = ", ".join(sorted({migration.app_label for migration, _ in plan}))
        yield wrong(f"{len(plan)} migrations to apply ({apps})", "Run: manage.py migrate")
    else:
        yield ok("all applied")


def _writes() -> Iterator[Finding]:
    """Two real writes: a lease that nobody has, and its end. What is taken back reaches no disk."""
    now = timezone.now()
    lease = HostLease(key=f"doctor:{uuid4()}", started_at=now, last_activity=now, released_at=now)
    started = time.perf_counter()
    try:
        lease.save(force_insert=True)
        lease.delete()
    except DatabaseError as error:
        yield wrong(
            f"no write gets through: {error}",
            "Look for a full disk, locks, or a read-only server.",
        )
    else:
        yield ok(f"one took {(time.perf_counter() - started) * 500:.1f} ms")


CHECKS = (
    Check(NAME, _answers),
    Check("migrations", _migrations, needs=NAME),
    Check("writes", _writes, needs="migrations"),
    # Only the form of many processes has all that the checks of PostgreSQL import.
    *import_string(f"{__package__}.{'postgresql' if CLUSTER else 'sqlite'}.CHECKS"),
)
