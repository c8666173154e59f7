"""The point where a person stopped a run, and where each later execution of the run stops, too."""

from asyncio import CancelledError
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, PrivateAttr

from sessions_app.journal.journal import STREAM, Call, Entry, Journal
from sessions_app.journal.tracks import gather_of


class StopPoint(BaseModel):
    """A point in the journal behind which everything is clean-up.

    `position` is that of the last call before it; `calls` is how many each track had made, where
    the run had several. `cut` are the calls that were under way: the workflow never learned what
    they came to, even if that is recorded.
    """

    position: int
    calls: dict[str, int] = {}
    cut: set[int] = set()
    # Tracks in which a call has raised the stop's CancelledError in this execution; and whether all
    # code has got the error by other means.
    _raised_in: set[str] = PrivateAttr(default_factory=set)
    _all_told: bool = PrivateAttr(default=False)

    @classmethod
    def behind(cls, journal: Journal, position: int, calls: Mapping[str, int]) -> Self:
        """Return the stop point behind all recorded calls and behind the given numbers of calls."""
        tracks = {**journal.calls, **calls}
        call_counts = {
            track: max(journal.calls.get(track, 0), calls.get(track, 0)) for track in tracks
        }
        position = max(journal.last_position, position)
        return cls(position=position, calls=call_counts if len(call_counts) > 1 else {})

    @property
    def count(self) -> int:
        """The number of calls before the stop."""
        return sum(self.calls.values()) if self.calls else self.position

    @property
    def is_raised(self) -> bool:
        """True if the workflow's own code has got the stop's CancelledError in this execution."""
        return self._is_told("")

    def is_raised_in(self, track: str) -> bool:
        """Return whether a call of the track has raised the stop's CancelledError."""
        return track in self._raised_in

    def have_raised_in(self, track: str) -> None:
        """Note that a call of the track raises the stop's CancelledError now."""
        self._raised_in.add(track)

    def have_raised(self) -> None:
        """Note that all code gets the stop's CancelledError now, by other means than a call."""
        self._all_told = True

    def has_passed(self, call: Call) -> bool:
        """Return whether a call that is about to be made is clean-up.

        Raises:
            CancelledError: the call would be clean-up, but its code has not got this error yet.
        """
        is_clean_up = not self._is_before(call)
        if is_clean_up and not self._is_told(call.track):
            self._raise(call.track)
        return is_clean_up

    def check(self, call: Call, entry: Entry | None) -> None:
        """Raise CancelledError if this call did not end before the stop.

        A stream counts as ended, with its pieces up to the stop.
        """
        is_cut = call.position in self.cut and call.kind != STREAM
        if entry is None or not entry.finished or is_cut:
            self.check_wait(call)

    def check_wait(self, call: Call) -> None:
        """Raise CancelledError if the call, an unfinished wait, was made before the stop."""
        if self._is_before(call):
            self.note_cut(call.position)
            self._raise(call.track)

    def note_cut(self, *positions: int) -> None:
        """Note that these calls were cancelled."""
        self.cut |= {position for position in positions if position <= self.position}

    def _is_before(self, call: Call) -> bool:
        own = self.position if not (self.calls or call.track) else 0
        return call.number <= self.calls.get(call.track, own)

    def _is_told(self, track: str) -> bool:
        # Coroutines that the clean-up gathers are part of the clean-up, and are not cancelled.
        is_new = bool(track) and gather_of(track) > self.position
        return self._all_told or is_new or track in self._raised_in

    def _raise(self, track: str) -> None:
        self.have_raised_in(track)
        raise CancelledError("the run was stopped")
