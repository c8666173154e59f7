"""The message about new events in a conversation's log, with the events if few and small.

Readers within a process share the event records; other processes get a copy.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json

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


def pack(message: JsonObject) -> bytes:
    """Convert a message of any type to JSON, for other processes."""
    return to_json(message)


def unpack(text: bytes | str) -> JsonObject:
    """Restore a message that another process has converted with `pack`."""
    message: JsonObject = from_json(text)
    if message["type"] == NEWS:
        news = message["news"]
        events = [_event(*columns) for columns in news["events"]]
        message["news"] = News(UUID(news["conversation"]), news["sequence"], events)
    return message


def _event(conversation: str, run: str, *columns: Any) -> EventRecord:
    *others, created_at, size = columns
    at = datetime.fromisoformat(created_at)
    values = [UUID(conversation), UUID(run), *others, at, size]
    return EventRecord(*values)
