"""The runs that work for long without a call of their context: they may do so for ever."""

import math
import time
from collections.abc import Iterable

from sessions_app.hosting.run_task import RunTask
from sessions_app.logs import Log

log = Log(__name__)

# Seconds that a run may work without a call of its context before the log says so; and between two
# looks for such runs.
QUIET = 300.0
QUIET_LOOK = 10.0


class QuietRuns:
    """A look every `QUIET_LOOK` seconds at the runs in memory, which logs each quiet one once."""

    def __init__(self) -> None:
        # The runs that worked at the last look: their calls by then, and since when that many.
        self._working: dict[RunTask, tuple[int, float]] = {}
        self._next_look = 0.0

    def plan_look(self) -> bool:
        """Return whether a look is due, and plan the next one if so; for the watchdog's thread."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + QUIET_LOOK
        return True

    def look(self, runs: Iterable[RunTask]) -> None:
        """Look at the runs, in their event loop."""
        now = time.monotonic()
        before, self._working = self._working, {}
        for run in runs:
            calls = run.calls_while_working
            if calls is None:
                continue
            last_calls, since = before.get(run, (calls, now))
            self._working[run] = (calls, since if calls == last_calls else now)
            if calls == last_calls and now - since >= QUIET:
                self._working[run] = (calls, math.inf)  # it is logged
                log.warning(
                    "run.quiet",
                    run=str(run.id),
                    workflow=run.workflow,
                    calls=calls,
                    seconds=round(now - since),
                    remedy="Wait by context.sleep() or context.wait_for(); work in a step.",
                )
