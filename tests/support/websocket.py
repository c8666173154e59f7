"""A client of the wire protocol, for tests."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.protocol import Event

from tests.support.polling import PATIENCE
from tests.support.received_frames import Frame, ReceivedFrames
from tests.support.server import HOST, Server

SAME_ORIGIN = "same"


class _Connection(ClientConnection):
    """A connection that tells when it has answered a ping of the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pinged = asyncio.Event()

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, WebSocketFrame) and event.opcode is Opcode.PING:
            self.pinged.set()


class WsClient(ReceivedFrames):
    """A user's socket on a conversation: `async with WsClient(server, "c1") as client:`.

    `frames` contains all received frames in order. `user=None` is signed out; `origin=None` sends
    no Origin, like a client other than a browser. `extended=None` makes a plain client. `url` is
    the URL that a page has for the socket. `query`: `last_sequence`, `workflow`, `session`, …
    """

    def __init__(
        self,
        server: Server,
        conversation_id: str | None = None,
        *,
        url: str = "",
        user: str | None = "ann",
        origin: str | None = SAME_ORIGIN,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> None:
        query = {"extended": "true", "conversation_id": conversation_id, **query}
        query = {name: value for name, value in query.items() if value is not None}
        self.server = server
        self.conversation_id = conversation_id
        url = url or f"ws{server.url.removeprefix('http')}/websocket"
        self._url = f"{url}?{urlencode(query)}"
        super().__init__(self._url)
        self._socket: _Connection
        cookie = {"Cookie": f"sessionid={server.cookies[user]}"} if user else {}
        self._headers = {**cookie, **(headers or {})}
        self._origin = server.url if origin == SAME_ORIGIN else origin

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            InvalidStatus: the server refused; see websockets.
        """
        self._socket = await connect(  # type: ignore[assignment]
            self._url,
            host=HOST,
            port=self.server.port,
            additional_headers=self._headers,
            origin=self._origin,  # type: ignore[arg-type] # a NewType of str there
            max_size=None,
            compression=None,
            proxy=None,
            create_connection=_Connection,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the socket, and wait until all frames are read."""
        await self._socket.close()
        await self._reader

    async def confirm(self) -> None:
        """Answer so many pings that all received frames count as arrived."""
        async with asyncio.timeout(PATIENCE):
            for _ in range(2):
                self._socket.pinged.clear()
                await self._socket.pinged.wait()

    async def send(self, frame: Frame | str | bytes) -> None:
        """Send a frame as JSON, or a text or bytes unchanged."""
        await self._socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def message(self, text: str, *, message_id: str | None = None, **fields: Any) -> str:
        """Send a user message; return its id. `fields` are added to the frame or replace others."""
        message_id = message_id or uuid4().hex
        frame: Frame = {"type": "user_message", "schema_type": "chat_stream", "id": message_id}
        await self.send({**frame, **self._content(text), **fields})
        return message_id

    async def message_until_prompt(self, text: str, **fields: Any) -> Frame:
        """Send a user message; return the prompt that its run asks."""
        await self.message(text, **fields)
        return await self.until("system_interaction_message")

    async def answer(self, text: str, prompt: Frame | None = None, **fields: Any) -> str:
        """Answer a prompt's frame, or the only pending prompt; return the answer's id.

        `fields` are added to the frame or replace others: `id`, `interaction_id`, `values`, …
        """
        frame: Frame = {"type": "user_interaction_message", "id": uuid4().hex}
        frame |= self._content(text)
        if prompt is not None:
            frame |= {"thread_id": prompt.get("thread_id"), "parent_id": prompt.get("parent_id")}
            frame["interaction_id"] = prompt["id"]
        frame |= fields
        await self.send(frame)
        return str(frame["id"])

    async def until_closed(self, timeout: float = PATIENCE) -> int:
        """Wait until the server has closed the socket; return the code."""
        async with asyncio.timeout(timeout):
            await asyncio.shield(self._reader)
        assert self.close_code is not None
        return self.close_code

    def _content(self, text: str) -> Frame:
        part = {"type": "text", "text": text}
        content = {"messages": [{"role": "user", "content": [part]}]}
        return {"conversation_id": self.conversation_id, "content": content}

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                await self._received(text)
        except ConnectionClosed:
            pass
        await self._closed(self._socket.close_code or 1006)


def upgrade(server: Server, path: str, user: str = "ann", *, on_the_way: int = 0) -> socket.socket:
    """Open a WebSocket without reading from it.

    `on_the_way` limits the bytes that the client's kernel buffers.
    """
    stream = socket.socket()
    if on_the_way:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, on_the_way)
    stream.connect((HOST, server.port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {HOST}:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"Cookie: sessionid={server.cookies[user]}",
    ]
    stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return stream
