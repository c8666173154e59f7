"""The tracks of a run: the workflow's own calls, and those of each coroutine that it gathers.

Positions say in which order calls were made. Where several tracks go on at once, that depends on
time: replay knows a call again by its place, which is its number in its track.
"""

from contextvars import ContextVar

# Of the code that runs: empty for the workflow's own; "6.0" for the first of what the gather at
# position 6 was given.
current_track: ContextVar[str] = ContextVar("current_track", default="")

# The name of the gather that begins the tracks of calls that make other calls.
NESTED_CALLS = "nested calls"


def place_of(track: str, number: int) -> str:
    """Return the place of a track's call: "6.0:3" for its third."""
    return f"{track}:{number}"


def track_of(place: str) -> str:
    """Return the track of a call; without a place it is the workflow's own."""
    return place.rpartition(":")[0]


def gather_of(track: str) -> int:
    """Return the position of the gather that began the track."""
    return int(track.partition(".")[0])
