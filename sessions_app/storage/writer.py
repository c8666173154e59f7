"""The threads that own the write connections and commit gathered work (group commit).

SQLite: one thread, which takes all queued work into a single transaction.

PostgreSQL: several threads, as the database commits transactions concurrently. One transaction has
the work of one host or one request, and so locks rows of one conversation or one user: two
transactions that locked several conversations in different orders would deadlock.

See docs/architecture.md.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from itertools import count, groupby
from typing import Any, TypeVar

from django.db import connection, transaction
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from sessions_app.errors import Refused, StorageUnavailable
from sessions_app.logs import Log
from sessions_app.storage import caller_thread, clock
from sessions_app.storage.connections import connect_to_write
from sessions_app.storage.faults import COLLISIONS, is_fault, sqlstate
from sessions_app.storage.safety_times import WRITE_PATIENCE
from sessions_app.storage.sql import database
from sessions_app.storage.transaction import Transaction, call_all
from sessions_app.storage.vital_threads import vital

log = Log(__name__)

BATCH = 200

T = TypeVar("T")
Work = Callable[[Transaction], T]

_numbers = count()


class Lane:
    """A lane of writes that build on each other: after one has failed, no later write is made.

    Writes of lanes that share an order are made in the order in which they were queued.
    """

    def __init__(self, order_of: "Lane | None" = None) -> None:
        self.failed = False
        self.number: int = next(_numbers) if order_of is None else order_of.number


class _Item:
    """A piece of work on its way through the writer."""

    __slots__ = ("error", "future", "lane", "result", "work")

    def __init__(
        self, work: Work[T], future: "Future[T] | asyncio.Future[T]", lane: Lane | None = None
    ) -> None:
        self.work = work
        self.future = future
        self.lane = lane or Lane()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, tx: Transaction) -> None:
        """Do the work in the transaction."""
        self.error = None
        if self.lane.failed:
            self.error = StorageUnavailable()
            return
        tx.now = clock.now()
        self.result = self.work(tx)

    def fail(self, error: Exception) -> None:
        """Set the item's error: its transaction was rolled back, or the outcome is unknown.

        Later items of the same lane then fail, too, unless the error is `Refused`.
        """
        self.error = error
        if is_fault(error):
            self.error = StorageUnavailable()
            self.error.__cause__ = error
        self.lane.failed = self.lane.failed or not isinstance(error, Refused)

    def settle(self) -> None:
        """Set the future's result or error, unless the future was cancelled meanwhile."""
        if self.future.done():
            return
        with suppress(InvalidStateError):  # another thread may have just cancelled the future
            if self.error is not None:
                self.future.set_exception(self.error)
            else:
                self.future.set_result(self.result)


class Writer:
    """The writer, which commits work: synchronous functions of a `Transaction`.

    Work may run twice, so it only writes to the database. If work raises an error, `Refused`
    included, its writes are rolled back.
    """

    def __init__(self) -> None:
        self._threads: list[_Thread] = []
        self._lock = threading.Lock()
        # Callback, made in the writer thread after each commit that appended events.
        self.on_commit: Callable[[Transaction], None] | None = None
        # Monotonic time of the last write that failed because of the database.
        self.failed_at = float("-inf")

    def write(self, work: Work[T], lane: Lane | None = None) -> "asyncio.Future[T]":
        """Queue the work from a coroutine; the future gets the result after the commit."""
        if caller_thread.is_used():
            return caller_thread.begin(partial(self.write_within, work))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Item(work, future, lane))
        return future

    def write_now(self, work: Work[T]) -> T:
        """Queue the work from a thread without an event loop, and wait for the commit."""
        if caller_thread.is_used():
            return self.write_within(work)
        return self.submit(work).result()

    def submit(self, work: Work[T], lane: Lane | None = None) -> "Future[T]":
        """Queue the work from anywhere; the future's callbacks are called by the writer."""
        future: Future[T] = Future()
        self._put(_Item(work, future, lane))
        return future

    def write_within(self, work: Work[T]) -> T:
        """Do the work at once, in this thread's current transaction or in a new one. Blocks.

        The work is committed, and its events are published, with the caller's other writes; or the
        work is rolled back with these writes.
        """
        tx = Transaction()

        def committed() -> None:
            self.tell(tx)
            tx.wake_loops()

        with transaction.atomic():
            result = work(tx)
            transaction.on_commit(committed)
        return result

    def tell(self, tx: Transaction) -> None:
        """Call the functions that wait for the commit, and announce the transaction's events."""
        call_all(tx.after_commit)
        if tx.events and self.on_commit is not None:
            call_all([partial(self.on_commit, tx)])

    def stop(self) -> None:
        """Write the queued work, then end the threads. A later write starts new ones."""
        with self._lock:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.queue.put(None)
        for thread in threads:
            thread.join()

    def _put(self, item: _Item) -> None:
        if not self._threads:
            with self._lock:
                if not self._threads:
                    threads = [_Thread(self) for _ in range(database().WRITERS)]
                    for thread in threads:
                        thread.start()
                    self._threads = threads
        threads = self._threads
        threads[item.lane.number % len(threads)].queue.put(item)


