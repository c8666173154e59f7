"""The channel layer of one process."""

import asyncio
import math
from typing import Any

from channels.layers import InMemoryChannelLayer

from sessions_app.json_types import JsonObject

# Marker in the last slot of a full channel: at least one message was dropped.
LOST = {"type": "messages.lost"}


class MemoryLayer(InMemoryChannelLayer):
    """An in-memory channel layer whose cost per message does not grow with the number of channels.

    The layer of Channels itself walks over all channels and groups at each message to expire old
    messages, and removes a channel with an expired message from its groups although the socket is
    open. In this layer, messages never expire. The queue of a channel is bounded; when it is full,
    the last slot holds a LOST marker. Messages are not copied, so receivers must not change them.
    """

    is_single_process = True  # there are no other processes to send to

    def _clean_expired(self) -> None:
        """Do nothing: messages never expire."""

    async def group_discard(self, group: str, channel: str) -> None:
        """Leave the group; after the last group, discard unread messages, which never expire."""
        await super().group_discard(group, channel)
        if not any(channel in members for members in self.groups.values()):
            self.channels.pop(channel, None)

    async def group_send(self, group: str, message: JsonObject) -> None:
        """Put the message into each of the group's channels, without a task per channel."""
        self.deliver(group, message)

    def deliver(self, group: str, message: JsonObject) -> None:
        """Deliver a message to a group, for callers that are not coroutines."""
        for channel in self.groups.get(group, {}):
            self.put(channel, message)

    def put(self, channel: str, message: JsonObject) -> None:
        """Put the message into a channel; if only one slot is left, put a LOST marker instead."""
        queue = self._queue(channel)
        room = queue.maxsize - queue.qsize()
        if room:
            queue.put_nowait((math.inf, LOST if room == 1 else message))

    async def receive(self, channel: str) -> JsonObject:
        """Wait for the channel's next message.

        The queue is kept between calls, while the layer of Channels makes a queue per message.
        """
        queue = self._queue(channel)
        try:
            message: JsonObject
            _, message = await queue.get()
        except asyncio.CancelledError:
            if queue.empty():  # otherwise a channel without groups would stay for ever
                self.channels.pop(channel, None)
            raise
        return message

    def _queue(self, channel: str) -> asyncio.Queue[Any]:
        queue: asyncio.Queue[Any] | None = self.channels.get(channel)
        if queue is None:
            queue = self.channels[channel] = asyncio.Queue(self.get_capacity(channel))
        return queue

    async def send_elsewhere(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Do nothing: there are no other processes."""
