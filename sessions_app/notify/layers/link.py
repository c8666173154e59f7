"""The link of one process to the others, over Redis.

The link listens through the Pub/Sub layer of channels-redis, in one task and with one channel for
the process, and publishes messages for such layers. Every second the process sends a pulse (a test
message) to itself. If pulses do not come back, or anything else fails, the link discards its
connections and joins all groups again. Meanwhile no caller waits for Redis.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from uuid import uuid4

from channels.layers import BaseChannelLayer
from redis.asyncio.connection import ConnectionPool

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log

log = Log(__name__)
# Silence channels_redis, which logs a traceback for each second without Redis. The link itself logs
# one warning.
logging.getLogger("channels_redis").setLevel(logging.CRITICAL)

PULSE = 1.0  # seconds between two pulses (test messages of the process to itself)
MISSED = 3  # number of unreturned pulses after which the link counts as dead
RECONNECT_PAUSE = 1.0  # seconds before the next attempt to open the link
TIMEOUT = 0.8  # Timeout of a call to Redis in seconds; shorter than the timeouts of callers.
CLOSING = 5.0  # Seconds for closing a connection; generous, as the process may be frozen then.
STALL_SECONDS = 0.2  # seconds of delay after which a timeout means that this process was frozen
OPENING = 10.0  # timeout in seconds for joining all groups


class Publisher:
    """A publisher of messages to the groups of channels-redis layers in all processes.

    Messages sent together take one write, and Redis sends no replies. The layer of channels-redis
    would take a connection from a pool, and read a reply for each message, which only has the
    number of listeners. Returning pulses show that the connection works.
    """

    def __init__(
        self, url: str, prefix: str, serialize: Callable[[JsonObject], bytes], **options: object
    ) -> None:
        """Take the layer's `prefix` and `serialize`, and `options` of the connection to Redis."""
        self._prefix = prefix
        self._serialize = serialize
        pool = ConnectionPool.from_url(url, **options)
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call] # no types

    async def open(self) -> None:
        """Connect, and switch off Redis's replies.

        Raises:
            redis.RedisError: Redis is unreachable, or does not let this client switch replies off.
        """
        await self._connection.connect()
        await self._connection.send_command("CLIENT", "REPLY", "ON")  # only this call gets a reply
        await self._connection.read_response()
        await self._connection.send_command("CLIENT", "REPLY", "OFF")

    async def wait_until_closed(self) -> None:
        """Wait until the connection ends.

        Raises:
            redis.RedisError: the connection has ended.
        """
        await self._connection.read_response()

    async def publish(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Send messages, each to a group. The call waits only if too much data is unsent.

        Raises:
            redis.RedisError: the connection has ended.
        """
        commands = [
            # The group's channel in Redis, as named by `RedisPubSubLoopLayer` of channels-redis.
            ("PUBLISH", f"{self._prefix}__group__{group}", self._serialize(message))
            for group, message in messages
        ]
        packed_commands = self._connection.pack_commands(commands)
        await self._connection.send_packed_command(packed_commands, check_health=False)

    async def close(self) -> None:
        """Close the connection, once the published messages are sent."""
        await self._connection.disconnect()


class RedisLink:
    """A link that carries messages between the groups of this process and of other processes.

    `groups` is a live collection of the groups of this process, which are joined whenever the link
    comes up.
    """

    def __init__(
        self,
        remote: BaseChannelLayer,
        publisher: Publisher,
        groups: Collection[str],
        deliver: Callable[[str, JsonObject], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.up = False
        self._remote = remote
        self._publisher = publisher
        self._groups = groups
        self._deliver = deliver
        self._name = uuid4().hex
        self._channel = ""
        # The groups that the link has joined in Redis.
        self._joined: set[str] = set()
        self._pulses = 0
        self._tried = asyncio.Event()
        self._lost = asyncio.Event()
        self._failing = False
        self._closed = False
        self._watched: list[asyncio.Task[None]] = []
        self._task = self.loop.create_task(self._run(), name="redis link")

    async def close(self) -> None:
        """Close the link."""
        self._closed = True
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._close_connections()

    async def join(self, group: str) -> None:
        """Listen to the group; later, if the link is down or the call is interrupted."""
        await self._carry(lambda: self._add(group))

    async def leave(self, group: str) -> None:
        """Stop listening to the group."""
        await self._carry(lambda: self._discard(group))

    async def send(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Send messages, each to a group's members in other processes; drop them without a link."""
        envelopes = [(group, seal(self._name, group, message)) for group, message in messages]
        await self._carry(lambda: self._publisher.publish(envelopes))

    async def _carry(self, call: Callable[[], Awaitable[None]]) -> None:
        if self._tried.is_set() and not self.up:
            return
        deadline = self.loop.time() + TIMEOUT
        try:
            async with asyncio.timeout_at(deadline):
                await self._tried.wait()  # until the first attempt to open the link is over
                if self.up:
                    await call()
        except TimeoutError as error:
            # A much later timeout means that this process itself was frozen.
            if self.loop.time() < deadline + STALL_SECONDS:
                self._mark_down(error)
        except Exception as error:  # noqa: BLE001 - any error means a lost link
            self._mark_down(error)

    async def _add(self, group: str) -> None:
        await self._remote.group_add(group, self._channel)
        self._joined.add(group)

    async def _discard(self, group: str) -> None:
        # Add the channel first, because after an interrupted discard a second discard does nothing.
        await self._remote.group_add(group, self._channel)
        await self._remote.group_discard(group, self._channel)
        self._joined.discard(group)

    async def _run(self) -> None:
        while not self._closed:
            try:
                await self._open()
                await self._watch()
            except Exception as error:  # noqa: BLE001 - the link is opened again
                self._mark_down(error)
            finally:  # close the link even if the event loop ends without `close`
                await self._close_connections()
            await asyncio.sleep(RECONNECT_PAUSE)

    async def _open(self) -> None:
        """Open the link: join all groups, over new connections."""
        async with asyncio.timeout(OPENING):
            self._channel = await self._remote.new_channel()
            await self._remote.group_add(self._name, self._channel)
            self._joined = set()
            while missing := set(self._groups) - self._joined:  # repeat: other tasks may add groups
                for group in missing:
                    await self._add(group)
            await self._publisher.open()
        self._pulses = 0
        self._lost.clear()
        self.up = True
        self._tried.set()
        if self._failing:
            log.warning("redis.works_again")
        self._failing = False

    def _mark_down(self, error: Exception) -> None:
        self.up = False
        self._lost.set()
        self._tried.set()
        if not self._failing:
            log.warning("redis.failed", error=f"{type(error).__name__}: {error}")
        self._failing = True

    async def _watch(self) -> None:
        """Listen until the link is lost."""
        coroutines = {"hears": self._receive(), "sends": self._publisher.wait_until_closed()}
        for name, work in coroutines.items():
            task = self.loop.create_task(work, name=f"redis link {name}")
            task.add_done_callback(lambda _: self._lost.set())
            self._watched.append(task)
        while not self._lost.is_set():
            await self._pulse()
            await self._finish_interrupted()
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE):
                    await self._lost.wait()
        for task in self._watched:
            if task.done():
                task.result()

    async def _close_connections(self) -> None:
        """Close the connections, and only then cancel the tasks.

        If the tasks were cancelled first, an abandoned channel would use the connections again.
        """
        self.up = False
        for close in (self._publisher.close, self._remote.flush):
            with suppress(Exception):  # ignore any error of Redis: the connections are discarded
                async with asyncio.timeout(CLOSING):
                    await close()
        tasks, self._watched = self._watched, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pulse(self) -> None:
        """Send a pulse to this process, or raise TimeoutError if several have not come back.

        Pulses are counted instead of measuring time, because a process that was frozen for a while
        would measure too much, but misses no pulse.
        """
        if self._pulses >= MISSED:
            raise TimeoutError("Redis accepts messages, and returns none")
        self._pulses += 1
        await self.send([(self._name, {})])

    async def _finish_interrupted(self) -> None:
        """Finish interrupted joins and leaves of groups.

        A call is interrupted, for example, if its timeout has passed while this process was frozen.
        """
        for group in set(self._groups) ^ self._joined:
            if group in self._groups:  # look again: other tasks may have joined or left
                await self.join(group)
            else:
                await self.leave(group)

    async def _receive(self) -> None:
        while True:
            envelope = await self._remote.receive(self._channel)
            self._pulses = 0
            if envelope["from"] != self._name:  # skip own messages, delivered when sent
                self._deliver(envelope["group"], envelope["message"])
                await asyncio.sleep(0)  # let listeners read, so that no channel overflows


def seal(sender: str, group: str, message: JsonObject) -> JsonObject:
    """Add sender and group to a message, as a process receives all groups in a single channel."""
    return {"from": sender, "group": group, "message": message}
