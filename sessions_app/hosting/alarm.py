"""The alarm: a signal handler that ends the code of a run which blocks the event loop.

When: while the loop responds, the watchdog postpones the system's alarm clock. Once the loop stops
responding, the clock sends SIGALRM every `LOOK_EVERY` seconds, and each signal is one check. When
`LOOKS` consecutive checks have found code of the same run, that run is aborted: this check raises
`BlockedLoop`, and so does each later check that finds code of the run.

Where: Python calls the handler in the loop's thread, between two instructions of the executing
code, also within a regular expression. The handler finds the run by the current context, or else by
the loop's current task. If neither belongs to a run, the loop's own code is executing, and the
handler raises nothing. Python cannot interrupt a long call of other C code for the handler.

Why the error is safe: the run is suspended before the error is raised (`RunTask.block`). From then
on all writes of the run fail, so `finally` blocks are executed, but store nothing. The error is no
`Exception`, so `except Exception` does not catch it. The handler takes no lock and logs nothing:
the interrupted code may hold the lock of the log.
"""

import asyncio
import gc
import signal
import sys
import threading
import traceback
from enum import Enum
from types import FrameType

from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.run_task import BlockedLoop, RunTask
from sessions_app.workflows.context import current_context

LOOK_EVERY = 0.5  # seconds between two signals of the alarm clock
# Number of consecutive checks that must find the same run. After a pause of the whole process, a
# single check would blame the run that happens to execute.
LOOKS = 3

# The run that slowed the loop, the executing line of its workflow, and the innermost stack line.
SlowRun = tuple[RunTask, str, str]


class AlarmState(Enum):
    """A state of the alarm; `QUIET` again after each response of the event loop."""

    QUIET = "no look has found a run"
    SUSPECTING = "the last looks have found the same run"
    ABORTING = "that run is suspended, and its code is to end"


class Alarm:
    """The alarm clock over an event loop, and the handler of its signal.

    The states go from `QUIET` over `SUSPECTING` to `ABORTING`, and back to `QUIET` when the loop
    responds. The event `responded` is set once the loop has responded to the last request.
    """

    def __init__(self, hosts: HostRegistry, limit: float, responded: threading.Event) -> None:
        self._hosts = hosts
        self._limit = limit
        self._responded = responded
        self._state = AlarmState.QUIET
        self._run: RunTask | None = None
        # Number of consecutive checks that found `_run` executing.
        self._consecutive_finds = 0
        # True if the handler was called since the loop last responded.
        self._is_handled = False
        # True while the watchdog waits for the handler to find the run that slows the loop.
        self._is_asked = False
        self._slow: SlowRun | None = None
        self._is_installed = False

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Install the handler of SIGALRM; call in the thread of the event loop."""
        self._loop = loop
        self._thread = threading.get_ident()
        # Python sets signal handlers in the main thread only, but `runserver` serves in another
        # thread. A SIGALRM handler of other code must not be replaced.
        main = threading.current_thread() is threading.main_thread()
        self._is_installed = main and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        if self._is_installed:
            signal.signal(signal.SIGALRM, self._handle)

    def remove(self) -> None:
        """Remove the handler, and stop the clock."""
        if self._is_installed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def postpone(self) -> None:
        """Postpone the alarm, because the loop has responded."""
        self._state, self._run, self._is_handled = AlarmState.QUIET, None, False
        if self._is_installed:
            first = max(self._limit - (LOOKS - 1) * LOOK_EVERY, LOOK_EVERY)
            signal.setitimer(signal.ITIMER_REAL, first, LOOK_EVERY)

    def ask_for_slow_run(self) -> None:
        """Find the run that the event loop executes now, for `take_slow_run`.

        A signal starts the search in the loop's thread, because only that thread has the context
        variable that names the run. Without an installed handler, the calling thread searches.
        """
        self._is_asked = True
        if self._is_installed:
            signal.pthread_kill(self._thread, signal.SIGALRM)
        else:
            self._find_slow_run(frame_of(self._thread))

    def take_slow_run(self) -> SlowRun | None:
        """Return the run that `ask_for_slow_run` found, and forget the run."""
        slow, self._slow = self._slow, None
        return slow

    def suspend_unhandled(self) -> None:
        """Suspend the executing run if its code prevents Python from handling SIGALRM.

        A watchdog thread calls this.
        """
        if not self._is_handled and self._state is AlarmState.QUIET:
            self._abort_run(self._current(), frame_of(self._thread))

    def _handle(self, _: int, frame: FrameType | None) -> None:
        if self._is_asked:
            self._find_slow_run(frame)
            return
        self._is_handled = True
        run = self._current()
        if run is None or self._responded.is_set():
            if self._state is AlarmState.SUSPECTING:
                self._state, self._run = AlarmState.QUIET, None
            return
        if run is not self._run:
            self._state, self._run, self._consecutive_finds = AlarmState.SUSPECTING, run, 0
        self._consecutive_finds += 1
        if self._state is AlarmState.SUSPECTING and self._consecutive_finds == LOOKS:
            self._abort_run(run, frame)
        if self._state is AlarmState.ABORTING:
            raise BlockedLoop

    def _find_slow_run(self, frame: FrameType | None) -> None:
        self._is_asked = False
        run = self._current()
        if run is not None and frame is not None:
            self._slow = (run, *lines_of(frame, run.module))

    def _abort_run(self, run: RunTask | None, frame: FrameType | None) -> None:
        if run is not None:
            self._state, self._run = AlarmState.ABORTING, run
            run.block("".join(traceback.format_stack(frame)))

    def _current(self) -> RunTask | None:
        # Workflow code has a context variable with the run's id. For other code of the run, such as
        # a builder, the name of the asyncio task contains the id.
        context = current_context.get()
        task = asyncio.current_task(self._loop)
        ids = (
            "" if context is None else context.run_id,
            "" if task is None else task.get_name().removeprefix(RunTask.NAME),
        )
        return next((run for run in map(self._hosts.run, ids) if run is not None), None)


def frame_of(thread: int) -> FrameType | None:
    """Return the stack frame that a thread executes.

    Garbage collection is switched off during the call. Python 3.11 makes the frames under a lock,
    and code called by a collection may let another thread run. A thread that starts or ends waits
    for the lock: a deadlock (https://github.com/python/cpython/issues/106883).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread)  # noqa: SLF001 - a documented function
    finally:
        if enabled:
            gc.enable()


def lines_of(frame: FrameType, module: str) -> tuple[str, str]:
    """Return a stack's innermost line in the workflow's module, and the innermost line of all."""
    innermost = own_line = _line(frame)
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_globals.get("__name__") == module:
            own_line = _line(outer)
            break
        outer = outer.f_back
    return own_line, innermost


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
