"""A proxy whose connections can fall into a hole: nobody but the client hears that they ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from copy import copy

from tests.support.server import HOST, Server

SIZE = 64 * 1024


class HoleProxy:
    """The proxy in front of a server; `server` is the server as seen through it.

    In a hole the server's ends of the connections stay open, and lose all that the server sends.
    """

    def __init__(self, server: Server) -> None:
        self.server = copy(server)
        self.tasks: set[asyncio.Task[None] | None] = set()
        self._upstream = server.port
        self._is_hole = False
        self._clients: set[asyncio.StreamWriter] = set()

    def begin_hole(self) -> None:
        """Drop all data of the open connections from now on, and refuse new ones."""
        self._is_hole = True
        for client in self._clients:
            client.transport.abort()
        self._clients.clear()

    def end_hole(self) -> None:
        """Take new connections again. Those that fell into the hole stay there."""
        self._is_hole = False

    async def serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass data on in both directions, or refuse the connection."""
        self.tasks.add(asyncio.current_task())
        if self._is_hole:
            client.close()
            return
        self._clients.add(client)
        server_reader, server = await asyncio.open_connection(HOST, self._upstream)
        with suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pass_on(reader, server, client))
                directions.create_task(self._pass_on(server_reader, client, client))
        for writer in (server, client):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        """Pass data and the end of the connection on, or lose both in the hole."""
        with suppress(OSError):
            while data := await reader.read(SIZE):
                if client in self._clients:
                    writer.write(data)
        if client in self._clients:
            writer.close()


@asynccontextmanager
async def hole_proxy(server: Server) -> AsyncGenerator[HoleProxy, None]:
    """Yield a proxy in front of the server. The clients must be gone at the end of the block."""
    hole = HoleProxy(server)
    async with await asyncio.start_server(hole.serve, HOST, 0) as listener:
        hole.server.port = listener.sockets[0].getsockname()[1]
        yield hole
        tasks = [task for task in hole.tasks if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
