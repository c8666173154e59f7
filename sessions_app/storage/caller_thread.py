"""The caller's thread, in which the database work of a project's tests is done.

A test's rows are in a transaction that only the test's connection sees, or in a database in memory,
which threads cannot share; and a connection that stays open would keep the test database from being
dropped. So in a test without a runtime, work is done where Django does the synchronous work of
async views: in the thread of the test.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from asgiref.sync import sync_to_async
from django.core import mail
from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

IN_LOOP = (
    "Coroutines cannot use the transaction of this test: Django runs their queries in another "
    "thread. Mark the test with django_db(transaction=True)."
)
NOT_HOSTED = (
    "No run goes on in this test, so waiting for one would have no end. Host the workflow with the "
    "fixture host_workflow, or give a timeout."
)

# Number of runtimes in this process. They have threads and connections of their own.
_runtimes = 0
# Connections that tests have opened, by thread: in a coroutine Django does not show the one that
# its thread has outside.
_connections: WeakValueDictionary[int, BaseDatabaseWrapper] = WeakValueDictionary()


def begin_runtime() -> None:
    """Use the runtime's own threads from now on."""
    global _runtimes
    _runtimes += 1


def end_runtime() -> None:
    """Revert one call of `begin_runtime`."""
    global _runtimes
    _runtimes -= 1


def is_used() -> bool:
    """Return whether a project's test is the caller, without a runtime in its process.

    Django documents that `outbox` exists in tests.
    """
    return not _runtimes and hasattr(mail, "outbox")


def remember(connection: BaseDatabaseWrapper) -> None:
    """Remember the connection of this thread, which a test has opened."""
    if is_used():
        _connections[threading.get_ident()] = connection


def begin(function: Callable[[], T]) -> asyncio.Future[T]:
    """Begin to run a function in the caller's thread, from a coroutine.

    Raises:
        RuntimeError: the thread of the event loop has the test's transaction.
    """
    of_loop = _connections.get(threading.get_ident())
    if of_loop is not None and of_loop.in_atomic_block:
        raise RuntimeError(IN_LOOP)
    return asyncio.ensure_future(sync_to_async(function)())
