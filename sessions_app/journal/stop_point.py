"""The point where a person stopped a run, and where each later execution of the run stops, too."""

from asyncio import CancelledError
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, PrivateAttr

from sessions_app.journal.journal import STREAM, Call, Journal, JournalRecord
from sessions_app.journal.tracks import gather_of


class StopPoint(BaseModel):
    """A point in the journal of a stopped run; all later calls are clean-up.

    `position`: the last call before the stop. `calls`: the number of calls of each track before the
    stop, if the run had several tracks. `cut`: positions of calls that the stop interrupted; the
    workflow never got their results, even if these are recorded.
    """

    position: int
    calls: dict[str, int] = {}
    cut: set[int] = set()
    # Tracks in which a call has raised the stop's CancelledError in this execution. The next
    # field is true once the runtime itself has cancelled all code.
    _raised_in: set[str] = PrivateAttr(default_factory=set)
    _raised_everywhere: bool = PrivateAttr(default=False)

    @classmethod
    def behind(cls, journal: Journal, position: int, calls: Mapping[str, int]) -> Self:
        """Return the stop point after the calls in the journal and the calls counted in `calls`."""
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
        return self._has_raised("")

    def is_raised_in(self, track: str) -> bool:
        """Return whether a call of the track has raised the stop's CancelledError."""
        return track in self._raised_in

    def mark_raised_in(self, track: str) -> None:
        """Note that a call of the track raises the stop's CancelledError now."""
        self._raised_in.add(track)

    def mark_raised(self) -> None:
        """Note that the runtime cancels all code now, so that no call must raise the error."""
        self._raised_everywhere = True

    def has_passed(self, call: Call) -> bool:
        """Return whether a new call is clean-up, that is, made after the stop.

        Raises:
            CancelledError: the code of the call's track has not been told of the stop before.
        """
        is_clean_up = not self._is_before(call)
        if is_clean_up and not self._has_raised(call.track):
            self._raise(call.track)
        return is_clean_up

    def check(self, call: Call, entry: JournalRecord | None) -> None:
        """Raise CancelledError if this call began before the stop, but did not end before it.

        An interrupted stream counts as ended with its pieces up to the stop.
        """
        is_cut = call.position in self.cut and call.kind != STREAM
        if entry is None or not entry.finished or is_cut:
            self.check_wait(call)

    def check_wait(self, call: Call) -> None:
        """Raise CancelledError if this unfinished call was made before the stop."""
        if self._is_before(call):
            self.note_cut(call.position)
            self._raise(call.track)

    def note_cut(self, *positions: int) -> None:
        """Note that the stop interrupted the calls at these positions."""
        self.cut |= {position for position in positions if position <= self.position}

    def _is_before(self, call: Call) -> bool:
        own = self.position if not (self.calls or call.track) else 0
        return call.number <= self.calls.get(call.track, own)

    def _has_raised(self, track: str) -> bool:
        # Do not cancel coroutines that were gathered after the stop: they are part of the clean-up.
        is_new = bool(track) and gather_of(track) > self.position
        return self._raised_everywhere or is_new or track in self._raised_in

    def _raise(self, track: str) -> None:
        self.mark_raised_in(track)
        raise CancelledError("the run was stopped")
