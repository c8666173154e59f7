"""News of a conversation: the end of its log, and the last events if they are few and small.

Readers within a process share the records themselves; other processes get a copy.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sessions_app.json_types import JsonObject
from sessions_app.storage.records import EventRecord

NEWS = "conversation.news"
# A group, and a message to the group: questions were asked or settled, in any conversation.
PROMPTS = "prompts"
PROMPTS_CHANGED = {"type": "prompts.changed"}
# Message to a conversation's group: data outside the conversation's log have changed.
LOOK = {"type": "conversation.look"}

# Maximum of events in a message, and of their characters. Beyond, a message has no events, and
# readers fetch them from the log, in pages. A hundred messages may be queued for a socket whose
# client does not read.
MAX_EVENTS = 20
MAX_SIZE = 4 * 1024


@dataclass(frozen=True, slots=True)
class News:
    """News that a conversation's log reaches `sequence`; `events` has its last events, or none."""

    conversation: UUID
    sequence: int
    events: list[EventRecord]


def news_message(conversation: UUID, events: list[EventRecord]) -> JsonObject:
    """Build the news of committed events for the readers in this process."""
    few = len(events) <= MAX_EVENTS and sum(event.size for event in events) < MAX_SIZE
    return {
        "type": NEWS,
        "news": News(conversation, events[-1].sequence, events if few else []),
    }


def pack(message: JsonObject) -> JsonObject:
    """Convert a message of any type for other processes.

    Events become one string, which is serialized best.
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
