"""The counter inside of a counted process. Python imports this module before the program.

Each thread has a profile function of its own; the main thread gets its at the signal SIGUSR2, when
the program is imported. A thread that is not counted answers who connects to `COST_DIR/<process
id>`: with the counts since the start, and the statements since the last answer.

A trip has the same counts each time, as time does not matter in it. Timers of event loops are held
back, such as those of polls and heartbeats. What is valid for a second stays so, as the clock
nearly stands still. Who gives the writer something to write waits for it, so that each write has a
commit of its own.
"""

import os
import signal
import sqlite3
import sys
import threading
import time
from asyncio import BaseEventLoop, TimerHandle
from collections import defaultdict, deque
from collections.abc import Callable
from multiprocessing.connection import Listener
from types import FrameType
from typing import Any

# What is counted beside all calls, by the function's qualified name, in Python or in C.
KINDS = {
    "Cursor.execute": "queries",
    "AsyncCursor.execute": "queries",
    "Connection.execute": "queries",
    "SimpleQueue.put": "thread changes",
    "BaseEventLoop.call_soon_threadsafe": "thread changes",
    "JSONDecoder.decode": "JSON parses",
    "Decoder.decode": "JSON parses",
    "SchemaValidator.validate_json": "JSON parses",
    "from_json": "JSON parses",
    "JSONEncoder.encode": "JSON dumps",
    "Encoder.encode": "JSON dumps",
    "SchemaSerializer.to_json": "JSON dumps",
    "to_json": "JSON dumps",
}
# Seconds of the only timers that are not held back: those between the pieces of a stream.
PAUSE = float(os.environ["COST_PAUSE"])
# Timers of more seconds stay held back between trips too, such as those that end what is idle.
LONG, FOREVER = 2.0, 1e9
# Seconds of this wait at most, as the other thread may wait for this one.
PATIENCE = 1.0
SEPARATOR = " < "  # between two files
# The kind, the function, and the file that has it or the files that caused it.
Key = tuple[str, str, str]

counts_of_threads: list[tuple[str, dict[Key, int]]] = []
statements: deque[tuple[str, bool]] = deque()
here = os.getcwd()
in_trip = False
has_begun = False
idle_queues: set[Any] = set()  # those whose thread has done all work and waits for more
held_timers: list[Callable[[], None]] = []


def count_thread(frame: FrameType, event: str, argument: Any) -> None:
    """Begin to count the calls of the current thread."""
    counts: dict[Key, int] = defaultdict(int)
    counts_of_threads.append((threading.current_thread().name, counts))

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counts["calls", "", frame.f_code.co_filename] += 1
            name = frame.f_code.co_qualname
        elif event == "return":
            return
        else:  # of a function in C: the argument
            name = argument.__qualname__
            if name == "SimpleQueue.get" and event == "c_call" and argument.__self__.empty():
                idle_queues.add(argument.__self__)
            elif name == "SimpleQueue.put" and is_own(frame.f_code.co_filename):
                if event == "c_call":
                    idle_queues.discard(argument.__self__)
                elif in_trip:
                    await_owner(argument.__self__)
            if event != "c_call":
                return
        if name in KINDS:
            counts[KINDS[name], name, find_callers(frame)] += 1

    sys.setprofile(count)
    count(frame, event, argument)


def find_callers(frame: FrameType | None) -> str:
    """Return the file of the project's innermost function, and that of its caller elsewhere."""
    files: list[str] = []
    while frame is not None and len(files) < 2:
        file = frame.f_code.co_filename
        if is_own(file) and (not files or os.path.dirname(file) != os.path.dirname(files[0])):
            files.append(file)
        frame = frame.f_back
    return SEPARATOR.join(files) or "a library"


def is_own(file: str) -> bool:
    """Return whether a file is of the project, and not of a library."""
    return file.startswith(here) and "/site-packages/" not in file


def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
    """Connect to SQLite, and note each statement, and whether it is in a transaction."""
    connection: sqlite3.Connection = real_connect(*arguments, **options)
    connection.set_trace_callback(lambda text: statements.append((text, connection.in_transaction)))
    return connection


def call_at(
    loop: Any, when: float, callback: Callable[..., object], *arguments: Any, context: Any = None
) -> TimerHandle:
    """Set a timer, which during a trip waits for its end."""
    if has_begun and when - loop.time() > LONG:
        when = FOREVER

    def call() -> None:
        if in_trip:
            held_timers.append(lambda: loop.call_soon_threadsafe(call))
        elif not handle.cancelled():
            callback(*arguments)

    handle: TimerHandle = real_call_at(loop, when, call, context=context)
    return handle


def call_later(
    loop: Any, delay: float, callback: Callable[..., object], *arguments: Any, context: Any = None
) -> TimerHandle:
    """Set a timer, held back unless it is due at once or paces a stream."""
    set_timer: Any = real_call_at if delay <= 0 or delay == PAUSE else call_at
    at = loop.time() + delay
    handle: TimerHandle = set_timer(loop, at, callback, *arguments, context=context)
    return handle


def await_owner(queue: Any) -> None:
    """Wait until the thread of a queue has done all work in it."""
    patience = true_clock() + PATIENCE
    while queue not in idle_queues and true_clock() < patience:
        time.sleep(0.0005)


def answer() -> None:
    """Begin and end trips, and send what was counted, as it is asked."""
    global has_begun, in_trip
    sys.setprofile(None)
    with (
        Listener(f"{os.environ['COST_DIR']}/{os.getpid()}") as listener,
        listener.accept() as connection,
    ):
        while True:
            in_trip = connection.recv()
            has_begun = has_begun or in_trip
            while held_timers and not in_trip:
                held_timers.pop()()
            counts = [(name, dict(counts)) for name, counts in counts_of_threads]
            new_statements = [statements.popleft() for _ in range(len(statements))]
            connection.send((counts, new_statements))


# Event loops keep the true clock, for the timers that are not held back.
true_clock, start = time.monotonic, time.monotonic()
time.monotonic = lambda: start + (true_clock() - start) / 10_000
event_loop: Any = BaseEventLoop
real_call_at = event_loop.call_at
event_loop.call_at, event_loop.call_later = call_at, call_later
event_loop.time = lambda _: true_clock()
real_connect: Any = sqlite3.connect
sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]
# In each environment the event loop is asyncio's, whose calls can be counted.
sys.modules["uvloop"] = None  # type: ignore[assignment]
threading.Thread(target=answer, daemon=True).start()
threading.setprofile(count_thread)
signal.signal(signal.SIGUSR2, lambda *_: sys.setprofile(count_thread))
