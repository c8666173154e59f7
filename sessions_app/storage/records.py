"""The records that pass between the log and its readers, and reads of the log after a cursor."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from sessions_app.json_types import JsonObject
from sessions_app.models import Event


class ParentCall(NamedTuple):
    """The call that began a child run: the parent run, and the call's position in its journal."""

    run: UUID
    position: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The immutable columns of a run that the event log needs. See `models.Run`."""

    id: UUID
    conversation_id: UUID
    message_id: str
    client_format: str
    parent: ParentCall | None = None


class EventRecord(NamedTuple):
    """An event as readers of the log get it: columns of the event, and of its run."""

    conversation: UUID
    run: UUID
    message_id: str
    client_format: str
    first_sequence: int
    sequence: int
    type: str
    payload: JsonObject
    created_at: datetime
    # The number of characters of the payload as JSON; 0 for events read from the database.
    size: int = 0


@dataclass(frozen=True, slots=True)
class InteractionSettled:
    """The settlement of an interaction, sent to the host that executes the interaction's run.

    `response` is `{"value": a value}` or `{"values": [values]}`, None where there is no response.
    """

    run: UUID
    interaction: UUID
    status: str
    response: JsonObject | None
    by: str | None
    at: datetime


def step_payload(run: UUID, position: int, title: str, state: str, payload: str) -> JsonObject:
    """Build the payload of a `step` event."""
    return {"step_id": f"{run}:{position}", "name": title, "state": state, "payload": payload}


def read(conversation: UUID, *, after: int, limit: int) -> list[EventRecord]:
    """Read at most `limit` events with a sequence above `after`, oldest first. Reads the database.

    The first event may be a `message` that began at or before `after`: see `trim`.
    """
    later = Event.objects.filter(conversation_id=conversation, sequence__gt=after)
    return read_records(later, limit=limit)


def read_records(events: QuerySet[Event], *, limit: int | None = None) -> list[EventRecord]:
    """Read at most `limit` of the events in the order of the log. Blocks: call in a thread."""
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
    """Return the part of a `text` or `message` event whose sequence numbers are above `after`."""
    text: str = event.payload["text"]
    read_count = after - event.first_sequence + 1
    if event.type != Event.Type.MESSAGE or read_count <= 0:
        return text
    return text[sum(event.payload["lengths"][:read_count]) :]
