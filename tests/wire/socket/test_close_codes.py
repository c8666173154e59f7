"""The codes with which a server closes a socket. 4401 and 4403 are in `identity`, 4408 and that of
a flood in test_server.py.
"""

import asyncio

import pytest

from chat_app.socket.connection import LARGEST
from tests.conftest import NewServer
from tests.support.server import Server
from tests.support.websocket import WsClient


@pytest.mark.daphne_only(reason="uvicorn closes a socket with 1009 at a message of 1 MiB")
async def test_a_message_beyond_all_measure_is_4413(server: Server) -> None:
    async with WsClient(server, "c") as client:
        await client.send("x" * (LARGEST + 1))
        assert await client.closed() == 4413
    async with WsClient(server, "c") as client:
        await client.send(b"x" * (LARGEST + 1))
        assert await client.closed() == 4413


async def test_one_socket_too_many_is_4429_and_told_when_to_come_back(
    new_server: NewServer,
) -> None:
    server = new_server(SOCKETS_PER_USER="2", SOCKETS_PER_ADDRESS="3")
    async with WsClient(server, "c") as first, WsClient(server, "d") as second:
        await served(first)
        await served(second)
        async with WsClient(server, "c") as third:
            await refused(third)  # of the user
        async with WsClient(server, "e", user="ben") as other:
            await served(other)
            async with WsClient(server, "f", user="user0") as fourth:
                await refused(fourth)  # from the address
        await served(first)


async def served(client: WsClient) -> None:
    await client.send({"type": "ping_message"})
    await client.until("pong_message")


async def refused(client: WsClient) -> None:
    assert await client.closed() == 4429
    [error] = client.of_type("error_message")
    assert error["details"]["retry_after"] == 5
    assert error["content"]["message"] == "Too many sockets at once. Try again in 5 s."


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
