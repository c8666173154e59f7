"""The removal of what a test left in the database, before the next one begins."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management.color import no_style
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.test import TransactionTestCase

from tests.support.running_form import CLUSTER

# Tables of Procrastinate, in an order that foreign keys allow. Django empties only its own models.
QUEUE = ("events", "periodic_defers", "jobs", "workers")

# Tables that mirror the code. Django fills them again after each test, which takes longer than most
# tests.
KEPT = {"auth_permission", "django_content_type"}

END_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

# Database connections of this process, with their threads; Procrastinate's pool is left out.
opened: dict[BaseDatabaseWrapper, threading.Thread] = {}
# Name prefixes of threads that may leave connections open: of `asyncio.to_thread` in a test's event
# loop, of asgiref, and of tests. All other threads close their connections before they end.
ORPHANED = ("asyncio_", "ThreadPoolExecutor-", "Thread-")


def _remember(connection: BaseDatabaseWrapper, **_: Any) -> None:
    opened[connection] = threading.current_thread()


connection_created.connect(_remember)


def _empty_tables(_: TransactionTestCase) -> None:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    emptied = [name for name in tables if name not in KEPT]
    if connection.vendor == "postgresql":
        flush = _deletions(emptied)
    else:
        flush = connection.ops.sql_flush(no_style(), emptied)
    connection.ops.execute_sql_flush(flush)


def _deletions(tables: list[str]) -> list[str]:
    """Return the SQL that empties the tables, without their triggers, when nobody writes to them.

    Django's TRUNCATE creates new files for all tables, which takes longer than most tests.
    """
    names = [connection.ops.quote_name(name) for name in tables]
    deletions = [f"DELETE FROM {name}" for name in names]  # noqa: S608 - names of the schema
    lock = f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE"
    return ["; ".join([lock, "SET LOCAL session_replication_role = replica", *deletions])]


TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[attr-defined] # its types leave it out


def close_orphans() -> None:
    """Close connections of ended threads, such as those of event loops and the test client."""
    for one, thread in list(opened.items()):
        if thread.is_alive():
            continue
        del opened[one]
        if one.connection is not None:
            one.connection.close()
            assert thread.name.startswith(ORPHANED), f"thread {thread.name} leaves a connection"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """Close all connections before the database is dropped: threads and pools keep theirs open."""
    yield
    for one in opened:
        if one.connection is not None:
            one.connection.close()
    if CLUSTER:
        parameters = connection.get_connection_params()
        parameters.pop("pool", None)
        with psycopg.connect(**parameters) as direct:
            direct.execute(END_OTHERS)


@pytest.fixture(autouse=True)
def _left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    mark = request.node.get_closest_marker("django_db")
    committed = "transactional_db" in request.fixturenames
    if not (mark or committed):
        yield
        return
    # Set Django's fixture up first, so that its teardown comes last. The teardown empties the
    # tables, on which nobody may hold a lock by then.
    request.getfixturevalue("_django_db_helper")
    yield
    close_orphans()
    if CLUSTER and (committed or mark.kwargs.get("transaction")):
        with connection.cursor() as cursor:
            for table in QUEUE:
                cursor.execute(f"DELETE FROM procrastinate_{table}")  # noqa: S608 - names above
