"""Texts that cost much to show hold up who wrote them, and nobody else."""

import asyncio
import select
import socket
from contextlib import ExitStack
from functools import partial

import pytest

from tests.conftest import NewServer
from tests.hostile.attack.raw_http import Request
from tests.support.received_frames import Frame
from tests.support.server import HOST, Server
from tests.support.websocket import WsClient

PAGES = 8
# Each answer differs from the one before, as one that was coloured is remembered.
COSTLY = {
    "code": ("```c\n", "{n}\n" + "\n" * 6_000, 3),
    "images": ("", "![", 15_500),
    "tables": ("", "a|b\n-|-\n", 3_900),
    "a wide table": ("|a" * 2_000 + "|\n" + "|-" * 2_000, "|\n", 10_000),
}


def ask_for_page(server: Server, user: str) -> socket.socket:
    """Return a connection that has asked for the page of the conversation `costly`."""
    connection = socket.create_connection((HOST, server.port), timeout=60)
    connection.sendall(Request("", "/c/costly/", user=user).to_bytes(server))
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTLY)
async def test_costly_pages_of_one_user_delay_nobody_else(new_server: NewServer, name: str) -> None:
    server = new_server()
    async with WsClient(server, "costly", workflow="probe") as ann:
        before, piece, times = COSTLY[name]
        for number in range(PAGES):
            message = await ann.message(f"echo('''{before}{piece.format(n=number) * times}.''')")
            await ann.until(partial(is_done, message))
    with ExitStack() as pages:
        responses = [pages.enter_context(ask_for_page(server, "ann")) for _ in range(PAGES)]
        # The first of them is being made, and looked at, before anybody else comes.
        async with WsClient(server, "other", user="ben", workflow="probe") as ben:
            for number in range(3):
                message = await ben.message(f'echo("{number}")')
                await ben.until(partial(is_done, message))
                health = await asyncio.to_thread(server.get, "/health")
                assert health.status == 200
                page = await asyncio.to_thread(server.get, "/c/other/", "ben")
                assert page.status == 200
        # They take ten times as long as that.
        assert len(select.select(responses, [], [], 0)[0]) < PAGES
        responses[0].settimeout(60)
        first = await asyncio.to_thread(responses[0].recv, 12)
        assert first == b"HTTP/1.1 200"


def is_done(message: str, frame: Frame) -> bool:
    has_ended = frame["type"] == "run_update_message" and frame["content"]["status"] == "completed"
    return bool(has_ended and frame["parent_id"] == message)
