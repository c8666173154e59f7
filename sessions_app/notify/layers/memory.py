"""The channel layer of one process."""

import asyncio
import math
from typing import Any

from channels.layers import InMemoryChannelLayer

from sessions_app.json_types import JsonObject

# What a channel that was too full for a message says in its place.
LOST = {"type": "messages.lost"}


class MemoryLayer(InMemoryChannelLayer):
    """Channels' in-memory layer, whose cost per message does not grow with the sockets.

    The original walks over all channels and groups at each message to expire old ones, and a
    channel that has one leaves its groups for good, though its socket lives. Here nothing expires:
    a channel's capacity bounds what waits in it, and the last place is for a message that says so.
    Messages are not copied: nobody may change one.
    """

    alone = True  # there are no other processes

    def _clean_expired(self) -> None:
        """Expire nothing."""

    async def group_discard(self, group: str, channel: str) -> None:
        """Leave the group; with the last one goes what nobody took, as nothing expires it."""
        await super().group_discard(group, channel)
        if not any(channel in members for members in self.groups.values()):
            self.channels.pop(channel, None)

    async def group_send(self, group: str, message: JsonObject) -> None:
        """Put the message into each channel, without a task for each."""
        self.deliver(group, message)

    def deliver(self, group: str, message: JsonObject) -> None:
        """Deliver a message to a group, for callers that are not coroutines."""
        for channel in self.groups.get(group, {}):
            self.put(channel, message)

    def put(self, channel: str, message: JsonObject) -> None:
        """Put the message into a channel, or that it was lost into its last place."""
        queue = self._queue(channel)
        room = queue.maxsize - queue.qsize()
        if room:
            queue.put_nowait((math.inf, LOST if room == 1 else message))

    async def receive(self, channel: str) -> JsonObject:
        """Wait for the channel's next message.

        Its queue stays while this is awaited again and again; the original makes one for each
        message.
        """
        queue = self._queue(channel)
        try:
            message: JsonObject
            _, message = await queue.get()
        except asyncio.CancelledError:
            if queue.empty():  # else a channel that never was in a group would leave one for good
                self.channels.pop(channel, None)
            raise
        return message

    def _queue(self, channel: str) -> asyncio.Queue[Any]:
        queue: asyncio.Queue[Any] | None = self.channels.get(channel)
        if queue is None:
            queue = self.channels[channel] = asyncio.Queue(self.get_capacity(channel))
        return queue

    async def send_elsewhere(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Send messages, each to a group's channels in other processes."""
