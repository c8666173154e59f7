"""The limits of a run: how long it works, how many calls it makes, how much it puts out."""

from functools import partial

from sessions_app.errors import TooLarge
from sessions_app.hosting.run_in_memory import RunInMemory
from sessions_app.hosting.run_states import RunEvent
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows.concurrency import Slot


class RunLimits:
    """The limits of one run in memory, which leaves once it has done as much as it may."""

    def __init__(self, run: RunInMemory) -> None:
        self._run = run
        self._settings = RuntimeSettings.load()
        self._size = 0

    def limit_time(self, slot: Slot) -> None:
        """Limit the time for which the run holds its slot."""
        slot.limit(self._settings.MAX_RUN_SECONDS, partial(self._run.leave, RunEvent.TOO_LONG))

    def check_calls(self, position: int) -> None:
        """Have the run leave if its new call is one too many."""
        if position > self._settings.MAX_CALLS:
            self._run.leave(RunEvent.TOO_MANY)

    def count_output(self, text: str) -> None:
        """Count output against the limit, an earlier execution's included.

        Raises:
            TooLarge: it is more than MAX_OUTPUT in all.
        """
        self._size += len(text)
        most = self._settings.MAX_OUTPUT
        if self._size > most:
            raise TooLarge("The output of the run", f"{most:,} characters", "MAX_OUTPUT")
