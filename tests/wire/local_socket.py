"""A socket on the application in the test's own process."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from chat_app.consumers import ChatConsumer
from chat_app.socket.flow_control import PONGS, Pongs
from tests.support.polling import PATIENCE
from tests.support.received_frames import Frame, ReceivedFrames


class LocalSocket(ReceivedFrames):
    """A socket without a server: `frames` has all that it was sent. `extended=None`: plain."""

    def __init__(self, user: Any, *, headers: dict[str, str] | None = None, **query: Any) -> None:
        super().__init__("the local socket")
        headers = headers or {}
        query = {"extended": "true", **query}
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "path": "/websocket",
            "query_string": urlencode({k: v for k, v in query.items() if v is not None}).encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ["127.0.0.1", 1],
            "server": ["testserver", 80],
            "scheme": "ws",
            "user": user,
            "session": None,
            "extensions": {PONGS: Pongs()},
        }
        self.accepted = False
        self._inbox: asyncio.Queue[Frame] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LocalSocket":
        """Connect."""
        self._inbox.put_nowait({"type": "websocket.connect"})
        served = ChatConsumer()(self.scope, self._inbox.get, self._sent)
        self._task = asyncio.create_task(served)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        assert self._task is not None
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(5):
            await self._task

    async def send(self, frame: Frame | str | bytes) -> None:
        """Send a frame, or text or bytes as they are."""
        if isinstance(frame, bytes):
            self._inbox.put_nowait({"type": "websocket.receive", "bytes": frame})
            return
        text = frame if isinstance(frame, str) else json.dumps(frame)
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})

    async def say(self, text: str, **fields: Any) -> None:
        await self.send({"type": "user_message", **content(text), **fields})

    async def say_until_prompt(self, text: str, **fields: Any) -> Frame:
        await self.say(text, **fields)
        return await self.until("system_interaction_message")

    async def answer(self, text: str, **fields: Any) -> None:
        await self.send({"type": "user_interaction_message", **content(text), **fields})

    async def until_sequence(self, sequence: int, timeout: float = PATIENCE) -> None:
        await self.until(lambda frame: frame.get("sequence") == sequence, timeout)

    async def until_closed(self, timeout: float = 20) -> int:
        async with asyncio.timeout(timeout), self._news:
            while self.close_code is None:
                await self._news.wait()
        return self.close_code

    async def until_settled(self) -> None:
        """Wait until the socket has done what was asked of it so far."""
        await self.send({"type": "ping_message", "id": "settled"})
        await self.until("pong_message")

    async def arrive(self) -> None:
        """Answer two pings of the server, so that all that it has sent counts as arrived."""
        await self.until_settled()
        for _ in range(2):
            self.pong()

    def pong(self) -> None:
        """Answer a ping of the server."""
        self.scope["extensions"][PONGS].heard()

    def sequences(self) -> list[int]:
        return [frame["sequence"] for frame in self.frames if "sequence" in frame]

    async def _sent(self, message: Frame) -> None:
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] == "websocket.close":
            await self._closed(message.get("code", 1000))
        else:
            await self._received(message["text"])


def content(text: str) -> Frame:
    part = {"type": "text", "text": text}
    return {"content": {"messages": [{"role": "user", "content": [part]}]}}
