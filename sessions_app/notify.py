"""Tells the readers of a conversation that it has news.

The only module of the runtime that knows the channel layer. News is a hint with a copy of the
events; it may be lost, late or doubled: that costs its readers a look at the log, never an event.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured

from sessions_app.event_log import EventRecord

log = structlog.get_logger(__name__)

NEWS = "conversation.news"
# A copy larger than this is left out: its readers take the events from the log, in pages.
MAX_EVENTS = 20
MAX_SIZE = 16 * 1024
TIMEOUT = 1.0  # seconds that a layer may take for one message


def channel_layer() -> BaseChannelLayer:
    """The configured layer.

    Raises:
        ImproperlyConfigured: there is none.
    """
    layer = get_channel_layer()
    if layer is None:
        raise ImproperlyConfigured("CHANNEL_LAYERS has no default layer.")
    return layer


def group_name(conversation: UUID) -> str:
    """The group of the conversation's readers."""
    return f"conversation.{conversation.hex}"


@dataclass(slots=True)
class _News:
    """What has gathered for one conversation. `events` is None once they are too many to copy."""

    sequence: int = 0
    events: list[EventRecord] | None = field(default_factory=list)

    def add(self, event: EventRecord) -> None:
        self.sequence = event.sequence
        if self.events is not None:
            self.events.append(event)
            if len(self.events) > MAX_EVENTS:
                self.events = None


class Notifier:
    """Takes committed events from the writer's thread and sends news of them in its own task.

    What is committed while a message is on its way is merged into the next one.
    """

    def __init__(self) -> None:
        self._gathered: dict[UUID, _News] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    async def start(self) -> None:
        """Begin, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._task = self._loop.create_task(self._run(), name="notifier")

    async def stop(self) -> None:
        """End, once what has gathered is sent."""
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._flush()

    def publish(self, events: list[EventRecord]) -> None:
        """Hand over committed events, in the order of commits. From any thread; never raises."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._gather, events)
        except RuntimeError:  # the loop has ended, and its sockets with it
            log.info("notifier.loop_closed", events=len(events))

    def _gather(self, events: list[EventRecord]) -> None:
        for event in events:
            self._gathered.setdefault(event.conversation, _News()).add(event)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for conversation, news in gathered.items():
            await self._send(conversation, news)

    async def _send(self, conversation: UUID, news: _News) -> None:
        message = {
            "type": NEWS,
            "conversation": conversation.hex,
            "sequence": news.sequence,
            "copy": _copy(news.events),
        }
        try:
            async with asyncio.timeout(TIMEOUT):
                await channel_layer().group_send(group_name(conversation), message)
        except Exception as error:  # noqa: BLE001 - whatever the layer raises, readers have the log
            if not self._failing:
                log.warning("notifier.layer_failed", error=repr(error))
            self._failing = True
        else:
            if self._failing:
                log.info("notifier.layer_works_again")
            self._failing = False


def _copy(events: list[EventRecord] | None) -> str | None:
    """The events as one string: layers copy or pack every message, and a string is cheapest."""
    if events is None:
        return None
    text = json.dumps([_pack(event) for event in events])
    return text if len(text) <= MAX_SIZE else None


def _pack(event: EventRecord) -> list[Any]:
    return [
        event.run.hex,
        event.message_id,
        event.schema_type,
        event.first_sequence,
        event.sequence,
        event.type,
        event.payload,
        event.created_at.isoformat(),
    ]


def read_copy(conversation: UUID, copy: str) -> list[EventRecord]:
    """The events of a news message's copy."""
    return [_unpack(conversation, *packed) for packed in json.loads(copy)]


def _unpack(conversation: UUID, run: str, *fields: Any) -> EventRecord:
    *rest, created_at = fields
    values = [conversation, UUID(hex=run), *rest, datetime.fromisoformat(created_at)]
    return EventRecord(*values)
