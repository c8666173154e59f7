"""A proxy that delays all data, as over a long distance."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from copy import copy

from tests.support.server import HOST, Server

SIZE = 64 * 1024


@asynccontextmanager
async def slow_proxy(server: Server, delay: float) -> AsyncGenerator[Server, None]:
    """Yield the server as seen through a proxy that passes all data on `delay` seconds later.

    The clients must be disconnected before the end of the block.
    """
    connections = set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        server_reader, server_writer = await asyncio.open_connection(HOST, server.port)
        async with asyncio.TaskGroup() as directions:
            directions.create_task(_pass_on(reader, server_writer, delay))
            directions.create_task(_pass_on(server_reader, writer, delay))

    async with await asyncio.start_server(serve, HOST, 0) as proxy:
        proxied = copy(server)
        proxied.port = proxy.sockets[0].getsockname()[1]
        yield proxied
        await asyncio.gather(*(task for task in connections if task))


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """Pass data on, and finally the end of the connection."""
    with suppress(OSError):
        while data := await reader.read(SIZE):
            asyncio.get_running_loop().call_later(delay, writer.write, data)
        await asyncio.sleep(delay)
        writer.close()
        await writer.wait_closed()
