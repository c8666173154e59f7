"""The wire over a real server."""

import asyncio
import json
import re
import socket
import struct
import time
from contextlib import AsyncExitStack, ExitStack, suppress
from statistics import median

import psutil
import pytest
from websockets.exceptions import InvalidHandshake

from chat_app.wire.parsing import MAX_FRAME, MOST_VALUES
from tests.conftest import NewServer
from tests.support.polling import until
from tests.support.server import Server
from tests.support.websocket import WsClient, upgrade
from tests.wire.slow_readers import fill_log, memory, until_full

# The frame that closes the socket of who sends too much; a reason may follow.
CUT_OFF = re.compile(rb"\x88." + (4429).to_bytes(2), re.DOTALL)
COMPLETED = "SELECT 1 FROM sessions_app_run WHERE status = 'completed'"
BIG = "/websocket?extended=true&conversation_id=big&last_sequence=0"


@pytest.mark.slow
async def test_a_flood_does_not_disturb_the_neighbours(server: Server) -> None:
    async with WsClient(server, "c", workflow="probe") as neighbour:
        calm = max(await echo_times(neighbour))
        flooding = asyncio.create_task(flood(server))
        disturbed = max(await echo_times(neighbour))
        assert CUT_OFF.search(await flooding)
        assert disturbed < 10 + 10 * calm  # as the machine may stand still by itself


