"""Reading a bounded part of a conversation's log that never cuts an item in two.

However long a conversation is, a look at it reads the newest rows, or those before or after a
sequence; an item that began before that part or goes on after it is completed by its other rows.

A run may end, and its text be folded, between two of these reads. So pieces of text are read before
the rows that may be folded from them, and what has been read twice is dropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from uuid import UUID

from django.db.models import Max, Min, QuerySet, TextField
from django.db.models.functions import Cast, Length
from django.utils import timezone

from sessions_app.models import Event
from sessions_app.storage.event_log import read_records
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import Piece, join, stretches, taken_back

# Each item takes one of these rows at least, so these bound what a look shows.
ROWS = 50
SIZE = 1024 * 1024  # characters; the row that passes it is the last

TEXTS = (Event.Type.TEXT, Event.Type.MESSAGE)
# These end the stretch of a run's text before them.
BREAKS = (Event.Type.USER_MESSAGE, Event.Type.STEP, Event.Type.INTERACTION)
# Not counted: unfolded text is one item however many rows it has, the others are none.
UNCOUNTED = (Event.Type.TEXT, Event.Type.INTERACTION_UPDATE, Event.Type.RESTART)


@dataclass(frozen=True, slots=True)
class Known:
    """How much somebody has who asks for more: of the item of text that began at `first`, all
    before the character `offset` of `sequence`. What comes there is `inside` of something.
    """

    first: int
    sequence: int
    offset: int
    inside: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Rows in the order of the log, from sequence `start` on, and those that complete their items.

    Pieces of text are folded here, into `message` rows. `skipped`: what was asked for has older
    rows. `continued` has what is known of items, by run, where the rows do not have it again.
    """

    rows: list[EventRecord]
    start: int
    skipped: bool
    continued: Mapping[UUID, Known]


def read(
    conversation: UUID,
    *,
    after: int = 0,
    before: int | None = None,
    known: Mapping[UUID, Known] | None = None,
) -> History:
    """The newest rows of those between two sequences; of an item whose beginning is `known`, the
    rest. Blocks: call it in a thread.
    """
    events = Event.objects.filter(conversation_id=conversation, sequence__gt=after)
    if before is not None:
        events = events.filter(sequence__lt=before)
    counted = list(
        events.exclude(type__in=UNCOUNTED)
        .order_by("-sequence")
        .values_list("first_sequence", Length(Cast("payload", TextField())))[: ROWS + 1]
    )
    fitting = _fitting([size for _, size in counted])
    skipped = len(counted) > fitting
    start = counted[fitting - 1][0] if skipped else after + 1
    events = events.filter(sequence__gte=start)
    pieces = _pieces(events)
    rows = _with_folded(events, pieces, read_records(events.exclude(type=Event.Type.TEXT)))
    restarts = _restarts(rows)
    continued = {} if skipped else _continued(rows, restarts, known or {})
    missing = [*_rest_of_texts(rows, before, continued), *_rest_of_steps(rows), *restarts]
    return History(_in_order([*rows, *missing]), start, skipped, continued)


def _fitting(sizes: list[int]) -> int:
    """How many of the rows, of which the newest is the first, one look shows."""
    before = accumulate(sizes[:ROWS], initial=0)
    return sum(size < SIZE for size in islice(before, ROWS))


def _pieces(events: QuerySet[Event]) -> dict[UUID, list[Piece]]:
    """The unfolded text among the events, by run.

    There may be ten thousand pieces, so of each only the columns that differ are read.
    """
    texts = events.filter(type=Event.Type.TEXT).order_by("run_id", "sequence")
    found: dict[UUID, list[Piece]] = {}
    for run, sequence, payload in texts.values_list("run_id", "sequence", "payload"):
        found.setdefault(run, []).append(Piece(sequence, payload["text"]))
    return found


def _with_folded(
    events: QuerySet[Event], pieces: dict[UUID, list[Piece]], rows: list[EventRecord]
) -> list[EventRecord]:
    """The rows, and the pieces folded: one record for each unbroken stretch of a run."""
    models = {row.run: row for row in rows}
    firsts = [of_run[0].sequence for run, of_run in pieces.items() if run not in models]
    if firsts:
        models |= {row.run: row for row in read_records(events.filter(sequence__in=firsts))}
    gone = set(pieces) - set(models)  # folded since the rows were read
    if gone:
        rows = [*rows, *read_records(events.filter(type=Event.Type.MESSAGE, run_id__in=gone))]
    folded = [
        _folded(models[run], stretch)
        for run, of_run in pieces.items()
        if run in models
        for stretch in stretches(of_run)
    ]
    return [*folded, *rows]


