"""The limits of a run: working time, number of calls, size of the output."""

from functools import partial

from sessions_app.errors import TooLarge, TooManyCalls
from sessions_app.hosting.run_in_memory import RunInMemory
from sessions_app.hosting.run_states import RunEvent
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows.concurrency import Slot


class RunLimits:
    """The limits of one run in memory; a run that exceeds a limit fails or is suspended."""

    def __init__(self, run: RunInMemory) -> None:
        self._run = run
        self._settings = RuntimeSettings.load()
        self._size = 0

    def limit_time(self, slot: Slot) -> None:
        """Limit the time for which the run holds its slot."""
        slot.limit(self._settings.MAX_RUN_SECONDS, partial(self._run.apply, RunEvent.TOO_LONG))

    def check_calls(self, position: int) -> None:
        """Suspend the run if the new call exceeds `MAX_CALLS`."""
        if position > self._settings.MAX_CALLS:
            self._run.halt(TooManyCalls(self._settings.MAX_CALLS))

    def count_output(self, text: str) -> None:
        """Count output against the limit, including the output of earlier executions.

        Raises:
            TooLarge: the total exceeds MAX_OUTPUT.
        """
        self._size += len(text)
        limit = self._settings.MAX_OUTPUT
        if self._size > limit:
            raise TooLarge("The output of the run", f"{limit:,} characters", "MAX_OUTPUT")
