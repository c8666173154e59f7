"""Exports that nobody reads cost little memory, and one user has so many at once."""

import socket
from contextlib import ExitStack
from uuid import UUID

import pytest

from tests.conftest import NewServer
from tests.hostile.attack.raw_http import Request
from tests.support.server import HOST, Server
from tests.wire.slow_readers import fill_log, memory, until_full

pytestmark = pytest.mark.every_form(
    reason="the other database is read in another way", at_each_change=False
)

READERS = 60


def ask_for(server: Server, path: str) -> socket.socket:
    """Return a connection that has asked for something large, and takes nothing of it."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    reader.connect((HOST, server.port))
    reader.sendall(Request("", path).to_bytes(server))
    return reader


def until_answered(reader: socket.socket) -> None:
    """Wait until the first byte of the answer is there, and leave it there."""
    reader.settimeout(30)
    assert reader.recv(1, socket.MSG_PEEK)


@pytest.mark.slow
@pytest.mark.parametrize("door", ["/c/big/export.json", "/executions/{run}"])
def test_an_unread_export_costs_little_memory_and_is_complete(
    new_server: NewServer, door: str
) -> None:
    server = new_server(STREAMS_PER_USER="100")
    fill_log(server, events=60, size=64 * 1024)
    [run] = server.rows("SELECT id FROM sessions_app_run")
    server.execute("UPDATE sessions_app_run SET status = 'completed'")
    path = door.format(run=UUID(str(run["id"])))
    before = memory(server)
    with ExitStack() as stack:
        readers = []
        # One after the other: sixty requests at once are too many for a busy machine's database.
        for _ in range(READERS):
            readers.append(stack.enter_context(ask_for(server, path)))
            until_answered(readers[-1])
        until_full(readers, timeout=90)
        assert (
            memory(server) - before < 128 * 1024
        )  # all of it has 225 MiB, and took three times that
        answer = b"".join(iter(lambda: readers[7].recv(2**20), b""))
    assert answer.count(b"x") > 59 * 64 * 1024


@pytest.mark.slow
def test_a_user_has_so_many_exports_at_once(new_server: NewServer) -> None:
    server = new_server(STREAMS_PER_USER="2")
    fill_log(server, events=160, size=64 * 1024)  # the kernel may take 4 MiB of an export
    with ExitStack() as stack:
        readers = [stack.enter_context(ask_for(server, "/c/big/export.json")) for _ in range(2)]
        until_full(readers)
        response = server.get("/c/big/export.md", "ann")
        assert (response.status, response.headers["Retry-After"]) == (429, "5")
        assert "Too many" in response.text
        assert server.get("/c/", "ben").status == 302
