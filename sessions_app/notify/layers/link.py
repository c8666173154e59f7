"""The link of one process to the others, over Redis.

Redis carries texts between groups; each begins with the name of the process that sent it. Every
second the process sends a pulse (an empty text) to itself. If pulses do not come back, or anything
else fails, the link discards its connections and joins all groups again. Meanwhile no caller waits
for Redis.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from uuid import uuid4

from hiredis import pack_command
from redis.asyncio.connection import ConnectionPool

from sessions_app.logs import Log

log = Log(__name__)

PULSE = 1.0  # seconds between two pulses (test messages of the process to itself)
MISSED = 3  # number of unreturned pulses after which the link counts as dead
RECONNECT_PAUSE = 1.0  # seconds before the next attempt to open the link
TIMEOUT = 0.8  # Timeout of a call to Redis in seconds; shorter than the timeouts of callers.
CLOSING = 5.0  # Seconds for closing a connection; generous, as the process may be frozen then.
STALL_SECONDS = 0.2  # seconds of delay after which a timeout means that this process was frozen
OPENING = 10.0  # timeout in seconds for joining all groups
NAME_LENGTH = 32  # characters of a sender's name, in front of each text


def new_name() -> str:
    """Return a name for a sender of texts."""
    return uuid4().hex


class _Connection:
    """A connection to Redis. Its groups are Pub/Sub channels that begin with `prefix`."""

    def __init__(self, url: str, prefix: str, **options: object) -> None:
        pool = ConnectionPool.from_url(url, **options)
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call] # no types
        self._prefix = f"{prefix}__group__"

    async def open(self) -> None:
        """Connect.

        Raises:
            redis.RedisError: Redis is unreachable.
        """
        await self._connection.connect()

    async def aclose(self) -> None:
        """Close the connection, once all is sent."""
        await self._connection.disconnect()

    async def _send(self, *commands: tuple[str, str] | tuple[str, str, bytes]) -> None:
        """Send commands to groups, in one write; waits only if too much data is unsent."""
        packed = [
            pack_command((name, self._prefix + group, *data))  # type: ignore[arg-type] # its stub has a tuple of one
            for name, group, *data in commands
        ]
        await self._connection.send_packed_command(b"".join(packed), check_health=False)


class Subscriber(_Connection):
    """A connection that receives the messages to the groups that it has joined."""

    async def join(self, group: str) -> None:
        """Join a group; Redis confirms it in `receive`.

        Raises:
            redis.RedisError: the connection has ended.
        """
        await self._send(("SUBSCRIBE", group))

    async def leave(self, group: str) -> None:
        """Leave a group.

        Raises:
            redis.RedisError: the connection has ended.
        """
        await self._send(("UNSUBSCRIBE", group))

    async def receive(self) -> tuple[str, str, bytes]:
        """Wait for a message; return its sender, group and text.

        Raises:
            redis.RedisError: the connection has ended.
        """
        while True:
            kind, channel, data = await self._connection.read_response()
            if kind == b"message":
                group = channel.decode().removeprefix(self._prefix)
                return data[:NAME_LENGTH].decode(), group, data[NAME_LENGTH:]


class Publisher(_Connection):
    """A connection that sends messages to groups.

    Redis sends no replies to it: they would only say the number of listeners. Returning pulses show
    that the connection works.
    """

    async def open(self) -> None:
        """Connect, and switch off Redis's replies.

        Raises:
            redis.RedisError: Redis is unreachable, or does not let this client switch replies off.
        """
        await super().open()
        await self._connection.send_command("CLIENT", "REPLY", "ON")  # only this call gets a reply
        await self._connection.read_response()
        await self._connection.send_command("CLIENT", "REPLY", "OFF")

    async def wait_until_closed(self) -> None:
        """Wait until the connection ends.

        Raises:
            redis.RedisError: the connection has ended.
        """
        await self._connection.read_response()

    async def publish(self, sender: str, texts: list[tuple[str, bytes]]) -> None:
        """Send texts, each to a group. The call waits only if too much data is unsent.

        Raises:
            redis.RedisError: the connection has ended.
        """
        name = sender.encode()
        await self._send(*(("PUBLISH", group, name + text) for group, text in texts))


class RedisLink:
    """A link that carries messages between the groups of this process and of other processes.

    `groups` is a live collection of the groups of this process, which are joined whenever the link
    comes up.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        publisher: Publisher,
        groups: Collection[str],
        deliver: Callable[[str, bytes], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.up = False
        self._subscriber = subscriber
        self._publisher = publisher
        self._groups = groups
        self._deliver = deliver
        self._name = new_name()
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
        await self._carry(lambda: self._subscriber.join(group))

    async def leave(self, group: str) -> None:
        """Stop listening to the group."""
        await self._carry(lambda: self._subscriber.leave(group))

    async def send(self, texts: list[tuple[str, bytes]]) -> None:
        """Send texts, each to a group's members in other processes; drop them without a link."""
        await self._carry(lambda: self._publisher.publish(self._name, texts))

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
            await self._publisher.open()
            await self._subscriber.open()
            await self._subscriber.join(self._name)
            joined: set[str] = set()
            while changed := joined ^ set(self._groups):  # repeat: groups change meanwhile
                for group in changed:
                    is_left = group in joined
                    await (self._subscriber.leave if is_left else self._subscriber.join)(group)
                joined ^= changed
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
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE):
                    await self._lost.wait()
        for task in self._watched:
            if task.done():
                task.result()

    async def _close_connections(self) -> None:
        """Close the connections, and end the tasks that read from them."""
        self.up = False
        for close in (self._publisher.aclose, self._subscriber.aclose):
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
        await self.send([(self._name, b"")])

    async def _receive(self) -> None:
        while True:
            sender, group, text = await self._subscriber.receive()
            self._pulses = 0
            if sender != self._name:  # skip own messages, delivered when sent
                self._deliver(group, text)
                await asyncio.sleep(0)  # let listeners read, so that no channel overflows
