"""Where a person stopped a run: each later execution of it is stopped at the same place."""

from asyncio import CancelledError

from pydantic import BaseModel, PrivateAttr

from sessions_app.workflows.calls.journal import STREAM, Call, Entry


class StopPoint(BaseModel):
    """What the journal has behind it is clean-up.

    `position` is that of the last call before it. `cut` are the calls that were under way: the
    workflow never learned what they came to, even if that is recorded.
    """

    position: int
    cut: set[int] = set()
    _raised: bool = PrivateAttr(default=False)

    @property
    def is_raised(self) -> bool:
        """Whether the code has learned of it, in this execution."""
        return self._raised

    def have_raised(self) -> None:
        """The code learns of it now, by another way than a call."""
        self._raised = True

    def has_passed(self, position: int) -> bool:
        """Whether the call that gets this position is clean-up.

        Raises:
            CancelledError: it would be, but the code does not know yet that it was stopped.
        """
        if position > self.position and not self._raised:
            self._raise()
        return position > self.position

    def check(self, call: Call, entry: Entry | None) -> None:
        """Raise CancelledError if this call came to no end before it.

        A stream has, with the pieces up to there.
        """
        is_cut = call.position in self.cut and call.kind != STREAM
        if entry is None or not entry.finished or is_cut:
            self.check_wait(call.position)

    def check_wait(self, position: int) -> None:
        """Raise CancelledError if this wait, which is not over, began before it."""
        if position <= self.position:
            self.note_cut(position)
            self._raise()

    def note_cut(self, *positions: int) -> None:
        """These calls have been cancelled."""
        self.cut |= {one for one in positions if one <= self.position}

    def _raise(self) -> None:
        self._raised = True
        raise CancelledError("the run was stopped")
