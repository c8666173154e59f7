"""The codes with which a server closes a socket. 4401 and 4403 are in `identity`, 4408 and 4429 in
test_server.py.
"""

import asyncio

from chat_app.socket.connection import LARGEST
from tests.support.server import Server
from tests.support.websocket import WsClient


async def test_a_message_beyond_all_measure_is_4413(server: Server) -> None:
    async with WsClient(server, "c") as client:
        await client.send("x" * (LARGEST + 1))
        assert await client.closed() == 4413
    async with WsClient(server, "c") as client:
        await client.send(b"x" * (LARGEST + 1))
        assert await client.closed() == 4413


async def test_a_server_that_stops_says_1012_and_clients_come_back(server: Server) -> None:
    async with (
        WsClient(server, "c", workflow="probe") as busy,
        WsClient(server, "d") as idle,
        WsClient(server, "e", user=None) as nobody,
    ):
        await busy.message("slowstream 100 20")
        await busy.until("system_response_message")
        await asyncio.to_thread(server.stop)
        assert [await each.closed() for each in (busy, idle, nobody)] == [1012] * 3
        head = busy.text()
        await asyncio.to_thread(server.start)
        async with WsClient(server, "c") as back:
            await back.until(lambda frame: frame["content"].get("status") == "completed")
            assert head + back.text() == "".join(f"t{number} " for number in range(100))
