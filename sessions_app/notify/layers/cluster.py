"""The channel layer of many processes: that of one process, and a link to the others."""

import asyncio
from functools import partial
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer  # type: ignore[import-untyped] # it has none
from redis.asyncio.connection import parse_url

from sessions_app.json_types import JsonObject
from sessions_app.notify.layers.link import Publisher, RedisLink, seal
from sessions_app.notify.layers.memory import MemoryLayer
from sessions_app.notify.news import pack, unpack

# All calls have a time limit where they are made. A `socket_timeout` on top would have redis-py use
# `asyncio.wait_for`, which now and then swallows a cancellation (before Python 3.12).
CONNECTING = 1.0  # seconds


class ClusterLayer(MemoryLayer):
    """Groups live in this process's memory; what is sent goes over Redis to the other processes.

    So what a process tells itself arrives at once, whatever Redis does, and each message comes here
    once, however many sockets wait for it. Nobody waits for a Redis that fails: its link is down
    until Redis works again, and then has this process's groups joined once more.
    """

    alone = False

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(**options)
        # Redis keeps no subscriptions apart by database, as it does keys.
        prefix = f"chat{parse_url(url).get('db', 0)}."
        options = {"socket_timeout": None, "socket_connect_timeout": CONNECTING}
        self._remote = RedisPubSubChannelLayer(hosts=[{"address": url, **options}], prefix=prefix)
        self._new_publisher = partial(Publisher, url, prefix, self._remote.serialize, **options)
        self._link: RedisLink | None = None

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Make a channel of this process; the first one opens the link to Redis."""
        if self._usable_link() is None:
            self._link = RedisLink(self._remote, self._new_publisher(), self.groups, self._hear)
        return await super().new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        """Have the channel in the group; the first one has the link join."""
        is_known = group in self.groups
        await super().group_add(group, channel)
        link = self._usable_link()
        if link is not None and not is_known:
            await link.join(group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take the channel out; the last one has the link leave."""
        is_known = group in self.groups
        await super().group_discard(group, channel)
        link = self._usable_link()
        if link is not None and is_known and group not in self.groups:
            await link.leave(group)

    async def group_send(self, group: str, message: JsonObject) -> None:
        """Send to the group's channels, here and elsewhere.

        Raises:
            redis.RedisError: it went nowhere. Only where nothing in this event loop listens;
                otherwise the link looks after Redis, and logs what becomes of it.
        """
        if self._usable_link() is not None:
            self.deliver(group, message)
        await self.send_elsewhere([(group, message)])

    async def send_elsewhere(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Send messages to the groups' members in other processes."""
        link = self._usable_link()
        if link is not None:
            await link.send([(group, pack(message)) for group, message in messages])
            return
        for group, message in messages:
            await self._remote.group_send(group, seal("", group, pack(message)))

    def _hear(self, group: str, message: JsonObject) -> None:
        self.deliver(group, unpack(message))

    async def close(self) -> None:
        """Close the link to Redis. A new channel begins another."""
        link, self._link = self._usable_link(), None
        if link is not None:
            await link.close()

    def _usable_link(self) -> RedisLink | None:
        """Return the link if it belongs to the running loop: others cannot use it, nor touch the
        channels.
        """
        if self._link is not None and self._link.loop is asyncio.get_running_loop():
            return self._link
        return None
