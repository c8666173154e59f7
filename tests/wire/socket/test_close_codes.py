"""The codes with which a server closes a socket. 4401, 4403 and 4429 are in `identity`, 4408 in
test_slow_readers.py.
"""

import asyncio
import socket

import pytest

from chat_app.socket.connection import MAX_FRAME_LENGTH
from tests.support.server import HOST, Server
from tests.support.websocket import WsClient

HANDSHAKE = (
    f"GET /websocket HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
# Frames of a client whose mask is all zero.
PING = bytes([0x81, 0x80 | 23, 0, 0, 0, 0]) + b'{"type":"ping_message"}'
CLOSE = bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2)


@pytest.mark.daphne_only(reason="uvicorn closes a socket with 1009 at a message of 1 MiB")
async def test_a_message_beyond_all_measure_is_4413(server: Server) -> None:
    async with WsClient(server, "c") as client:
        await client.send("x" * (MAX_FRAME_LENGTH + 1))
        assert await client.until_closed() == 4413
    async with WsClient(server, "c") as client:
        await client.send(b"x" * (MAX_FRAME_LENGTH + 1))
        assert await client.until_closed() == 4413


def hears_of_it(client: socket.socket, code: int) -> None:
    """Read the code, and be slow to answer: hung up on, a client could be reset before it reads."""
    received_bytes = b""
    while bytes([0x88, 2]) + code.to_bytes(2) not in received_bytes:
        received_bytes += client.recv(4096)
    client.settimeout(1.5)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.sendall(CLOSE)


def connect(server: Server) -> socket.socket:
    client = socket.create_connection((HOST, server.port), timeout=20)
    client.sendall(HANDSHAKE)
    assert b" 101 " in client.recv(4096)
    return client


@pytest.mark.slow
@pytest.mark.daphne_only(reason="uvicorn waits for 10 s")
async def test_a_client_has_time_to_read_why_it_is_closed(server: Server) -> None:
    with connect(server) as client:
        client.sendall(PING)  # who has not signed in may not
        await asyncio.to_thread(hears_of_it, client, 4401)


@pytest.mark.slow
@pytest.mark.daphne_only(reason="uvicorn closes its connections before it tells the application")
async def test_a_client_has_time_to_read_that_the_server_stops(server: Server) -> None:
    with connect(server) as client:
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        await asyncio.to_thread(hears_of_it, client, 1012)
        await stopping


@pytest.mark.slow
async def test_a_server_that_stops_says_1012_and_clients_come_back(server: Server) -> None:
    async with (
        WsClient(server, "c", workflow="probe") as busy,
        WsClient(server, "d") as idle,
        WsClient(server, "e", user=None) as nobody,
    ):
        await busy.message("stream(tokens=100, delay=0.02)")
        await busy.until("system_response_message")
        await asyncio.to_thread(server.stop)
        assert [await each.until_closed() for each in (busy, idle, nobody)] == [1012] * 3
        head = busy.text()
        await asyncio.to_thread(server.start)
        last = max(frame["sequence"] for frame in busy.frames if "sequence" in frame)
        async with WsClient(server, "c", last_sequence=last) as back:
            await back.until_ended("completed")
            assert head + back.text() == "".join(f"t{number} " for number in range(100))
