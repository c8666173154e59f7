"""Reading the log after a cursor."""

from uuid import UUID

from django.db.models import QuerySet

from sessions_app.models import Event
from sessions_app.storage.records import EventRecord


def read(conversation: UUID, *, after: int, limit: int) -> list[EventRecord]:
    """Read at most `limit` events after the cursor, oldest first. Blocks: call it in a thread.

    The first may be a `message` that began before the cursor: see `trim`.
    """
    later = Event.objects.filter(conversation_id=conversation, sequence__gt=after)
    return read_records(later, limit=limit)


def read_records(events: QuerySet[Event], *, limit: int | None = None) -> list[EventRecord]:
    """Read at most `limit` of the events in the order of the log. Blocks: call it in a thread."""
    rows = events.order_by("sequence").values_list(
        "conversation_id",
        "run_id",
        "run__message_id",
        "run__client_format",
        "first_sequence",
        "sequence",
        "type",
        "payload",
        "created_at",
    )[:limit]
    return [EventRecord(*row) for row in rows]


def trim(event: EventRecord, *, after: int) -> str:
    """Return the part of a `text` or `message` event that a reader at the cursor has not had."""
    text: str = event.payload["text"]
    read_count = after - event.first_sequence + 1
    if event.type != Event.Type.MESSAGE or read_count <= 0:
        return text
    return text[sum(event.payload["lengths"][:read_count]) :]
