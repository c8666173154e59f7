"""A run's text in the log: pieces, text removed by restarts, and the merge when the run ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sessions_app.json_types import JsonObject
from sessions_app.models import Event
from sessions_app.storage import sql

TEXTS = """
    SELECT sequence, payload, created_at FROM sessions_app_event
    WHERE run_id = %s AND type = 'text' ORDER BY sequence
"""
RESTARTS = """
    SELECT sequence, payload FROM sessions_app_event
    WHERE run_id = %s AND type = 'restart' ORDER BY sequence
"""
DELETE_TEXTS = "DELETE FROM sessions_app_event WHERE run_id = %s AND type = 'text'"

# Maximum characters of text in one event, as an event is sent as a whole, and stays in memory while
# a client does not read.
PART = 64 * 1024

# Type for the sequence numbers of text that a `restart` event revoked: the text is written anew.
TakenBack = range


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a run's text, with its sequence number in the log."""

    sequence: int
    text: str


def pieces_of(text: str) -> list[str]:
    """Split a text into pieces for one event each; an empty text has no pieces."""
    return [text[start : start + PART] for start in range(0, len(text), PART)]


def split(first_sequence: int, payload: JsonObject) -> list[Piece]:
    """Return the pieces of a `text` or `message` event."""
    text: str = payload["text"]
    pieces, start = [], 0
    for offset, length in enumerate(payload.get("lengths") or [len(text)]):
        pieces.append(Piece(first_sequence + offset, text[start : start + length]))
        start += length
    return pieces


def join(pieces: Iterable[Piece]) -> JsonObject:
    """Build the payload of a `message` event from pieces, as the inverse of `split`."""
    texts = [piece.text for piece in pieces]
    return {"text": "".join(texts), "lengths": [len(text) for text in texts]}


def taken_back_sequences(sequence: int, payload: JsonObject) -> TakenBack:
    """Return the sequence numbers whose text a `restart` event took back."""
    return range(payload["from_sequence"], sequence)


def undo(pieces: Iterable[Piece], restarts: Sequence[TakenBack]) -> list[Piece]:
    """Return the pieces whose text no `restart` event took back."""
    return [piece for piece in pieces if not any(piece.sequence in restart for restart in restarts)]


def kept_pieces(rows: Iterable[tuple[str, int, int, JsonObject]]) -> list[Piece]:
    """Return the pieces of text in these events, except those that a `restart` took back."""
    pieces: list[Piece] = []
    restarts: list[TakenBack] = []
    for type_, first_sequence, sequence, payload in rows:
        if type_ == Event.Type.RESTART:
            restarts.append(taken_back_sequences(sequence, payload))
        else:
            pieces += split(first_sequence, payload)
    return undo(pieces, restarts)


def text_of(run: UUID, until: int | None = None) -> str:
    """Return the text of a run, or its text up to the sequence `until`. Reads the database."""
    texts = (Event.Type.TEXT, Event.Type.MESSAGE, Event.Type.RESTART)
    rows = Event.objects.filter(run_id=run, type__in=texts).order_by("sequence")
    if until is not None:
        rows = rows.filter(first_sequence__lte=until)
    pieces = kept_pieces(rows.values_list("type", "first_sequence", "sequence", "payload"))
    return "".join(piece.text for piece in pieces if until is None or piece.sequence <= until)


def stretches(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Group the pieces into lists with consecutive sequence numbers."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        if groups and piece.sequence == groups[-1][-1].sequence + 1:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def parts(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Group the pieces into lists with consecutive numbers, of at most `PART` characters each."""
    groups: list[list[Piece]] = []
    for stretch in stretches(pieces):
        size = PART
        for piece in stretch:
            size += len(piece.text)
            if size > PART:
                groups.append([])
                size = len(piece.text)
            groups[-1].append(piece)
    return groups


def unfold(run: UUID, conversation: UUID) -> None:
    """Split the message events of a resumed run into text events, as the inverse of `fold`.
    Text that a restart took back stays folded.
    """
    messages = Event.objects.filter(run_id=run, type=Event.Type.MESSAGE)
    for message in messages.filter(payload__taken_back__isnull=True):
        message.delete()
        Event.objects.bulk_create(
            Event(
                conversation_id=conversation,
                run_id=run,
                first_sequence=piece.sequence,
                sequence=piece.sequence,
                type=Event.Type.TEXT,
                payload={"text": piece.text},
                created_at=message.created_at,
            )
            for piece in split(message.first_sequence, message.payload)
        )


def fold(run: UUID, conversation: UUID) -> None:
    """Fold the run's text events into message events, each with consecutive sequence numbers.

    Called inside the transaction that ends the run. A message spans the sequence numbers of its
    texts.
    Text that was taken back is left out, so that later readers of the log do not see that text.
    """
    rows = sql.fetch(TEXTS, (run,))
    if not rows:
        return
    pieces = [Piece(sequence, sql.read_json(payload)["text"]) for sequence, payload, _ in rows]
    times: dict[int, datetime | None] = {row[0]: sql.read_time(row[2]) for row in rows}
    restarts = [
        taken_back_sequences(at, sql.read_json(payload))
        for at, payload in sql.fetch(RESTARTS, (run,))
    ]
    kept_pieces = undo(pieces, restarts)
    removed_pieces = sorted(set(pieces) - set(kept_pieces), key=lambda piece: piece.sequence)
    messages = [(part, join(part)) for part in parts(kept_pieces)] + [
        (part, {"text": "", "lengths": [0] * len(part), "taken_back": join(part)["text"]})
        for part in parts(removed_pieces)
    ]
    sql.execute(DELETE_TEXTS, (run,))
    for part, payload in messages:
        sql.insert(
            Event,
            conversation_id=conversation,
            run_id=run,
            first_sequence=part[0].sequence,
            sequence=part[-1].sequence,
            type=Event.Type.MESSAGE.value,
            payload=payload,
            created_at=times[part[-1].sequence],
        )
