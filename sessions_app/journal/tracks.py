"""The tracks of a run: the workflow's own calls, and the calls of each gathered coroutine.

Positions give the order in which calls were made. With several concurrent tracks this order depends
on timing, so replay identifies a call by its place: its track and its number in the track.
"""

from contextvars import ContextVar

# Track (sequence of numbered calls) of the executing code: empty for the workflow itself; "6.0" for
# the first coroutine of the `gather` at journal position 6.
current_track: ContextVar[str] = ContextVar("current_track", default="")

# Journal name of a `gather` entry that begins a track for calls made inside of another call.
NESTED_CALLS = "nested calls"


def place_of(track: str, number: int) -> str:
    """Return the place of a call: its track and number, such as "6.0:3" for the third call."""
    return f"{track}:{number}"


def track_of(place: str) -> str:
    """Return the track of a call; a call without a place is on the workflow's own track."""
    return place.rpartition(":")[0]


def gather_of(track: str) -> int:
    """Return the journal position of the `gather` that began the track."""
    return int(track.partition(".")[0])
