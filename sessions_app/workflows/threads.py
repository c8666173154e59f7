"""Daemon threads for steps, shared fairly between users, which do not keep the process alive."""

import asyncio
import contextvars
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar, cast

from django.db import close_old_connections, connections

from sessions_app.storage.vital_threads import vital
from sessions_app.workflows.request_context import user_in_context

T = TypeVar("T")
# Callback that is called when a waiting function gets a thread.
Begin = Callable[[], None]

# Limits of concurrent steps in threads, in total and per user. Abandoned steps do not count.
MAX_THREADS = 32
MAX_THREADS_PER_USER = MAX_THREADS // 2


class _Work:
    """A function for a thread, and its future result."""

    def __init__(self, function: Callable[[], object], begin: Begin | None) -> None:
        self._function, self._begin = function, begin
        self.user = user_in_context()[0]
        self._variables = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        # Future of the function's result and error, one of which is None.
        self.done: asyncio.Future[tuple[object, BaseException | None]] = self._loop.create_future()
        # True once the pool counts the thread of this work as free.
        self.over = False

    def run(self) -> None:
        """Call the function in the current thread, and set the future in its event loop."""
        outcome: tuple[object, BaseException | None]
        if self._begin is not None:
            self._call_in_loop(self._begin)
        try:
            close_old_connections()
            try:
                outcome = self._variables.run(self._function), None
            finally:
                close_old_connections()
        except BaseException as error:  # noqa: BLE001 - raised again in the awaiting task
            outcome = None, error
        self._call_in_loop(partial(self._end, outcome))

    def _call_in_loop(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # nobody waits: the caller's event loop is closed
            self._loop.call_soon_threadsafe(call)

    def _end(self, outcome: tuple[object, BaseException | None]) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


class StepThreads:
    """A pool of threads that do not delay the exit of the process.

    The next free thread goes to the user with the fewest busy threads.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[_Work] = []
        self._threads = self._idle = 0
        self._busy: Counter[str] = Counter()

    async def call(self, function: Callable[[], T], begin: Begin | None = None) -> T:
        """Call the function in a thread, which continues even if the awaiting task is cancelled.

        `begin` is called in the loop once the function has a thread.
        """
        work = _Work(function, begin)
        with self._changed:
            self._waiting.append(work)
            self._start_thread_if_needed()
        try:
            result, error = await work.done
        except asyncio.CancelledError:
            self._abandon(work)
            raise
        if error is not None:
            raise error
        return cast("T", result)

    def _abandon(self, work: _Work) -> None:
        with self._changed:
            if work in self._waiting:
                self._waiting.remove(work)
            elif self._free_thread(work):  # replace the thread, which ends after its work
                self._threads -= 1
                self._start_thread_if_needed()

    def _start_thread_if_needed(self) -> None:
        if len(self._waiting) > self._idle and self._threads < MAX_THREADS:
            self._threads += 1
            threading.Thread(target=self._serve, name="step", daemon=True).start()
        self._changed.notify()

    @vital()
    def _serve(self) -> None:
        ends = False
        while not ends:
            with self._changed:
                self._idle += 1
                while (work := self._next()) is None:
                    self._changed.wait()
                self._idle -= 1
                self._waiting.remove(work)
                self._busy[work.user] += 1
            work.run()
            with self._changed:
                ends = not self._free_thread(work)
                del work  # free the step's arguments, as the thread may wait long
        with suppress(Exception):  # ignore connections that are already lost
            connections.close_all()

    def _next(self) -> _Work | None:
        """Return the oldest work of the user with the fewest threads; None if no work may start."""
        candidates = [
            work
            for work in self._waiting
            if not work.user or self._busy[work.user] < MAX_THREADS_PER_USER
        ]
        return min(candidates, key=lambda work: self._busy[work.user], default=None)

    def _free_thread(self, work: _Work) -> bool:
        """Count the thread of this work as free; return False if that was done before."""
        if work.over:
            return False
        work.over = True
        self._busy[work.user] -= 1
        if not self._busy[work.user]:
            del self._busy[work.user]
        return True


step_threads = StepThreads()