@pytest.mark.slow
@pytest.mark.parametrize("count", [MOST_VALUES // 2 - 20, 60_000], ids=["most", "too many"])
async def test_large_frames_of_one_user_delay_nobody_else(server: Server, count: int) -> None:
    padding = "x" * (470_000 // count - 8)
    answer = {"type": "user_interaction_message", "id": "a", "data": {"a": [{"": padding}] * count}}
    frame = json.dumps(answer, separators=(",", ":"))
    async with WsClient(server, "c", user="ben", workflow="probe") as neighbour:
        calm = median(await echo_times(neighbour))
        async with AsyncExitStack() as sockets:
            clients = [
                await sockets.enter_async_context(WsClient(server, "large")) for _ in range(5)
            ]
            handled = asyncio.Semaphore(0)
            sending = [asyncio.create_task(send_on(client, frame, handled)) for client in clients]
            for _ in sending:
                await handled.acquire()
            disturbed = median(await echo_times(neighbour))
            for task in sending:
                task.cancel()
        assert disturbed < 0.5 + 5 * calm


async def send_on(client: WsClient, frame: str, handled: asyncio.Semaphore) -> None:
    """Send the answer "a" again as soon as it is handled, until cancelled."""
    while True:
        await client.send(frame)
        await client.until(lambda reply: reply.get("for") == "a", timeout=60)
        handled.release()


async def echo_times(client: WsClient) -> list[float]:
    times = []
    for number in range(20):
        start = time.monotonic()
        await client.message(f'echo("{number}")')
        await client.until_ended("completed")
        times.append(time.monotonic() - start)
    return times


async def flood(server: Server) -> bytes:
    """Send pings as `ben` until the server ends it; return what it said last.

    In threads: the close frame is behind thousands of pongs and has to be read within a second, and
    an asyncio stream forgets what it has yet to read once a write fails.
    """
    with upgrade(server, "/websocket", user="ben") as stream:
        await asyncio.to_thread(stream.recv, 1024)  # the handshake
        pouring = asyncio.create_task(asyncio.to_thread(pour, stream))
        last = await asyncio.to_thread(read_to_the_end, stream)
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)
        await pouring
        return last


def read_to_the_end(stream: socket.socket) -> bytes:
    last = b""
    with suppress(ConnectionError):
        while not CUT_OFF.search(last) and (read := stream.recv(2**20)):
            last = (last + read)[-100:]
    return last


def pour(stream: socket.socket) -> None:
    ping = b'{"type":"ping_message"}'
    frame = bytes([0x81, 0x80 | len(ping), *bytes(4)]) + ping
    with suppress(OSError):
        while True:
            stream.sendall(frame * 100)


@pytest.mark.slow
async def test_output_of_any_size_arrives(server: Server) -> None:
    text = "".join(f"{number:<1000}" for number in range(12_000))
    async with WsClient(server, "c", workflow="probe") as client:
        await client.message(f"say_at_once(characters={len(text)})")
    await asyncio.to_thread(until, lambda: server.rows(COMPLETED))
    async with WsClient(server, "c", last_sequence=0) as client:
        await client.until_ended("completed")
        assert client.text() == text


@pytest.mark.slow
async def test_what_a_socket_sent_before_does_not_count_against_a_message(server: Server) -> None:
    async with WsClient(server, "c", workflow="probe") as client:
        for number in range(MAX_FRAME // 30_000 + 1):  # together they are larger than one may be
            await client.message(f'echo("{number}")' + " " * 30_000)
            await client.until_ended("completed")


@pytest.mark.slow
def test_readers_that_stop_cost_little_and_go_on_where_they_were(server: Server) -> None:
    last = fill_log(server, events=120, size=64 * 1024)
    before = memory(server)
    with ExitStack() as stack:
        readers = [
            stack.enter_context(upgrade(server, BIG, on_the_way=64 * 1024)) for _ in range(60)
        ]
        until_full(readers)
        assert memory(server) - before < 40 * 1024
        assert sequences(readers[7], last) == list(range(1, last + 1))


@pytest.mark.slow
def test_beyond_the_budget_of_a_user_some_are_closed(new_server: NewServer) -> None:
    server = new_server(UNREAD_MB_PER_USER="2")
    last = fill_log(server, events=120, size=64 * 1024)
    with ExitStack() as stack:
        readers = [
            stack.enter_context(upgrade(server, BIG, on_the_way=64 * 1024)) for _ in range(20)
        ]
        until(lambda: server.log.count("code=4408") >= 8)
        until_full(readers)
        closed = server.log.count("code=4408")
        assert closed < 20
        until(lambda: open_sockets(server) <= len(readers) - closed)  # what they had is let go

    async def resume() -> None:
        async with WsClient(server, "big", last_sequence=last - 3) as client:
            await client.until(lambda frame: frame.get("sequence") == last)

    asyncio.run(resume())


@pytest.mark.slow
@pytest.mark.daphne_only(reason="uvicorn keeps what has come of a message, up to 1 MiB")
def test_messages_that_never_end_cost_little(server: Server) -> None:
    before = memory(server)
    part = b"x" * 2**20
    head = b"\x81\xff" + struct.pack("!Q", 11 * 2**20) + b"\0" * 4  # a text, masked with zeros
    with ExitStack() as stack:
        writers = [stack.enter_context(upgrade(server, "/websocket")) for _ in range(20)]
        for writer in writers:
            until_upgraded(writer)
            writer.sendall(head + part * 10)
        last = writers[-1]
        last.sendall(part)  # it ends after all
        assert b"too large" in until_said(last)
        assert memory(server) - before < 40 * 1024


def until_upgraded(client: socket.socket) -> None:
    received_bytes = b""
    while not received_bytes.endswith(b"\r\n\r\n"):
        received_bytes += client.recv(1)


def until_said(client: socket.socket) -> bytes:
    client.settimeout(30)
    return client.recv(2**16)


def open_sockets(server: Server) -> int:
    connections = psutil.Process(server.web.pid).net_connections("tcp")
    return sum(one.laddr.port == server.port and bool(one.raddr) for one in connections)


def sequences(reader: socket.socket, last: int) -> list[int]:
    received_bytes = b""
    reader.settimeout(30)
    while not received_bytes.endswith(b'"sequence":%d}' % last):
        read = reader.recv(2**20)
        assert read, "closed"
        received_bytes += read
    return [int(number) for number in re.findall(rb'"sequence":(\d+)}', received_bytes)]


@pytest.mark.every_form("a web server of its own reads the handshake")
async def test_a_handshake_with_too_many_cookies_is_refused_at_once(shared: Server) -> None:
    cookies = {"Cookie": f"sessionid={shared.cookies['ann']}; other={'x' * 30_000}"}
    async with asyncio.timeout(5):
        with pytest.raises(InvalidHandshake):
            await WsClient(shared, "c", user=None, headers=cookies).__aenter__()