def _folded(model: EventRecord, stretch: list[Piece]) -> EventRecord:
    return model._replace(
        first_sequence=stretch[0].sequence,
        sequence=stretch[-1].sequence,
        type=Event.Type.MESSAGE,
        payload=join(stretch),
        created_at=timezone.now(),
    )


def _continued(
    rows: list[EventRecord], restarts: list[EventRecord], known: Mapping[UUID, Known]
) -> dict[UUID, Known]:
    """What is known of items that go on here, and was not taken back."""
    cuts = [(row.run, taken_back(row.sequence, row.payload)) for row in restarts]
    found = {}
    for run, (first, _) in _ends(rows).items():
        place = known.get(run)
        if (
            place is not None
            and first.type in TEXTS
            and _border(run, first.first_sequence) < place.first <= first.sequence
            and not any(run == of and place.sequence in gone for of, gone in cuts)
        ):
            found[run] = place
    return found


def _ends(rows: list[EventRecord]) -> dict[UUID, tuple[EventRecord, EventRecord]]:
    """Of each run, its first and its last row that is text or ends one."""
    ends: dict[UUID, tuple[EventRecord, EventRecord]] = {}
    for row in sorted(rows, key=lambda row: row.sequence):
        if row.type in TEXTS or row.type in BREAKS:
            first, _ = ends.get(row.run, (row, row))
            ends[row.run] = (first, row)
    return ends


def _rest_of_texts(
    rows: list[EventRecord], before: int | None, continued: Mapping[UUID, Known]
) -> Iterator[EventRecord]:
    """Of each run: the text right before its first row here, and right after its last."""
    for run, (first, last) in _ends(rows).items():
        if first.type in TEXTS:
            earlier = _before(run, first.first_sequence)
            if run in continued:
                earlier = earlier.filter(sequence__gte=continued[run].sequence)
            yield from _texts(earlier)
        if before is not None and last.type in TEXTS:
            yield from _texts(_after(run, last.sequence))


def _texts(events: QuerySet[Event]) -> list[EventRecord]:
    pieces = _pieces(events)
    return _with_folded(events, pieces, read_records(events.filter(type=Event.Type.MESSAGE)))


def _before(run: UUID, sequence: int) -> QuerySet[Event]:
    # By now it may be folded into a row that spans the sequence, so by where the rows begin.
    earlier = Event.objects.filter(run_id=run, first_sequence__lt=sequence)
    return earlier.filter(sequence__gt=_border(run, sequence))


def _border(run: UUID, sequence: int) -> int:
    """Where the last item of a run ended before a sequence; 0 if none did."""
    breaks = Event.objects.filter(run_id=run, first_sequence__lt=sequence, type__in=BREAKS)
    return breaks.aggregate(at=Max("sequence"))["at"] or 0


def _after(run: UUID, sequence: int) -> QuerySet[Event]:
    later = Event.objects.filter(run_id=run, sequence__gt=sequence)
    border = later.filter(type__in=BREAKS).aggregate(at=Min("sequence"))["at"]
    return later if border is None else later.filter(sequence__lt=border)


def _rest_of_steps(rows: list[EventRecord]) -> list[EventRecord]:
    """The other row of each step whose beginning or end alone is here."""
    here: dict[str, set[str]] = {}
    for row in rows:
        if row.type == Event.Type.STEP:
            began = row.payload["state"] == "in_progress"
            here.setdefault(row.payload["step_id"], set()).add("begin" if began else "end")
    alone = [step for step, parts in here.items() if len(parts) == 1]
    if not alone:
        return []
    runs = {row.run for row in rows if row.type == Event.Type.STEP}
    return read_records(
        Event.objects.filter(run_id__in=runs, type=Event.Type.STEP, payload__step_id__in=alone)
    )


def _restarts(rows: list[EventRecord]) -> list[EventRecord]:
    """What says that text here was cut and begun anew, wherever it stands."""
    runs = {row.run for row in rows if row.type in TEXTS}
    if not runs:
        return []
    return read_records(Event.objects.filter(run_id__in=runs, type=Event.Type.RESTART))


def _in_order(rows: list[EventRecord]) -> list[EventRecord]:
    """Each row once; of text that was read both in pieces and folded, the longest row."""
    ends: dict[UUID, int] = {}
    seen: set[int] = set()
    kept = []
    for row in sorted(rows, key=lambda row: (row.first_sequence, -row.sequence)):
        is_text = row.type == Event.Type.MESSAGE
        if row.sequence in seen or (is_text and row.sequence <= ends.get(row.run, 0)):
            continue
        seen.add(row.sequence)
        if is_text:
            ends[row.run] = row.sequence
        kept.append(row)
    return kept
