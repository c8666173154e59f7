"""The publisher of a process's messages to Redis, by a connection that has nothing to hear."""

from collections.abc import Callable

from redis.asyncio.connection import ConnectionPool

from sessions_app.json_types import JsonObject


class Publisher:
    """Sends what the groups of a layer of channels-redis receive, of other processes as well: one
    write for all that is sent together, and no answer to wait for.

    The layer itself takes a connection from a pool and reads an answer for each message, which only
    says how many have heard it. Whether all is well is to be seen by what is heard.
    """

    def __init__(
        self, url: str, prefix: str, serialize: Callable[[JsonObject], bytes], **options: object
    ) -> None:
        """`prefix` and `serialize` are the layer's, `options` those of the connection."""
        self._prefix = prefix
        self._serialize = serialize
        pool = ConnectionPool.from_url(url, **options)
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call] # it has none

    async def open(self) -> None:
        """Connect, and switch off Redis's answers.

        Raises:
            redis.RedisError: Redis is not there, or does not let this client have no answers.
        """
        await self._connection.connect()
        await self._connection.send_command("CLIENT", "REPLY", "ON")  # it answers to this one
        await self._connection.read_response()
        await self._connection.send_command("CLIENT", "REPLY", "OFF")

    async def wait_until_closed(self) -> None:
        """Wait until the connection ends.

        Raises:
            redis.RedisError: it has.
        """
        await self._connection.read_response()

    async def publish(self, messages: list[tuple[str, JsonObject]]) -> None:
        """Send messages, each to a group. It waits only where too much is unsent.

        Raises:
            redis.RedisError: the connection has ended.
        """
        commands = [
            # As `RedisPubSubLoopLayer` names the channel of a group.
            ("PUBLISH", f"{self._prefix}__group__{group}", self._serialize(message))
            for group, message in messages
        ]
        packed_commands = self._connection.pack_commands(commands)
        await self._connection.send_packed_command(packed_commands, check_health=False)

    async def close(self) -> None:
        """Close the connection, once what was published is sent."""
        await self._connection.disconnect()
