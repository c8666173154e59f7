"""Folding: when a run ends, its text events become one message event per unbroken stretch."""

from itertools import pairwise
from uuid import UUID

from sessions_app.models import Event, Run


def fold(run: Run) -> None:
    """Inside the transaction that ends the run. A message spans the sequences of its texts."""
    texts = list(
        Event.objects.filter(run=run, type=Event.Type.TEXT)
        .order_by("sequence")
        .only("sequence", "payload", "created_at")
    )
    if not texts:
        return
    Event.objects.filter(run=run, type=Event.Type.TEXT).delete()
    Event.objects.bulk_create(
        _message(run.conversation_id, run, part) for part in _stretches(texts)
    )


def _stretches(texts: list[Event]) -> list[list[Event]]:
    parts = [[texts[0]]]
    for before, event in pairwise(texts):
        if event.sequence == before.sequence + 1:
            parts[-1].append(event)
        else:
            parts.append([event])
    return parts


def _message(conversation: UUID, run: Run, part: list[Event]) -> Event:
    pieces = [event.payload["text"] for event in part]
    return Event(
        conversation_id=conversation,
        run=run,
        first_sequence=part[0].sequence,
        sequence=part[-1].sequence,
        type=Event.Type.MESSAGE,
        payload={"text": "".join(pieces), "lengths": [len(piece) for piece in pieces]},
        created_at=part[-1].created_at,
    )
