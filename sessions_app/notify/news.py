"""The message about new events in a conversation's log, with the events if few and small.

Readers within a process share the event records; other processes get a copy.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sessions_app.json_types import JsonObject
from sessions_app.storage.records import EventRecord

NEWS = "conversation.news"
# Group for everybody who counts open prompts, and the message to it: prompts of any conversation
# were asked or settled.
PROMPTS = "prompts"
PROMPTS_CHANGED = {"type": "prompts.changed"}
# Message to a conversation's readers: data other than its event log have changed.
LOOK = {"type": "conversation.look"}

# Maximum of events in a message, and of their characters in total. With more, the message has no
# events, and readers fetch them from the log, in pages. The limit matters because a hundred
# messages may be queued for a socket whose client does not read.
MAX_EVENTS = 20
MAX_SIZE = 4 * 1024


@dataclass(frozen=True, slots=True)
class News:
    """The fact that a conversation's log has new events up to `sequence`; `events` may be empty."""

    conversation: UUID
    sequence: int
    events: list[EventRecord]


def news_message(conversation: UUID, events: list[EventRecord]) -> JsonObject:
    """Build the message about committed events for the readers in this process."""
    few = len(events) <= MAX_EVENTS and sum(event.size for event in events) < MAX_SIZE
    return {
        "type": NEWS,
        "news": News(conversation, events[-1].sequence, events if few else []),
    }


def pack(message: JsonObject) -> JsonObject:
    """Convert a message of any type to a form that can be sent to other processes.

    Events become one JSON string, which the layer serialises fastest.
    """
    if message["type"] != NEWS:
        return message
    news: News = message["news"]
    return {
        "type": NEWS,
        "conversation": news.conversation.hex,
        "sequence": news.sequence,
        "copy": json.dumps([_pack(event) for event in news.events]) if news.events else None,
    }


def unpack(message: JsonObject) -> JsonObject:
    """Restore a message that another process has converted with `pack`."""
    if message["type"] != NEWS:
        return message
    conversation = UUID(hex=message["conversation"])
    events = [_unpack(conversation, *fields) for fields in json.loads(message["copy"] or "[]")]
    return {"type": NEWS, "news": News(conversation, message["sequence"], events)}


def _pack(event: EventRecord) -> list[object]:
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
