"""The database's time, by which all processes store and compare times, deadlines above all.

PostgreSQL's clock is the time of every process; SQLite has the clock of its only process.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter

from sessions_app.logs import Log
from sessions_app.storage import sql

log = Log(__name__)

# Seconds by which a process's clock may differ from the database's. Beyond that the process hosts
# no runs: workflows read the process's clock, too.
LIMIT = 2.0
# Seconds that a measurement may take, half of which is its possible error.
PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class _Measurement:
    time: datetime
    at: float  # by the monotonic clock


# The last measurement; empty until a server process has measured, and always with SQLite.
_last: list[_Measurement] = []
# Whether the last measurement found the process's clock right.
_was_right = [True]


def now() -> datetime:
    """Return the database's time, as last measured plus the monotonic time since then."""
    if not _last:
        return datetime.now(UTC)
    return _last[0].time + timedelta(seconds=perf_counter() - _last[0].at)


def ahead() -> float:
    """Return the seconds that this process's clock is ahead of the database's; negative: behind."""
    return (datetime.now(UTC) - now()).total_seconds() if _last else 0.0


def in_words(seconds: float) -> str:
    """Describe by how many seconds a process's clock is ahead of the database's."""
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the database's"


def is_right() -> bool:
    """Return whether this process's clock is near enough to the database's for hosting runs."""
    return abs(ahead()) <= LIMIT


def forget() -> None:
    """Forget the last measurement, at the end of this process's runtime."""
    _last.clear()


def measure() -> None:
    """Measure the database's time, and log when the process's clock has become wrong or right.

    Blocks: call in a thread.
    """
    begun = perf_counter()
    time = sql.database().read_time(sql.fetch)
    took = perf_counter() - begun
    if time is not None and (took <= PATIENCE or not _last):
        _last[:] = [_Measurement(time, begun + took / 2)]
    if is_right() != _was_right[0]:
        _was_right[0] = is_right()
        if is_right():
            log.warning("clock.right")
        else:
            log.error("clock.wrong", clock=in_words(ahead()), remedy="have NTP set both clocks")
