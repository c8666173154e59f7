"""Reading a bounded part of a conversation's log that never cuts an item in two.

However long a conversation is, a look at it reads the newest rows, or those before or after a
sequence; an item that began before that part or goes on after it is completed by its other rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Max, Min, QuerySet

from sessions_app.event_log import EventRecord
from sessions_app.models import Event

# Each item takes one of these rows at least, so this bounds what a look shows.
ROWS = 50

TEXTS = (Event.Type.TEXT, Event.Type.MESSAGE)
# These end the stretch of a run's text before them.
BREAKS = (Event.Type.USER_MESSAGE, Event.Type.STEP, Event.Type.INTERACTION)
# Not counted: unfolded text is one item however many rows it has, the others are none.
UNCOUNTED = (Event.Type.TEXT, Event.Type.INTERACTION_UPDATE, Event.Type.RESTART)


@dataclass(frozen=True, slots=True)
class History:
    """Rows in the order of the log, from sequence `start` on, and those that complete their items.

    `skipped`: what was asked for has older rows.
    """

    rows: list[EventRecord]
    start: int
    skipped: bool


def read(conversation: UUID, *, after: int = 0, before: int | None = None) -> History:
    """The newest rows of those between two sequences. Blocks: call it in a thread."""
    events = Event.objects.filter(conversation_id=conversation, sequence__gt=after)
    if before is not None:
        events = events.filter(sequence__lt=before)
    counted = list(
        events.exclude(type__in=UNCOUNTED)
        .order_by("-sequence")
        .values_list("first_sequence", flat=True)[: ROWS + 1]
    )
    skipped = len(counted) > ROWS
    start = counted[ROWS - 1] if skipped else after + 1
    rows = _records(events.filter(sequence__gte=start))
    missing = [*_rest_of_texts(rows, before), *_rest_of_steps(rows), *_restarts(rows)]
    return History(_in_order([*rows, *missing]), start, skipped)


def _records(events: QuerySet[Event]) -> list[EventRecord]:
    rows = events.order_by("sequence").values_list(
        "conversation_id",
        "run_id",
        "run__message_id",
        "run__schema_type",
        "first_sequence",
        "sequence",
        "type",
        "payload",
        "created_at",
    )
    return [EventRecord(*row) for row in rows]


def _rest_of_texts(rows: list[EventRecord], before: int | None) -> Iterable[EventRecord]:
    """Of each run: the text right before its first row here, and right after its last."""
    ends: dict[UUID, tuple[EventRecord, EventRecord]] = {}
    for row in rows:
        if row.type in TEXTS or row.type in BREAKS:
            first, _ = ends.get(row.run, (row, row))
            ends[row.run] = (first, row)
    for run, (first, last) in ends.items():
        if first.type in TEXTS:
            yield from _texts_before(run, first.first_sequence)
        if before is not None and last.type in TEXTS:
            yield from _texts_after(run, last.sequence)


def _texts_before(run: UUID, sequence: int) -> list[EventRecord]:
    earlier = Event.objects.filter(run_id=run, sequence__lt=sequence)
    border = earlier.filter(type__in=BREAKS).aggregate(at=Max("sequence"))["at"] or 0
    return _records(earlier.filter(type__in=TEXTS, sequence__gt=border))


def _texts_after(run: UUID, sequence: int) -> list[EventRecord]:
    later = Event.objects.filter(run_id=run, sequence__gt=sequence)
    border = later.filter(type__in=BREAKS).aggregate(at=Min("sequence"))["at"]
    texts = later.filter(type__in=TEXTS)
    return _records(texts if border is None else texts.filter(sequence__lt=border))


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
    return _records(
        Event.objects.filter(run_id__in=runs, type=Event.Type.STEP, payload__step_id__in=alone)
    )


def _restarts(rows: list[EventRecord]) -> list[EventRecord]:
    """What says that text here was cut and begun anew, wherever it stands."""
    runs = {row.run for row in rows if row.type in TEXTS}
    if not runs:
        return []
    return _records(Event.objects.filter(run_id__in=runs, type=Event.Type.RESTART))


def _in_order(rows: list[EventRecord]) -> list[EventRecord]:
    """Each row once. Where a run's text was folded between two reads, the folded row stands."""
    once = {row.sequence: row for row in rows if row.type != Event.Type.MESSAGE}
    folded = [row for row in rows if row.type == Event.Type.MESSAGE]
    for message in folded:
        for sequence in range(message.first_sequence, message.sequence + 1):
            once.pop(sequence, None)
        once[message.sequence] = message
    return sorted(once.values(), key=lambda row: row.first_sequence)
