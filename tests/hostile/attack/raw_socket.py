"""A WebSocket as bytes, for what no client would send."""

import json
import socket
from types import TracebackType
from typing import Any, Self

from tests.hostile.attack.raw_http import Answer, Request
from tests.support.server import HOST, Server

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
TEXT, CLOSE = 1, 8
PING = {"type": "ping_message", "id": "still there?"}


class RawSocket:
    """A connection that has asked for a WebSocket; `status` is what the server said to that."""

    def __init__(self, server: Server, request: Request) -> None:
        self._connection = socket.create_connection((HOST, server.port), timeout=20)
        self._stream = self._connection.makefile("rb")
        self._connection.sendall(request.to_bytes(server))
        head = b""
        while (line := self._stream.readline()) not in (b"\r\n", b""):
            head = head or line
        self.status = int(head.split()[1]) if head else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._connection.close()

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def end(self) -> None:
        """Say that nothing more comes."""
        self._connection.shutdown(socket.SHUT_WR)

    def until_pong(self) -> int:
        """Read until the answer to `PING`, or the end; return the code of a close, else 0.

        1006 is an end without a close.
        """
        while True:
            kind, data = self._frame()
            if kind == CLOSE:
                return int.from_bytes(data[:2], "big") or 1005
            if kind is None:
                return 1006
            if kind == TEXT and json.loads(data).get("for") == PING["id"]:
                return 0

    def _frame(self) -> tuple[int | None, bytes]:
        try:
            head = self._stream.read(2)
            if len(head) < 2:
                return None, b""
            length = head[1]
            if length > 125:
                length = int.from_bytes(self._stream.read(2 if length == 126 else 8), "big")
            return head[0] & 15, self._stream.read(length)
        except ConnectionError:
            return None, b""


def text_frame(data: bytes) -> bytes:
    """Return a whole text message, masked with zeros."""
    size = len(data)
    if size < 126:
        length = bytes([128 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return b"\x81" + length + bytes(4) + data


def message_frame(message: dict[str, Any]) -> bytes:
    return text_frame(json.dumps(message).encode())


def knock(server: Server, request: Request) -> Answer:
    """Ask for a socket, and whether it lives; the text of the answer is the code of its close."""
    with RawSocket(server, request) as raw:
        if raw.status != 101:
            return Answer(raw.status)
        raw.send(message_frame(PING))
        return Answer(raw.status, text=str(raw.until_pong() or ""))
