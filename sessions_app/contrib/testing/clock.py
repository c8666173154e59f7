"""A clock that a test moves: deadlines and durable sleeps come when it says so."""

from datetime import UTC, datetime

import time_machine


class Clock:
    """The wall clock of the process. It goes on by itself, and begins to lie when it is moved.

    The monotonic clock stays as it is, and with it the timers of the event loop.
    """

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None
        self._moved: time_machine.Traveller | None = None

    def now(self) -> datetime:
        """Return the time that all code reads."""
        return datetime.now(UTC)

    def move_to(self, moment: datetime) -> None:
        """Set the clock to a time. Never backwards."""
        if moment <= self.now():
            return
        if self._moved is None:
            self._travel = time_machine.travel(moment, tick=True)
            self._moved = self._travel.start()
        else:
            self._moved.move_to(moment)

    def stop(self) -> None:
        """Set the clock right again."""
        if self._travel is not None:
            self._travel.stop()
        self._travel = self._moved = None
