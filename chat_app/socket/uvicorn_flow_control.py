"""Fixes for uvicorn, and its pongs for the application.

uvicorn keeps a client's unread data for ever after the socket's end. It never answers a handshake
that it cannot read, such as one with more than 8 KiB of cookies.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chat_app.socket.flow_control import PONGS, Pongs, keep_little

# Seconds in which a client may read the remaining data after the socket's end.
LAST_READ = 1.0

Protocol: Any = WebSocketsSansIOProtocol

_connection_made = Protocol.connection_made
_data_received = Protocol.data_received
_handle_connect = Protocol.handle_connect
# None in older versions, which send no pings.
_handle_pong: Any = getattr(Protocol, "handle_pong", None)


def install() -> None:
    """Replace methods of uvicorn's protocol, for the whole process."""
    Protocol.connection_made = _made_to_keep_little
    Protocol.on_task_complete = _aborted_in_a_moment
    Protocol.data_received = _received_or_refused
    Protocol.handle_connect = _connected_with_pongs
    if _handle_pong is not None:
        Protocol.handle_pong = _pong_passed_on


def _made_to_keep_little(self: Any, transport: Any) -> None:
    _connection_made(self, transport)
    keep_little(transport.get_extra_info("socket"))


def _received_or_refused(self: Any, data: bytes) -> None:
    """Refuse a handshake that cannot be read, instead of leaving the client without an answer."""
    _data_received(self, data)
    if not self.handshake_initiated and self.conn.handshake_exc is not None:
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()


def _connected_with_pongs(self: Any, request: Any) -> None:
    _handle_connect(self, request)
    if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        self.pongs = self.scope["extensions"][PONGS] = Pongs()


def _pong_passed_on(self: Any, pong: Any) -> None:
    expected_payload = self.pending_ping_payload
    _handle_pong(self, pong)
    if bytes(pong.data) == expected_payload:
        self.pongs.heard()


def _aborted_in_a_moment(self: Any, task: asyncio.Task[None]) -> None:
    """Abort the connection after a short delay.

    The application has ended and uvicorn has closed the transport, which may wait for its client to
    read.
    """
    self.tasks.discard(task)
    self.loop.call_later(LAST_READ, self.transport.abort)
