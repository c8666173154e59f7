"""Backpressure and limits that Daphne lacks, for clients that do not read or that send too much.

It also passes pongs on to the application.
"""

import asyncio
from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from chat_app.socket.connection import CLOSE_TIME, MAX_FRAME_LENGTH
from chat_app.socket.flow_control import PONGS, Pongs, keep_little
from chat_app.wire.parsing import MAX_FRAME

PREFIX = b"daphne-root-path"
# Maximum bytes kept of a message: above the message limit, even if the cut removes the last
# character.
ENOUGH = MAX_FRAME + 8
# Seconds in which a client must read the part of a response that the transport has buffered.
READ_TIMEOUT = 60.0

_create_application = Server.create_application
_handle_reply = Server.handle_reply
_process = WebRequest.process


def install() -> None:
    """Replace methods of Daphne's classes, for the whole process."""
    WebSocketFactory.protocol = FlowControlledProtocol
    Server.create_application = _create_application_with_pongs
    Server.handle_reply = _handle_reply_in_turn
    WebRequest.process = _process_with_ascii_prefix


class _Room:
    """A Twisted push producer that tells whether the transport's buffer has room."""

    def __init__(self) -> None:
        self.is_there = asyncio.Event()
        self.is_there.set()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Record that the transport's buffer is full (64 KiB), so that senders wait."""
        self.is_there.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that the transport has room again."""
        self.is_there.set()

    stopProducing = resumeProducing  # noqa: N815 - Twisted's name; called for a lost connection


class FlowControlledProtocol(WebSocketProtocol):  # type: ignore[misc] # Daphne has no types
    """Daphne's side of a WebSocket, with a record of the room in the transport's buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.room = _Room()
        self.pongs = Pongs()
        self._size = 0
        self._ping_payload: bytes | None = None

    def onConnect(self, request: Any) -> Any:  # noqa: N802 - Autobahn's name
        """Refuse a handshake with non-ASCII text in its path, subprotocol or header names.

        Daphne would fail at such a handshake.
        """
        names = (request.path, request.headers.get("sec-websocket-protocol", ""), *request.headers)
        if not all(name.isascii() for name in names):
            raise ConnectionDeny(  # type: ignore[no-untyped-call] # Autobahn's classes have no types
                ConnectionDeny.BAD_REQUEST, "The handshake is not ASCII."
            )
        return super().onConnect(request)

    def onOpen(self) -> None:  # noqa: N802 - Autobahn's name
        """Control the flow of data from the handshake on."""
        super().onOpen()
        self.unregisterProducer()  # remove the HTTP channel's producer: only one is allowed
        self.registerProducer(self.room, True)
        keep_little(self.transport.getHandle())
        self.closeHandshakeTimeout = CLOSE_TIME

    def sendPing(self, payload: bytes | None = None) -> None:  # noqa: N802 - Autobahn's name
        """Send a ping, and keep its payload to recognise the answer."""
        self._ping_payload = payload
        super().sendPing(payload)

    def onPong(self, payload: bytes) -> None:  # noqa: N802 - Autobahn's name
        """Pass on a pong that answers the last ping."""
        if payload == self._ping_payload:
            self._ping_payload = None
            self.pongs.heard()

    def onMessageBegin(self, isBinary: bool) -> None:  # noqa: N802, N803 - Autobahn's names
        """Reset the counted size at the beginning of a message."""
        super().onMessageBegin(isBinary)
        self._size = 0

    def onMessageFrameData(self, payload: bytes) -> None:  # noqa: N802 - Autobahn's name
        """Keep only enough of a message to recognise that it is too large; refuse huge ones early.

        The client may never send the end of the message.
        """
        super().onMessageFrameData(payload[: max(0, ENOUGH - self._size)])
        self._size += len(payload)
        if self._size > MAX_FRAME_LENGTH:
            self.serverClose(4413)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803 - as above
        """Pass a message on, without a character that was cut in two."""
        if self._size > ENOUGH:
            payload = payload.decode(errors="ignore").encode()
        if self._size <= MAX_FRAME_LENGTH:
            super().onMessage(payload, isBinary)

    def serverSend(self, content: Any, binary: bool = False) -> None:  # noqa: N802 - Daphne's name
        """Send a message.

        Raises:
            ConnectionResetError: the client is gone.
        """
        self.check_open()
        super().serverSend(content, binary)

    def check_open(self) -> None:
        """Check that the client is there.

        Raises:
            ConnectionResetError: the client is gone.
        """
        if self.state != self.STATE_OPEN:
            raise ConnectionResetError("The client is gone.")

    def unregisterProducer(self) -> None:  # noqa: N802 - Autobahn's name
        """Release waiting senders; Autobahn calls this method before it drops a connection."""
        super().unregisterProducer()
        self.room.resumeProducing()

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802 - Daphne's name
        """Close with the application's code.

        Daphne uses an Autobahn method that accepts only 1000 and application codes; 1012, "service
        restart", is registered for servers (RFC 6455, IANA), and makes clients reconnect.
        """
        self.sendCloseFrame(code=1000 if code is None else code)


def _create_application_with_pongs(self: Server, protocol: Any, scope: Any) -> Any:
    if isinstance(protocol, FlowControlledProtocol):
        scope["extensions"] = {PONGS: protocol.pongs}
    return _create_application(self, protocol, scope)


async def _handle_reply_in_turn(self: Server, protocol: Any, message: Any) -> None:
    """Send a message of the application, and return when there is room for more.

    Raises:
        ConnectionResetError: the client is gone.
    """
    if message["type"] == "websocket.send":
        protocol.handle_reply(message)
        if not protocol.room.is_there.is_set():
            await protocol.room.is_there.wait()
            protocol.check_open()
        return
    is_request = isinstance(protocol, WebRequest)
    if is_request and not message.get("more_body") and _has_turns(protocol):
        protocol.unregisterProducer()
    await _handle_reply(self, protocol, message)
    if is_request:
        await _take_turn(protocol, message)


def _has_turns(request: Any) -> bool:
    return request.producer is not None and not _is_over(request)


def _is_over(request: Any) -> bool:
    """Return whether the response is complete, or its client is gone."""
    return bool(request.finished) or request.channel is None


async def _take_turn(request: Any, message: Any) -> None:
    """Wait for room in the transport after each part of a response's body but the last.

    A lost client ends the wait: the remaining parts are dropped.
    """
    if not message.get("more_body") or _is_over(request):
        return
    if request.producer is None:
        request.registerProducer(_Room(), True)
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            await request.producer.is_there.wait()
    except TimeoutError:
        request.transport.abortConnection()


def _process_with_ascii_prefix(self: Any) -> Any:
    """Ignore a non-ASCII prefix header, as for WebSockets, because Daphne would fail at it."""
    if not all(value.isascii() for value in self.requestHeaders.getRawHeaders(PREFIX, [])):
        self.requestHeaders.removeHeader(PREFIX)
    return _process(self)
