"""Sending to the groups of the channel layer, and listening to them.

Messages are hints: no failure of the layer is raised here, and none holds up a caller for long.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import structlog

from sessions_app.json_types import JsonObject
from sessions_app.notify.layer import channel_layer
from sessions_app.notify.memory_layer import LOST

log = structlog.get_logger(__name__)

TIMEOUT = 1.0  # seconds that a layer may take for one call
# Seconds after which a layer that failed is tried again. Until then, what is sent is dropped.
PAUSE = 1.0

LayerMessage = JsonObject


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


async def send_to_group(group: str, message: LayerMessage) -> None:
    """Send to all that listen to the group, in all processes. It may get lost."""
    await _hint(partial(channel_layer().group_send, group, message))


async def send_elsewhere(messages: list[tuple[str, LayerMessage]]) -> None:
    """Send messages to groups, to those in other processes."""
    await _hint(partial(channel_layer().send_elsewhere, messages))


async def _hint(send: Callable[[], Awaitable[None]]) -> None:
    if _health.in_pause:
        return
    try:
        async with asyncio.timeout(TIMEOUT):
            await send()
    except Exception as error:  # noqa: BLE001 - whatever the layer raises, it was a hint only
        _health.failed(error)
    else:
        _health.works()


class GroupListener:
    """Receives what is sent to the groups that it has joined, as far as the layer can."""

    def __init__(self) -> None:
        self._layer = channel_layer()
        self._channel: str | None = None
        self._groups: set[str] = set()
        self._joined = asyncio.Event()

    async def join(self, group: str) -> None:
        """Receive what is sent to the group from now on."""
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
        """Receive it no more."""
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

    async def receive(self) -> LayerMessage:
        """The next message, whenever it comes."""
        while True:
            await self._joined.wait()
            if self._channel is not None:
                try:
                    message: LayerMessage = await self._layer.receive(self._channel)
                except Exception as error:  # noqa: BLE001 - whatever it raises: it is tried again
                    _health.failed(error)
                else:
                    return message
            await asyncio.sleep(PAUSE)
            for group in list(self._groups):
                await self.join(group)


async def listen(group: str, handle: Callable[[LayerMessage], None]) -> None:
    """Have `handle` called with each message to the group, until cancelled.

    It runs in the event loop, so it must not block. What it raises is logged.
    """
    listener = GroupListener()
    try:
        await listener.join(group)
        while True:
            message = await listener.receive()
            if message == LOST:
                log.warning("notify.messages_lost", group=group)
                continue
            try:
                handle(message)
            except Exception:
                log.exception("notify.handler_failed", group=group)
    finally:
        await listener.close()
