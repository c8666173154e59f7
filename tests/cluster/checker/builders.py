"""A user's builder is alive in one place at a time."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.cluster.checker.history import History, Life

# Seconds in which a process that stood still finds out that others took over, and closes.
GRACE = 2.5
# So long must it have stood still for others to take over.
TAKEN_OVER = 5.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Alive:
    """A builder from its beginning to its end, less the times that do not count."""

    user: str
    pid: int
    spans: list[Span]


def overlapping_builders(history: History) -> Iterator[str]:
    """Report two builders of one user that ran at the same time.

    One in a process that stands still does nothing; when it goes on it may need a moment.
    """
    by_user: dict[str, list[_Alive]] = defaultdict(list)
    for one in _builders(history):
        for other in by_user[one.user]:
            for start, end in _overlaps(one.spans, other.spans):
                seconds = f"{end - start:.3f} s from {start:.3f} on"
                yield f"{one.user} has two builders, in {other.pid} and {one.pid}, for {seconds}"
        by_user[one.user].append(one)


def _builders(history: History) -> Iterator[_Alive]:
    last = max((note.at for note in history.diary), default=0.0)
    open_: dict[tuple[str, int], list[float]] = defaultdict(list)
    for note in history.diary:
        place = (note.subject, note.pid)
        if note.kind == "builder.begin":
            open_[place].append(note.at)
        elif note.kind == "builder.closed" and open_[place]:
            yield _alive(history, place, open_[place].pop(0), note.at)
    for place, begun in open_.items():
        for began in begun:
            yield _alive(history, place, began, last)


def _alive(history: History, place: tuple[str, int], start: float, end: float) -> _Alive:
    user, pid = place
    life = _life(history, pid, start)
    if life is not None and life.ended is not None:
        end = min(end, life.ended)
    return _Alive(user, pid, _without((start, end), life.frozen if life else []))


def _life(history: History, pid: int, at: float) -> Life | None:
    fits = [life for life in history.lives if life.pid == pid and life.began <= at]
    return max(fits, key=lambda life: life.began, default=None)


def _without(span: Span, frozen: list[Span]) -> list[Span]:
    """Return the parts of the span outside the process's standstills and the moment after each."""
    spans = []
    at, end = span
    for stood, went_on in sorted(frozen):
        grace = GRACE if went_on - stood > TAKEN_OVER else 0.0
        spans.append((at, min(stood, end)))
        at = max(at, went_on + grace)
    spans.append((at, end))
    return [(start, stop) for start, stop in spans if start < stop]


def _overlaps(ones: list[Span], others: list[Span]) -> Iterator[Span]:
    for one in ones:
        for other in others:
            start, end = max(one[0], other[0]), min(one[1], other[1])
            if start < end:
                yield start, end
