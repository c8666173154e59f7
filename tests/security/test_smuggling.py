"""Tests that the end of a request is clear: none can be hidden in the body of another."""

import socket

import pytest

from tests.support.server import HOST, Server

HIDDEN = b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def ask(server: Server, head: str, body: bytes) -> list[bytes]:
    """Return the first lines of the answers to raw bytes."""
    with socket.create_connection((HOST, server.port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


HEAD = "POST /sign-in/ HTTP/1.1\nHost: 127.0.0.1\n"


def test_a_request_with_two_lengths_is_not_read_by_the_length_that_hides(shared: Server) -> None:
    """The body is empty by its chunks. What follows is then answered, or refused by a close.

    Read by the length, all would be the body, and the connection would stay open.
    """
    both = f"{HEAD}Content-Length: {5 + len(HIDDEN)}\nTransfer-Encoding: chunked\n"
    assert ask(shared, both, b"0\r\n\r\n" + HIDDEN)


@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 5\nContent-Length: 0\n",
        "Transfer-Encoding: xchunked\n",
        "Transfer-Encoding: chunked, identity\n",
        "Content-Length: +5\n",
        "Content-Length: 0x5\n",
    ],
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(shared: Server, lengths: str) -> None:
    answers = ask(shared, HEAD + lengths, b"x=1&y" + HIDDEN)
    assert [line.split()[1] for line in answers if b" 200 " in line] == []
