"""One thread that owns the write connection and commits what has gathered (group commit).

Concurrent writers on SQLite starve each other for seconds; one writer that takes all that is queued
into a single transaction gives each of them the latency of one commit. See docs/architecture.md.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog
from django.db import connection, transaction
from django.db.utils import InterfaceError, OperationalError

from sessions_app.errors import Refused, StorageUnavailable
from sessions_app.event_log.records import EventRecord
from sessions_app.event_log.transaction import Transaction

log = structlog.get_logger(__name__)

BATCH = 200

T = TypeVar("T")
Work = Callable[[Transaction], T]


class Lane:
    """Writes that build on each other: once one of them has failed, none after it is made."""

    def __init__(self) -> None:
        self.failed = False


class _Item:
    """A piece of work on its way through the writer."""

    __slots__ = ("error", "future", "lane", "result", "work")

    def __init__(
        self, work: Work[Any], future: "Future[Any] | asyncio.Future[Any]", lane: Lane | None = None
    ) -> None:
        self.work = work
        self.future = future
        self.lane = lane
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, tx: Transaction) -> None:
        """Do the work in the transaction."""
        self.error = None
        if self.lane is not None and self.lane.failed:
            self.error = StorageUnavailable()
            return
        try:
            self.result = self.work(tx)
        except Refused as refusal:
            self.error = refusal

    def fail(self, error: Exception) -> None:
        """The transaction was rolled back."""
        self.error = error
        if isinstance(error, (OperationalError, InterfaceError)):
            self.error = StorageUnavailable()
            self.error.__cause__ = error
        if self.lane is not None:
            self.lane.failed = True

    def settle(self) -> None:
        """Hand the outcome over. A future that was cancelled meanwhile wants it no more."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """Commits work: synchronous functions of a `Transaction`.

    Work may run twice, so it only writes to the database; it raises `Refused` only before its first
    write.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        # Told in this thread, after each commit, what was appended.
        self.on_commit: Callable[[list[EventRecord]], None] | None = None

    def write(self, work: Work[T], lane: Lane | None = None) -> "asyncio.Future[T]":
        """Queue the work from a coroutine; the future has its result once it is committed."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Item(work, future, lane))
        return future

    def write_now(self, work: Work[T]) -> T:
        """Queue the work from a thread without an event loop, and wait for the commit."""
        future: Future[T] = Future()
        self._put(_Item(work, future))
        return future.result()

    def stop(self) -> None:
        """Write what is queued, then end the thread. A later write starts a new one."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _put(self, item: _Item) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._main, name="writer", daemon=True)
                    self._thread.start()
        self._queue.put(item)

    def _main(self) -> None:
        try:
            while (items := self._gather()) is not None:
                self._commit(items)
        finally:
            connection.close()

    def _gather(self) -> list[_Item] | None:
        """What is queued by now, at least one item; None at the end."""
        first = self._queue.get()
        if first is None:
            return None
        items = [first]
        while len(items) < BATCH:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            items.append(item)
        return items

    def _commit(self, items: list[_Item]) -> None:
        """All in one transaction; where one of them fails, each in its own."""
        if not self._try(items):
            for item in items:
                self._try([item])
        by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
        for item in items:
            if isinstance(item.future, asyncio.Future):
                by_loop.setdefault(item.future.get_loop(), []).append(item)
            else:
                item.settle()
        for loop, settled in by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle_all, settled)
            except RuntimeError:  # the loop is closed: nobody waits for these any more
                log.warning("writer.loop_closed", items=len(settled))

    def _try(self, items: list[_Item]) -> bool:
        """One transaction. False if it is to be tried again, one by one."""
        tx = Transaction()
        begun = False
        try:
            with transaction.atomic():
                begun = True
                for item in items:
                    item.run(tx)
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits for the work
            log.warning("writer.rolled_back", items=len(items), error=repr(error))
            connection.close_if_unusable_or_obsolete()
            if begun and len(items) > 1:
                return False
            for item in items:
                item.fail(error)
            return True
        for callback in tx.after_commit:
            callback()
        if tx.events and self.on_commit is not None:
            self.on_commit(tx.events)
        return True


def _settle_all(items: list[_Item]) -> None:
    for item in items:
        item.settle()


writer = Writer()
