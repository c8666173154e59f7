"""The parts of a conversation's log: groups of events that pages, files and forks treat as one."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Run
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import Piece, TakenBack, split, taken_back_sequences, undo

TEXTS = (Event.Type.TEXT, Event.Type.MESSAGE)
# Types of events after which further text of the run is a new part. A final or suspended status
# ends a part, too.
BREAKS = (
    Event.Type.USER_MESSAGE,
    Event.Type.STEP,
    Event.Type.INTERACTION,
    Event.Type.ASSIGNMENT,
)
RESTING = (*Run.FINISHED, Run.Status.SUSPENDED)
# Type of a part by the type of its first event, where these types differ: for questions.
SAME = {
    Event.Type.ASSIGNMENT: Event.Type.INTERACTION,
    Event.Type.ASSIGNMENT_UPDATE: Event.Type.INTERACTION,
    Event.Type.INTERACTION_UPDATE: Event.Type.INTERACTION,
}


@dataclass(frozen=True, slots=True)
class RunPart:
    """A part of a log: a message, a text, a step, a question or a status, with all its events.

    `type` is the type of the first event, but `MESSAGE` for any text, and `INTERACTION` for all
    events of a question. `pieces`: the pieces of a text that were not replaced later. `is_open`:
    further pieces may follow.
    """

    type: str
    events: Sequence[EventRecord]
    pieces: Sequence[Piece] = ()
    is_open: bool = False

    @property
    def text(self) -> str:
        """The whole text of the part."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def payload(self) -> JsonObject:
        """The payload of the part's newest event."""
        return self.events[-1].payload


def read_parts(events: Sequence[EventRecord]) -> Iterable[RunPart]:
    """Yield the parts of these events, sorted by the first event of each part."""
    restarts: dict[UUID, list[TakenBack]] = {}
    open_texts: dict[UUID, int] = {}  # first sequence of each run's unfinished text
    parts: dict[Hashable, list[EventRecord]] = {}
    for event in events:
        payload = event.payload
        if event.type == Event.Type.RESTART:
            restarts.setdefault(event.run, []).append(taken_back_sequences(event.sequence, payload))
            continue
        key: Hashable = payload.get("step_id") or payload.get("interaction_id") or event.sequence
        if event.type in TEXTS:
            key = (event.run, open_texts.setdefault(event.run, event.first_sequence))
        elif event.type in BREAKS or _rests(event):
            open_texts.pop(event.run, None)
        parts.setdefault(key, []).append(event)
    for of_part in parts.values():
        first = of_part[0]
        type_ = Event.Type(first.type)
        if type_ not in TEXTS:
            yield RunPart(SAME.get(type_, type_), of_part)
            continue
        pieces = [piece for row in of_part for piece in split(row.first_sequence, row.payload)]
        kept_pieces = undo(pieces, restarts.get(first.run, ()))
        is_open = open_texts.get(first.run) == first.first_sequence
        yield RunPart(Event.Type.MESSAGE, of_part, kept_pieces, is_open)


def _rests(event: EventRecord) -> bool:
    return event.type == Event.Type.RUN and event.payload["status"] in RESTING
