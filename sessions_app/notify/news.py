"""News of a conversation: how far its log goes, and its last events, where they are few and small.

Within a process these are the records themselves, which all readers share; between processes goes a
copy of them.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sessions_app.json_types import JsonObject
from sessions_app.storage.records import EventRecord

NEWS = "conversation.news"
# The group, and the message, that say that questions were asked or settled, somewhere.
PROMPTS = "prompts"
PROMPTS_CHANGED = {"type": "prompts.changed"}
# To a conversation's group: something beside its log has changed.
LOOK = {"type": "conversation.look"}

# Events that are more than this are left out: their readers take them from the log, in pages. A
# hundred messages may wait for a socket whose client does not read.
MAX_EVENTS = 20
MAX_SIZE = 4 * 1024


@dataclass(frozen=True, slots=True)
class News:
    """The conversation's log goes up to `sequence`; `events` are the last of it, or none."""

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
    """Pack a message of any type for other processes. The events are one string: that packs
    best.
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
    """Unpack a message that another process has packed."""
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