class _TransientFailure(Exception):
    """A failure after which the transaction was rolled back, and a retry may soon succeed."""


class _Thread(threading.Thread):
    """A writer thread, with its own queue and its own database connection."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(name="writer", daemon=True)
        self.queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._writer = writer

    @vital()
    def run(self) -> None:
        """Commit queued work until the thread is stopped."""
        try:
            while self._commit_gathered():
                pass
        finally:
            connection.close()

    def _commit_gathered(self) -> bool:
        """Wait for work and commit it; return False once stopped.

        While the thread waits, it keeps no reference to earlier work.
        """
        items = self._gather()
        if items is None:
            return False
        for together in _transactions(items):
            self._commit(together)
        return True

    def _gather(self) -> list[_Item] | None:
        """Wait for an item, and return all items queued by then; return None once stopped."""
        first = self.queue.get()
        if first is None:
            return None
        items = [first]
        while len(items) < BATCH:
            try:
                item = self.queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self.queue.put(None)
                break
            items.append(item)
        return items

    def _commit(self, items: list[_Item]) -> None:
        """Commit all items in one transaction; if one fails or is refused, commit one by one.

        A single writer also takes followers: with several, the rows of both would be locked in an
        order that other transactions do not have.
        """
        if not self._try(items, takes_followers=database().WRITERS == 1):
            for item in items:
                self._try([item])

    def _try(self, items: list[_Item], *, takes_followers: bool = False) -> bool:
        """Try one transaction for all items; return False if each needs one of its own."""
        tx = Transaction(takes_followers=takes_followers)
        try:
            try:
                _transact(tx, items)
            except _TransientFailure:
                for attempt in _attempts():
                    with attempt:
                        tx = Transaction()
                        _transact(tx, items)
        except Exception as error:  # noqa: BLE001 - passed to the callers that wait for the work
            cause = error.__cause__ if isinstance(error, _TransientFailure) else error
            assert isinstance(cause, Exception)  # noqa: S101 - for the type checker
            if not isinstance(cause, Refused):
                log.warning("writer.rolled_back", items=len(items), error=repr(cause))
            for follower in tx.followers:
                follower.rolled_back()
            is_shared = len(items) > 1 or tx.followers
            if tx.begun and is_shared and not _may_be_committed(cause, tx):
                return False
            if is_fault(cause):
                self._writer.failed_at = time.monotonic()
            tx = Transaction()
            for item in items:
                item.fail(cause)
        self._notify_callers(tx, items)
        return True

    def _notify_callers(self, tx: Transaction, items: list[_Item]) -> None:
        """Call the functions after the commit, and then give waiting callers their outcomes."""
        self._writer.tell(tx)
        for follower in tx.followers:
            follower.committed(tx)
        for item in items:
            if isinstance(item.future, asyncio.Future):
                tx.call_in(item.future.get_loop(), item.settle)
            else:
                item.settle()
        tx.wake_loops()


def _transactions(items: list[_Item]) -> Iterable[list[_Item]]:
    """Group the items that may share a transaction; the order within a lane stays."""
    if database().WRITERS == 1:
        return [items]
    by_lane = sorted(items, key=lambda item: item.lane.number)  # a stable sort keeps a lane's order
    return (list(group) for _, group in groupby(by_lane, key=lambda item: item.lane.number))


def _attempts() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(_TransientFailure),
        stop=stop_after_delay(WRITE_PATIENCE),
        wait=wait_exponential(multiplier=0.05, max=0.5),
        reraise=True,
    )


def _transact(tx: Transaction, items: list[_Item]) -> None:
    """Do the work and commit.

    Raises:
        _TransientFailure: the transaction was rolled back for a transient reason.
    """
    try:
        connect_to_write()
        with transaction.atomic():
            tx.begun = True
            for item in items:
                item.run(tx)
            for follower in tx.followers:
                follower.run(tx)
            # Mark Django's on_commit hooks as robust, so that their errors are only logged: an
            # error after the commit would make the writer repeat all of the work.
            hooks: list[Any] = connection.run_on_commit
            hooks[:] = [(ids, hook, True) for ids, hook, _is_robust in hooks]
            tx.committing = True
    except Exception as error:
        connection.close_if_unusable_or_obsolete()
        if _passes(error, tx):
            raise _TransientFailure from error
        raise


def _passes(error: Exception, tx: Transaction) -> bool:
    """Return whether a retry may soon succeed; on SQLite, busy_timeout has already waited."""
    return database().WRITERS > 1 and is_fault(error) and not _may_be_committed(error, tx)


def _may_be_committed(error: Exception, tx: Transaction) -> bool:
    """Return whether the connection was lost during the commit, which may have succeeded."""
    return tx.committing and is_fault(error) and sqlstate(error) not in COLLISIONS


writer = Writer()
