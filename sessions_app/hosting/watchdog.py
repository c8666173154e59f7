"""The watchdog, which finds the run whose code blocks the event loop, and takes it out.

All else of the process stands still meanwhile: its other runs, its heartbeats, SIGTERM. The alarm
clock of the system is put off for as long as the loop turns. When it goes off, Python calls its
handler within the very code that is being executed, also within a regular expression, which lets no
thread run; so the handler knows which run that code is of, and ends it there. One long call of
other C code cannot be ended. If it lets threads run, a thread suspends its run all the same.

That thread glances at the loop. Where it does not turn for a moment, the thread sends the same
signal, and the handler finds the run and the line: of the frames that are being executed the
innermost one of the workflow's module.
"""

import asyncio
import gc
import math
import selectors
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from types import FrameType

from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.run_task import BlockedLoop, RunTask
from sessions_app.logs import Log
from sessions_app.settings import RuntimeSettings
from sessions_app.vital_threads import vital
from sessions_app.workflows.context import current_context

log = Log(__name__)

# Seconds between two glances of the thread: whether the loop turns. Where it did not for so many of
# them, it says which run holds it up, and at which line.
GLANCE_EVERY = 0.1
SLOW = 2
LOOK_EVERY = 0.5  # seconds between two looks of the handler
# So many looks must find the same run: one alone finds any, after the whole process was stopped.
LOOKS = 3
# Seconds that a run may work without a call of its context before the log says so; and between two
# looks for such runs.
QUIET = 300.0
QUIET_LOOK = 10.0


class Watchdog:
    """A watch over the event loop in which it is started, for the hosts of this process."""

    def __init__(self, hosts: HostRegistry) -> None:
        self._hosts = hosts
        self._limit = RuntimeSettings.load().MAX_BLOCKING
        self._turned = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        # What the last looks of the handler found, and how many of them.
        self._suspect: RunTask | None = None
        self._looks = 0
        self._condemned: RunTask | None = None
        self._has_alarm = False
        self._resting = False
        # Asked for, and found, where the loop was slow.
        self._to_find = False
        self._slow: tuple[RunTask, str, str] | None = None
        # The runs that worked at the last look: their calls by then, and since when that many.
        self._working: dict[RunTask, tuple[int, float]] = {}
        self._next_quiet_look = 0.0

    def start(self) -> None:
        """Begin to watch, unless `MAX_BLOCKING` is 0."""
        if not self._limit:
            return
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        # Elsewhere no handler can be installed (`runserver`), or somebody else has the clock.
        main = threading.current_thread() is threading.main_thread()
        self._has_alarm = main and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        if self._has_alarm:
            signal.signal(signal.SIGALRM, self._look)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    @vital()
    def _watch(self) -> None:
        """Put the alarm off while the loop turns; where it does not, see to what hears none."""
        silent, since = 0, time.monotonic()
        self._await_turn()
        while not self._over.wait(GLANCE_EVERY):
            if time.monotonic() >= self._next_quiet_look:
                self._next_quiet_look = time.monotonic() + QUIET_LOOK
                with suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._look_for_quiet)
            if self._turned.is_set() or self._resting:
                if silent >= SLOW:
                    self._tell_slow(time.monotonic() - since)
                silent, since = 0, time.monotonic()
                self._await_turn()
                continue
            silent += 1
            if silent == SLOW:
                self._find_slow()
            unheard = silent * GLANCE_EVERY > self._limit + 1 and not self._looks
            if unheard and self._condemned is None:
                self._condemn(self._current(), frame_of(self._watched))

    def _find_slow(self) -> None:
        """Find out what is being executed: in the loop's thread, which alone knows whose it is.
        Where that hears nothing, from here.
        """
        self._to_find = True
        if self._has_alarm:
            signal.pthread_kill(self._watched, signal.SIGALRM)
        else:
            self._found_slow(frame_of(self._watched))

    def _found_slow(self, frame: FrameType | None) -> None:
        self._to_find = False
        run = self._current()
        if run is not None and frame is not None:
            self._slow = (run, *lines_of(frame, run.module))

    def _tell_slow(self, seconds: float) -> None:
        # Not where it was found: what is being executed may hold a lock that the log needs.
        slow, self._slow = self._slow, None
        if slow is not None:
            run, line, within = slow
            log.warning(
                "run.slow",
                run=str(run.id),
                workflow=run.workflow,
                line=line,
                within=within,
                seconds=round(seconds, 2),
            )

    def _look_for_quiet(self) -> None:
        """Log each run that works for long without a call, once: it may do so for ever."""
        now = time.monotonic()
        before, self._working = self._working, {}
        for run in [run for host in self._hosts for run in host.runs]:
            calls = run.calls_while_working
            if calls is None:
                continue
            last_calls, since = before.get(run, (calls, now))
            self._working[run] = (calls, since if calls == last_calls else now)
            if calls == last_calls and now - since >= QUIET:
                self._working[run] = (calls, math.inf)  # it is said
                log.warning(
                    "run.quiet",
                    run=str(run.id),
                    workflow=run.workflow,
                    calls=calls,
                    seconds=round(now - since),
                    remedy="Wait by context.sleep() or context.wait_for(); work in a step.",
                )

    def _rests(self) -> bool:
        """Return whether the loop waits for something to happen, and so need not be woken to show
        it.
        """
        frame = frame_of(self._watched)
        return frame is not None and frame.f_code.co_filename == selectors.__file__

    def _await_turn(self) -> None:
        self._turned.clear()
        self._suspect, self._looks, self._condemned = None, 0, None
        if self._has_alarm:
            first = max(self._limit - (LOOKS - 1) * LOOK_EVERY, LOOK_EVERY)
            signal.setitimer(signal.ITIMER_REAL, first, LOOK_EVERY)
        self._resting = self._rests()
        if self._resting:
            return
        try:
            self._loop.call_soon_threadsafe(self._turned.set)
        except RuntimeError:  # the loop is closed
            self._over.set()

    def _look(self, _: int, frame: FrameType | None) -> None:
        """Handle the alarm: called in the loop's thread, within the code that is being executed."""
        if self._to_find:
            self._found_slow(frame)
            return
        run = self._current()
        self._looks = self._looks + 1 if run is self._suspect else 1
        self._suspect = run
        if run is None or self._turned.is_set():
            return
        if self._looks == LOOKS:
            self._condemn(run, frame)
        if run is self._condemned:
            raise BlockedLoop

    def _current(self) -> RunTask | None:
        """Return the run whose code is executed.

        It is known by its context, if this is called within it; else, or for a builder, by the
        task.
        """
        context = current_context.get()
        task = asyncio.current_task(self._loop)
        ids = (
            "" if context is None else context.run_id,
            "" if task is None else task.get_name().removeprefix(RunTask.NAME),
        )
        return next((run for run in map(self._hosts.run, ids) if run is not None), None)

    def _condemn(self, run: RunTask | None, frame: FrameType | None) -> None:
        if run is not None:
            self._condemned = run
            run.block("".join(traceback.format_stack(frame)))


def frame_of(thread: int) -> FrameType | None:
    """Return the frame that a thread executes.

    No garbage is collected meanwhile. Python 3.11 makes the frames under a lock, and what a
    collection calls then may let another thread run, which waits for that lock when it starts or
    ends: all stand still for ever (https://github.com/python/cpython/issues/106883).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread)  # noqa: SLF001 - a documented name
    finally:
        if enabled:
            gc.enable()


def lines_of(frame: FrameType, module: str) -> tuple[str, str]:
    """Return the innermost executed line of the workflow's module, and the innermost of all."""
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
