"""Reading the database from coroutines, which do not stall each other.

Channels' and asgiref's default runs all database calls of a process through one shared thread. Here
a bounded pool of threads with lasting connections serves the reads of the event loop. `read_for`
limits the threads of one person, whose slow reads leave threads to others.
"""

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import get_script_prefix, set_script_prefix
from django.utils import translation

from sessions_app.storage import caller_thread
from sessions_app.storage.faults import is_fault

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
# Maximum number of threads that serve one person's reads at the same time.
MAX_THREADS_PER_PERSON = THREADS // 2


# Connections of all threads, each with a lock that its thread holds while it reads: SQLite's driver
# crashes the process if another thread closes a connection during a statement.
_kept: list[tuple[BaseDatabaseWrapper, threading.RLock]] = []


class _OfThread(threading.local):
    """The lock of each thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


_of_thread = _OfThread()


def make_threads(number: int, name: str) -> ThreadPoolExecutor:
    """Make threads that keep their connections until the process ends."""
    return ThreadPoolExecutor(number, name, initializer=_keep_connections)


def _keep_connections() -> None:
    for database in connections:
        with suppress(ImproperlyConfigured, ImportError):  # go on without a driver's package
            own = connections[database]
            own.inc_thread_sharing()  # allow another thread to call `close`
            _kept.append((own, _of_thread.lock))


def is_kept(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the connection is of one of the threads, which read again and again."""
    return any(own is connection for own, _ in _kept)


@atexit.register
def close_connections() -> None:
    """Close each thread's connections once its read has ended; its next read opens new ones."""
    for own, lock in _kept:
        with lock:
            own.close()


_executor = make_threads(THREADS, "read")


def _read(function: Callable[[], T]) -> T:
    was_connected = connection.connection is not None
    try:
        return function()
    except Error as error:
        _close_broken()
        is_lost = was_connected and connection.connection is None
        if not (is_lost and is_fault(error)):
            raise
        # The database was restarted since this thread's last read: retry with a new connection.
        return function()
    finally:
        _close_broken()


def _close_broken() -> None:
    # Close only a broken connection: opening one costs more than most reads. In autocommit mode
    # nothing is held open between two reads.
    if connection.errors_occurred:
        connection.close_if_unusable_or_obsolete()


def begin(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """Begin to run a reading function in one of the threads."""
    return begin_in(_executor, lambda: function(*args, **kwargs))


def begin_in(threads: Executor, function: Callable[[], T]) -> asyncio.Future[T]:
    """Begin to run a reading function, which may be slow, in one of the given threads.

    The function gets the caller's language and URL prefix: asgiref keeps both per thread.
    """
    language, prefix = translation.get_language(), get_script_prefix()

    def read_as_caller() -> T:
        set_script_prefix(prefix)
        with translation.override(language), _of_thread.lock:
            return _read(function)

    if caller_thread.is_used():
        return caller_thread.begin(read_as_caller)
    return asyncio.get_running_loop().run_in_executor(threads, read_as_caller)


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a reading function in one of the threads."""
    return await begin(function, *args, **kwargs)


class Shares:
    """A limit of concurrent work per person: each person has the same fixed number of slots."""

    def __init__(self, slots_per_person: int) -> None:
        self._slots_per_person = slots_per_person
        self._slots: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, person: Hashable, begin: Callable[[], Awaitable[T]]) -> T:
        """Begin the work once the person has a free slot, and return the result.

        Work whose caller is cancelled keeps the slot to its end: a thread cannot be stopped.
        """
        # The loop is part of the key: an earlier loop's semaphores may exist, and serve only that
        # loop.
        key = (asyncio.get_running_loop(), person)
        slots = self._slots.setdefault(key, asyncio.Semaphore(self._slots_per_person))
        await slots.acquire()
        work = asyncio.ensure_future(begin())
        work.add_done_callback(lambda _: slots.release())
        return await asyncio.shield(work)


_shares = Shares(MAX_THREADS_PER_PERSON)


async def read_for(
    person: Hashable, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a function that reads for a person, once the person has a free slot."""
    return await _shares.run(person, lambda: begin(function, *args, **kwargs))
