"""The copy of its last events that news of a conversation carries, where they are few and small."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sessions_app.storage.records import EventRecord

# A copy larger than this is left out: its readers take the events from the log, in pages. A hundred
# may wait for a socket whose client does not read.
MAX_EVENTS = 20
MAX_SIZE = 4 * 1024


def copy_of(events: list[EventRecord] | None) -> str | None:
    """The events as one string: layers copy or pack every message, and a string is cheapest."""
    if events is None:
        return None
    text = json.dumps([_pack(event) for event in events])
    return text if len(text) <= MAX_SIZE else None


def read_copy(conversation: UUID, copy: str) -> list[EventRecord]:
    """The events of a news message's copy."""
    return [_unpack(conversation, *packed) for packed in json.loads(copy)]


def _pack(event: EventRecord) -> list[Any]:
    return [
        event.run.hex,
        event.message_id,
        event.client_format,
        event.first_sequence,
        event.sequence,
        event.type,
        event.payload,
        event.created_at.isoformat(),
    ]


def _unpack(conversation: UUID, run: str, *fields: Any) -> EventRecord:
    *rest, created_at = fields
    values = [conversation, UUID(hex=run), *rest, datetime.fromisoformat(created_at)]
    return EventRecord(*values)
