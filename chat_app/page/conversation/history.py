"""Reading a bounded part of a conversation's log that never cuts an item in two.

However long a conversation is, only the newest rows are read, or rows before or after a sequence.
An item that crosses the border of that part is completed with its other rows.

A run may end between two of these reads, and its text be folded into one row. So pieces of text are
read before the folded rows, and duplicates are dropped. The number of reads does not depend on the
number of runs and events.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import accumulate
from operator import or_
from uuid import UUID

from django.db.models import BigIntegerField, Q, Subquery, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Length

from sessions_app.conversations.run_parts import BREAKS, TEXTS
from sessions_app.json_types import JsonObject
from sessions_app.models import Event
from sessions_app.storage import clock
from sessions_app.storage.records import EventRecord, read_records
from sessions_app.storage.run_text import Piece, join, stretches, taken_back_sequences

# Maximum of counted rows per read: of the newest rows (ROWS), or of older rows (OLDER_ROWS),
# through which people scroll faster. Each item has at least one counted row, so the numbers limit
# the items, too.
NEWEST_ROWS = 50
OLDER_ROWS = 100
SIZE = 1024 * 1024  # characters after which no further row is read

# Event types that do not count as rows: many text events form one item; the other types form none.
UNCOUNTED_TYPES = (
    Event.Type.TEXT,
    Event.Type.INTERACTION_UPDATE,
    Event.Type.ASSIGNMENT_UPDATE,
    Event.Type.RESTART,
)


@dataclass(frozen=True, slots=True)
class KnownText:
    """The end of the part of a text item that the page already has.

    The page has the item that began at `first`, up to character `offset` of `sequence`. `inside`
    is the first line of the code fence, or the table, that the rest continues.
    """

    first: int
    sequence: int
    offset: int
    inside: str = ""

    def __str__(self) -> str:
        """Return the notation with which a page requests the rest of the item."""
        return f"{self.first}.{self.sequence}.{self.offset}.{self.inside}"


@dataclass(frozen=True, slots=True)
class History:
    """The rows of a part of the log, from sequence `start` on, with the rows that complete its
    items.

    Pieces of text are already folded into `message` rows. `skipped`: older rows in the requested
    range were left out. `continued_texts` has, by run, the known text that the rows do not repeat.
    """

    rows: list[EventRecord]
    start: int
    skipped: bool
    continued_texts: Mapping[UUID, KnownText]


def read(
    conversation: UUID,
    *,
    after: int = 0,
    before: int | None = None,
    known_texts: Mapping[UUID, KnownText] | None = None,
    off_branch: Collection[UUID] = (),
) -> History:
    """Read the newest rows between two sequences. Blocks: call it in a thread.

    If the beginning of an item is in `known_texts`, only the rest is read. Runs in `off_branch` are
    not on the branch and are left out.
    """
    events = Event.objects.filter(conversation_id=conversation, sequence__gt=after)
    if off_branch:
        events = events.exclude(run_id__in=off_branch)
    if before is not None:
        events = events.filter(sequence__lt=before)
    max_rows = NEWEST_ROWS if before is None else OLDER_ROWS
    row_sizes = list(
        events.exclude(type__in=UNCOUNTED_TYPES)
        .order_by("-sequence")
        .values_list("first_sequence", Length(Cast("payload", TextField())))[: max_rows + 1]
    )
    fitting_count = _count_fitting([size for _, size in row_sizes[:max_rows]])
    skipped = len(row_sizes) > fitting_count
    start = row_sizes[fitting_count - 1][0] if skipped else after + 1
    events = events.filter(sequence__gte=start)
    texts = events.filter(type=Event.Type.TEXT).order_by("sequence")
    # Read only the columns in which pieces differ, unconverted: there may be ten thousand pieces.
    pieces = texts.values_list(
        Cast("run_id", TextField()), "sequence", KeyTextTransform("text", "payload")
    )
    rows = _fold_pieces(conversation, ((run, Piece(at, text)) for run, at, text in pieces))
    rows += read_records(events.exclude(type=Event.Type.TEXT))
    aside = _read_aside(rows)
    continued_texts = {} if skipped else _continued_texts(rows, aside, known_texts or {})
    rest = _texts(conversation, _rest_of_texts(rows, before, continued_texts))
    return History(_in_order([*rows, *aside, *rest]), start, skipped, continued_texts)


def read_text(conversation: UUID, run: UUID, first: int) -> list[EventRecord]:
    """Read the rows of the text that began at sequence `first` of a run. Blocks."""
    rows = _texts(conversation, [_after(run, first - 1)])
    return _in_order([*rows, *_read_aside(rows)])


def _count_fitting(sizes: list[int]) -> int:
    """Count the rows, newest first, that fit into one read."""
    ends = accumulate(sizes)
    return sum(end - size < SIZE for end, size in zip(ends, sizes, strict=True))


def _fold_pieces(conversation: UUID, texts: Iterable[tuple[str, Piece]]) -> list[EventRecord]:
    """Join text pieces to one record for each stretch without other rows of the run."""
    pieces: dict[str, list[Piece]] = {}
    for run, piece in texts:
        pieces.setdefault(run, []).append(piece)
    now = clock.now()
    return [
        _message(conversation, UUID(run), (part[0].sequence, part[-1].sequence), join(part), now)
        for run, of_run in pieces.items()
        for part in stretches(of_run)
    ]


def _message(
    conversation: UUID, run: UUID, span: tuple[int, int], payload: JsonObject, at: datetime
) -> EventRecord:
    # The client's message id stays empty, because the page does not use that id.
    return EventRecord(conversation, run, "", "", *span, Event.Type.MESSAGE, payload, at)


def _texts(conversation: UUID, parts: Iterable[Q]) -> list[EventRecord]:
    """Read folded and unfolded text in one query, since text may be folded between two queries."""
    condition = reduce(or_, parts, Q())
    if not condition:
        return []
    columns = ("run_id", "first_sequence", "sequence", "type", "payload", "created_at")
    texts = Event.objects.filter(condition, type__in=TEXTS).order_by("sequence")
    pieces: list[tuple[str, Piece]] = []
    rows = []
    for run, first, last, type_, payload, at in texts.values_list(*columns):
        if type_ == Event.Type.TEXT:
            pieces.append((run.hex, Piece(last, payload["text"])))
        else:
            rows.append(_message(conversation, run, (first, last), payload, at))
    return [*_fold_pieces(conversation, pieces), *rows]


def _continued_texts(
    rows: list[EventRecord], aside: list[EventRecord], known_texts: Mapping[UUID, KnownText]
) -> dict[UUID, KnownText]:
    """Return the known texts that these rows continue, unless a restart took the text back."""
    cuts = [
        (row.run, taken_back_sequences(row.sequence, row.payload))
        for row in aside
        if row.type == Event.Type.RESTART
    ]
    continued_texts, condition = {}, Q()
    for run, (first, _) in _ends(rows).items():
        known_text = known_texts.get(run)
        if (
            known_text is not None
            and first.type in TEXTS
            and known_text.first <= first.sequence
            and not any(
                run == cut_run and known_text.sequence in cut_sequences
                for cut_run, cut_sequences in cuts
            )
        ):
            continued_texts[run] = known_text
            between = (known_text.first, first.first_sequence)
            condition |= Q(run_id=run, sequence__range=between)
    if continued_texts:
        breaks = Event.objects.filter(condition, type__in=BREAKS)
        for run in breaks.values_list("run_id", flat=True):
            continued_texts.pop(run, None)
    return continued_texts


def _ends(rows: list[EventRecord]) -> dict[UUID, tuple[EventRecord, EventRecord]]:
    """Return, by run, the first and last of the rows that are text or interrupt a text."""
    ends: dict[UUID, tuple[EventRecord, EventRecord]] = {}
    for row in sorted(rows, key=lambda row: row.sequence):
        if row.type in TEXTS or row.type in BREAKS:
            first, _ = ends.get(row.run, (row, row))
            ends[row.run] = (first, row)
    return ends


def _rest_of_texts(
    rows: list[EventRecord], before: int | None, continued_texts: Mapping[UUID, KnownText]
) -> Iterator[Q]:
    """Yield filters of the rows with a run's text that adjoin the rows read, before and after."""
    for run, (first, last) in _ends(rows).items():
        if first.type in TEXTS:
            since = continued_texts[run].sequence if run in continued_texts else 0
            yield _before(run, first.first_sequence) & Q(sequence__gte=since)
        if before is not None and last.type in TEXTS:
            yield _after(run, last.sequence)


