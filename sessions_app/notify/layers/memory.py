"""The channel layer of one process."""

import asyncio
import math
from typing import Any

from channels.layers import InMemoryChannelLayer

from sessions_app.json_types import JsonObject

# Message that a full channel holds in place of a lost message.
LOST = {"type": "messages.lost"}


class MemoryLayer(InMemoryChannelLayer):
    """Channels' in-memory layer, with a cost per message that does not grow with the channels.

    Channels' layer walks over all channels and groups at each message to expire old messages, and a
    channel with an expired message leaves its groups for good, though its socket lives. Here
    messages never expire. The queue of a channel is bounded; when it is full, the last slot holds a
    LOST marker. Messages are not copied, so no receiver may change one.
    """

    alone = True  # no other processes exist

    def _clean_expired(self) -> None:
        """Expire nothing."""

    async def group_discard(self, group: str, channel: str) -> None:
        """Leave the group; with the last group, discard the unread messages, which never expire."""
        await super().group_discard(group, channel)
        if not any(channel in members for members in self.groups.values()):
            self.channels.pop(channel, None)

    async def group_send(self, group: str, message: JsonObject) -> None:
        """Put the message into each channel, without a task per channel."""
        self.deliver(group, message)

    def deliver(self, group: str, message: JsonObject) -> None:
        """Deliver a message to a group, for callers that are not coroutines."""
        for channel in self.groups.get(group, {}):
            self.put(channel, message)

    def put(self, channel: str, message: JsonObject) -> None:
        """Put the message into a channel, or a LOST marker into the channel's last slot."""
        queue = self._queue(channel)
        room = queue.maxsize - queue.qsize()
        if room:
            queue.put_nowait((math.inf, LOST if room == 1 else message))

    async def receive(self, channel: str) -> JsonObject:
        """Wait for the channel's next message.

        The queue is kept between the calls; Channels' layer makes a queue for each message.
        """
        queue = self._queue(channel)
        try:
            message: JsonObject
            _, message = await queue.get()
        except asyncio.CancelledError:
            if queue.empty():  # else a channel outside of all groups would stay for good
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
