"""Tests of what begins a request and falls silent is dropped."""

import socket
from contextlib import ExitStack, suppress

import pytest

from tests.support.server import HOST, Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.daphne_only(reason="uvicorn leaves that to what stands before it"),
]

HALVES = {
    "nothing": b"",
    "half of the headers": b"GET /c/ HTTP/1.1\r\nHost: localhost\r\nX-A: b",
    "half of a body": b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    "half of a handshake": b"GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
}


def test_a_half_sent_request_is_dropped_after_a_minute(server: Server) -> None:
    with ExitStack() as stack:
        silent = []
        for half in HALVES.values():
            connection = stack.enter_context(socket.create_connection((HOST, server.port)))
            connection.sendall(half)
            connection.settimeout(75)
            silent.append(connection)
        for connection in silent:
            with suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass
