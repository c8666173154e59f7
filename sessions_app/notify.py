"""Tells other processes, and other tasks of this one, that something is new.

The only module of the runtime that knows the channel layer. All that it sends is a hint, which may
be lost, late or doubled: that costs its reader a look into the database, and never more. So no
failure of the layer is raised here, and none holds up a caller for long.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured

from sessions_app.event_log import EventRecord
from sessions_app.news import MAX_EVENTS, copy_of

log = structlog.get_logger(__name__)

NEWS = "conversation.news"
TIMEOUT = 1.0  # seconds that a layer may take for one call
# Seconds after which a layer that failed is tried again. Until then, what is sent is dropped.
PAUSE = 1.0

Message = dict[str, Any]

# What a layer says to a channel that was too full for a message.
LOST: Message = {"type": "messages.lost"}


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


class _Health:
    """Whether the layer works, as far as is known; said when it changes."""

    def __init__(self) -> None:
        self._failing = False
        self._next = 0.0

    @property
    def in_pause(self) -> bool:
        """It has just failed."""
        return self._failing and time.monotonic() < self._next

    def failed(self, error: Exception) -> None:
        """A call has failed."""
        if not self._failing:
            log.warning("notify.layer_failed", error=repr(error))
        self._failing = True
        self._next = time.monotonic() + PAUSE

    def works(self) -> None:
        """A call has not failed."""
        if self._failing:
            log.warning("notify.layer_works_again")
        self._failing = False


_health = _Health()


async def send_to_group(group: str, message: Message) -> None:
    """Send to all that listen to the group, in all processes. It may get lost."""
    if _health.in_pause:
        return
    try:
        async with asyncio.timeout(TIMEOUT):
            await channel_layer().group_send(group, message)
    except Exception as error:  # noqa: BLE001 - whatever the layer raises, it was a hint only
        _health.failed(error)
    else:
        _health.works()


class Ear:
    """Hears what is sent to the groups that it has joined, as far as the layer can."""

    def __init__(self) -> None:
        self._layer = channel_layer()
        self._channel: str | None = None
        self._groups: set[str] = set()
        self._joined = asyncio.Event()

    async def join(self, group: str) -> None:
        """Hear what is sent to the group from now on."""
        self._groups.add(group)
        try:
            async with asyncio.timeout(TIMEOUT):
                if self._channel is None:
                    self._channel = await self._layer.new_channel()
                await self._layer.group_add(group, self._channel)
        except Exception as error:  # noqa: BLE001 - whatever the layer raises, it was a hint only
            _health.failed(error)
        self._joined.set()

    async def leave(self, group: str) -> None:
        """Hear it no more."""
        self._groups.discard(group)
        if self._channel is None:
            return
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._layer.group_discard(group, self._channel)
        except Exception as error:  # noqa: BLE001 - whatever it raises: it forgets by itself
            _health.failed(error)

    async def close(self) -> None:
        """Leave all groups."""
        for group in list(self._groups):
            await self.leave(group)

    async def hear(self) -> Message:
        """The next message, whenever it comes."""
        while True:
            await self._joined.wait()
            if self._channel is not None:
                try:
                    message: Message = await self._layer.receive(self._channel)
                except Exception as error:  # noqa: BLE001 - whatever it raises: it is tried again
                    _health.failed(error)
                else:
                    return message
            await asyncio.sleep(PAUSE)
            for group in list(self._groups):
                await self.join(group)


async def listen(group: str, handle: Callable[[Message], None]) -> None:
    """Have `handle` called with each message to the group, until cancelled.

    It runs in the event loop, so it must not block. What it raises is logged.
    """
    ear = Ear()
    try:
        await ear.join(group)
        while True:
            message = await ear.hear()
            if message == LOST:
                log.warning("notify.messages_lost", group=group)
                continue
            try:
                handle(message)
            except Exception:
                log.exception("notify.handler_failed", group=group)
    finally:
        await ear.close()


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
        self._told: list[tuple[str, Message]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._task = self._loop.create_task(self._run(), name="notifier")
        _started.append(self)

    async def stop(self) -> None:
        """End, once what has gathered is sent."""
        self._loop = None
        if self._task is not None:
            _started.remove(self)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._flush()
        with suppress(Exception):  # whatever the layer raises: this is the end
            layer: Any = channel_layer()
            await layer.close()

    def publish(self, events: list[EventRecord]) -> None:
        """Hand over committed events, in the order of commits. From any thread; never raises."""
        if not self._call(self._gather, events) and self._task is not None:
            # The loop has ended, and its sockets with it.
            log.info("notifier.loop_closed", events=len(events))

    def tell(self, group: str, message: Message) -> bool:
        """Hand over a message to a group, from any thread. False if this does not run."""
        return self._call(self._take, group, message)

    def _call(self, function: Callable[..., None], *arguments: Any) -> bool:
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # it is closed
            return False
        return True

    def _gather(self, events: list[EventRecord]) -> None:
        for event in events:
            self._gathered.setdefault(event.conversation, _News()).add(event)
        self._wake.set()

    def _take(self, group: str, message: Message) -> None:
        self._told.append((group, message))
        self._wake.set()

    async def _run(self) -> None:
        while self._loop is not None:  # a layer may swallow the cancellation
            await self._wake.wait()
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        told, self._told = self._told, []
        gathered, self._gathered = self._gathered, {}
        for group, message in told:
            await send_to_group(group, message)
        for conversation, news in gathered.items():
            message = {
                "type": NEWS,
                "conversation": conversation.hex,
                "sequence": news.sequence,
                "copy": copy_of(news.events),
            }
            await send_to_group(group_name(conversation), message)


_started: list[Notifier] = []


def tell(group: str, message: Message) -> None:
    """As `send_to_group`, from a thread without an event loop: a request, or a command's.

    Where the runtime is up, its loop sends, since layers keep connections for each loop.
    """
    if not any(notifier.tell(group, message) for notifier in _started):
        async_to_sync(send_to_group)(group, message)
