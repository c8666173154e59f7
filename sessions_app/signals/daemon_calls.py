"""Calls in daemon threads, which a caller can abandon and which do not delay a process's exit."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")

# Futures of the calls that `call_within` waits for.
_waiting: set[Future[Any]] = set()
# Maximum of threads of one name, including those of abandoned calls.
MAX_THREADS = 64
_lock = threading.Lock()
# Set while this process stops to send signals.
stopping = threading.Event()


class ProcessStops(Exception):
    """The process stops. The call is repeated after the next start."""

    def __str__(self) -> str:
        return "the process stopped"


def start_daemon(function: Callable[[], T], name: str) -> "Future[T]":
    """Call the function in a new daemon thread; return the future of its result."""
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            result = context.run(function)
        except BaseException as error:  # noqa: BLE001 - raised again by the future
            _settle(future.set_exception, error)
        else:
            _settle(future.set_result, result)
        finally:
            with suppress(Exception):  # ignore connections that are already lost
                connections.close_all()

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def _settle(settle: Callable[[T], None], value: T) -> None:
    with suppress(Exception):  # InvalidStateError: the caller has abandoned the call
        settle(value)


def threads_of(name: str) -> int:
    """Return how many threads of this name run."""
    return sum(thread.name == name for thread in threading.enumerate())


def call_within(seconds: float, function: Callable[[], T], name: str) -> T:
    """Return the function's result. Blocks, for at most `seconds` in total.

    The function runs in a daemon thread, which is abandoned after that time. So a receiver that
    sends a byte now and then cannot block the caller.

    Raises:
        TimeoutError: the call has taken `seconds`, or `MAX_THREADS` earlier calls still run.
        ProcessStops: the process stops.
    """
    if threads_of(name) >= MAX_THREADS:
        raise TimeoutError(f"{MAX_THREADS} earlier calls still run")
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()  # a pool's connections are for others meanwhile
    with _lock:
        if stopping.is_set():
            raise ProcessStops
        future = start_daemon(function, name)
        _waiting.add(future)
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"not done after {seconds:g} s") from None
    finally:
        with _lock:
            _waiting.discard(future)


@contextmanager
def give_up_calls() -> Iterator[None]:
    """Have all calls of `call_within` raise `ProcessStops` in this block."""
    with _lock:
        stopping.set()
        for future in _waiting:
            _settle(future.set_exception, ProcessStops())
    try:
        yield
    finally:
        stopping.clear()