def _before(run: UUID, sequence: int) -> Q:
    # Compare `first_sequence`, as text may meanwhile be folded into a row that spans `sequence`.
    breaks = Event.objects.filter(run_id=run, first_sequence__lt=sequence, type__in=BREAKS)
    border = Subquery(breaks.order_by("-sequence").values("sequence")[:1])
    return Q(run_id=run, first_sequence__lt=sequence, sequence__gt=Coalesce(border, 0))


def _after(run: UUID, sequence: int) -> Q:
    breaks = Event.objects.filter(run_id=run, sequence__gt=sequence, type__in=BREAKS)
    border = Subquery(breaks.order_by("sequence").values("sequence")[:1])
    last = BigIntegerField.MAX_BIGINT
    return Q(run_id=run, sequence__gt=sequence, sequence__lt=Coalesce(border, last))


def _read_aside(rows: list[EventRecord]) -> list[EventRecord]:
    """Read rows outside this part that its rows refer to.

    Such rows are the missing beginning or end of a step, and restarts, which take back text.
    """
    parts_by_step: dict[str, set[str]] = {}
    for row in rows:
        if row.type == Event.Type.STEP:
            began = row.payload["state"] == "in_progress"
            parts_by_step.setdefault(row.payload["step_id"], set()).add("begin" if began else "end")
    condition = Q()
    if unpaired_steps := [step for step, parts in parts_by_step.items() if len(parts) == 1]:
        runs = {row.run for row in rows if row.type == Event.Type.STEP}
        condition |= Q(run_id__in=runs, type=Event.Type.STEP, payload__step_id__in=unpaired_steps)
    if runs := {row.run for row in rows if row.type in TEXTS}:
        condition |= Q(run_id__in=runs, type=Event.Type.RESTART)
    return read_records(Event.objects.filter(condition)) if condition else []


def _in_order(rows: list[EventRecord]) -> list[EventRecord]:
    """Sort the rows, and drop duplicates: of overlapping rows of text, keep the longest."""
    ends: dict[UUID, int] = {}
    sequences: set[int] = set()
    ordered_rows = []
    for row in sorted(rows, key=lambda row: (row.first_sequence, -row.sequence)):
        is_text = row.type == Event.Type.MESSAGE
        if row.sequence in sequences or (is_text and row.sequence <= ends.get(row.run, 0)):
            continue
        sequences.add(row.sequence)
        if is_text:
            ends[row.run] = row.sequence
        ordered_rows.append(row)
    return ordered_rows
