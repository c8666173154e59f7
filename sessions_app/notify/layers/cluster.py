"""The channel layer for many processes: each has a layer in memory, linked over Redis."""

import asyncio
from contextlib import aclosing
from functools import partial
from typing import Any

from sessions_app.json_types import JsonObject
from sessions_app.notify.layers.link import Publisher, RedisLink, Subscriber, new_name
from sessions_app.notify.layers.memory import MemoryLayer
from sessions_app.notify.news import pack, unpack
from sessions_app.settings import redis_prefix

# Callers limit the time of all calls of Redis. A `socket_timeout` would make redis-py use
# `asyncio.wait_for`, which before Python 3.12 sometimes swallows a cancellation.
CONNECTING = 1.0  # seconds for connecting to Redis


class ClusterLayer(MemoryLayer):
    """A layer with groups in this process's memory, which sends over Redis to the other processes.

    Messages within a process are delivered immediately, even without Redis. A message of another
    process is sent to this process once, for any number of sockets. No caller waits for a failing
    Redis: the link is down until Redis works again, and then joins this process's groups again.
    """

    is_single_process = False

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(**options)
        options = {"socket_timeout": None, "socket_connect_timeout": CONNECTING}
        self._new_publisher = partial(Publisher, url, redis_prefix(), **options)
        self._new_subscriber = partial(Subscriber, url, redis_prefix(), **options)
        self._link: RedisLink | None = None

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Make a channel of this process; the first channel opens the link to Redis."""
        if self._usable_link() is None:
            connections = (self._new_subscriber(), self._new_publisher())
            self._link = RedisLink(*connections, self.groups, self._hear)
        return await super().new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group; for the group's first channel, the link to Redis joins, too."""
        is_known = group in self.groups
        await super().group_add(group, channel)
        link = self._usable_link()
        if link is not None and not is_known:
            await link.join(group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group; after its last channel, the link to Redis leaves, too."""
        is_known = group in self.groups
        await super().group_discard(group, channel)
        link = self._usable_link()
        if link is not None and is_known and group not in self.groups:
            await link.leave(group)

    async def group_send(self, group: str, message: JsonObject) -> None:
        """Send to the group's channels, in this and in other processes.

        Raises:
            redis.RedisError: the message was lost. Raised only if no channel was made in this event
                loop; otherwise the link logs failures of Redis.
        """
        if self._usable_link() is not None:
            self.deliver(group, message)
        await self.send_elsewhere([(group, message)])

    async def send_elsewhere(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Send messages to the groups' members in other processes."""
        texts = [(group, pack(message)) for group, message in messages]
        link = self._usable_link()
        if link is not None:
            await link.send(texts)
            return
        async with aclosing(self._new_publisher()) as publisher:
            await publisher.open()
            await publisher.publish(new_name(), texts)

    def _hear(self, group: str, text: bytes) -> None:
        self.deliver(group, unpack(text))

    async def close(self) -> None:
        """Close the link to Redis. The next new channel opens another link."""
        link, self._link = self._usable_link(), None
        if link is not None:
            await link.close()

    def _usable_link(self) -> RedisLink | None:
        """Return the link if it was made in the running event loop; other loops cannot use it."""
        if self._link is not None and self._link.loop is asyncio.get_running_loop():
            return self._link
        return None
