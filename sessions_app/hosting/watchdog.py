"""The watchdog: a thread that checks whether code of a run blocks the event loop.

A blocked loop stops everything else in the process: other runs, heartbeats, SIGTERM. The watchdog
postpones the alarm while the loop responds; if the loop does not, the alarm ends the executing code
(`alarm.py`). If the code keeps the alarm's signal from being handled, but lets threads run, the
watchdog suspends the run. The watchdog also searches for runs that work for long without a call of
their context: such a run may never end.
"""

import asyncio
import math
import selectors
import threading
import time
from contextlib import suppress
from enum import Enum

from sessions_app.hosting.alarm import Alarm, frame_of
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.run_task import RunTask
from sessions_app.logs import Log
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.vital_threads import vital

log = Log(__name__)

# Seconds between two checks. After `SLOW_CHECKS` checks without a response of the loop, the
# watchdog finds the run that blocks the loop, and the executing line of the run's code.
GLANCE_EVERY = 0.1
SLOW_CHECKS = 2
# Seconds after which a run that works without a call of its context is logged as quiet; and seconds
# between two searches for quiet runs.
QUIET = 300.0
QUIET_LOOK = 10.0


class LoopState(Enum):
    """The state of the event loop that the watchdog finds at a check."""

    RESPONDED = "it has turned since it was asked to"
    IDLE = "it waited for something to happen at the last glance, and was not asked"
    BUSY = "it has not turned since it was asked to"


class QuietRuns:
    """A search, every `QUIET_LOOK` seconds, for runs that make no calls; each is logged once."""

    def __init__(self, hosts: HostRegistry) -> None:
        self._hosts = hosts
        # For each working run, the number of its calls at the last search, and the monotonic time
        # since which this number has not changed.
        self._working: dict[RunTask, tuple[int, float]] = {}
        self._next_search = 0.0

    def plan_search(self) -> bool:
        """Return whether a search is due, and plan the next; call in the watchdog's thread."""
        if time.monotonic() < self._next_search:
            return False
        self._next_search = time.monotonic() + QUIET_LOOK
        return True

    def search(self) -> None:
        """Search the hosts' runs for quiet runs; call in the event loop of the hosts."""
        now = time.monotonic()
        before, self._working = self._working, {}
        for run in (run for host in self._hosts for run in host.runs):
            calls = run.calls_while_working
            if calls is None:
                continue
            last_calls, since = before.get(run, (calls, now))
            self._working[run] = (calls, since if calls == last_calls else now)
            if calls == last_calls and now - since >= QUIET:
                self._working[run] = (calls, math.inf)  # prevents another warning about this run
                log.warning(
                    "run.quiet",
                    run=str(run.id),
                    workflow=run.workflow,
                    calls=calls,
                    seconds=round(now - since),
                    remedy="Wait by context.sleep() or context.wait_for(); work in a step.",
                )


class Watchdog:
    """A thread that watches the event loop in which it was started, for this process's hosts."""

    def __init__(self, hosts: HostRegistry) -> None:
        self._limit = RuntimeSettings.load().MAX_BLOCKING
        self._responded = threading.Event()
        self._alarm = Alarm(hosts, self._limit, self._responded)
        self._quiet_runs = QuietRuns(hosts)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._was_idle = False

    def start(self) -> None:
        """Begin to watch, unless `MAX_BLOCKING` is 0."""
        if not self._limit:
            return
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._alarm.install(self._loop)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._alarm.remove()

    @vital()
    def _watch(self) -> None:
        busy_checks, since = 0, time.monotonic()
        self._request_response()
        while not self._over.wait(GLANCE_EVERY):
            if self._quiet_runs.plan_search():
                with suppress(RuntimeError):  # skip the search: the loop is closed
                    self._loop.call_soon_threadsafe(self._quiet_runs.search)
            if self._state() is not LoopState.BUSY:
                if busy_checks >= SLOW_CHECKS:
                    self._log_slow_run(time.monotonic() - since)
                busy_checks, since = 0, time.monotonic()
                self._request_response()
                continue
            busy_checks += 1
            if busy_checks == SLOW_CHECKS:
                self._alarm.ask_for_slow_run()
            if busy_checks * GLANCE_EVERY > self._limit + 1:
                self._alarm.suspend_unhandled()

    def _state(self) -> LoopState:
        if self._responded.is_set():
            return LoopState.RESPONDED
        return LoopState.IDLE if self._was_idle else LoopState.BUSY

    def _request_response(self) -> None:
        """Postpone the alarm, and ask the loop to respond, unless it waits for events anyway."""
        self._responded.clear()
        self._alarm.postpone()
        frame = frame_of(self._watched)
        self._was_idle = frame is not None and frame.f_code.co_filename == selectors.__file__
        if self._was_idle:
            return
        try:
            self._loop.call_soon_threadsafe(self._responded.set)
        except RuntimeError:  # end the watch: the loop is closed
            self._over.set()

    def _log_slow_run(self, seconds: float) -> None:
        # Log in this thread, not in the signal handler: interrupted code may hold the log's lock.
        slow = self._alarm.take_slow_run()
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
