"""A client of the wire protocol, for tests."""

import asyncio
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.server import Server

Frame = dict[str, Any]
SAME_ORIGIN = "same"
Wanted = str | Callable[[Frame], bool]


class WsClient:
    """One socket of a user on a conversation: `async with WsClient(server, "c1") as client:`.

    `frames` holds all that has arrived, in order. `user=None` is signed out; `origin=None` sends
    no Origin, as a client that is not a browser. `query`: `last_sequence`, `workflow`, `session`, …
    """

    def __init__(
        self,
        server: Server,
        conversation_id: str | None = None,
        *,
        user: str | None = "ann",
        origin: str | None = SAME_ORIGIN,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> None:
        query["conversation_id"] = conversation_id
        query = {name: value for name, value in query.items() if value is not None}
        self.server = server
        self.conversation_id = conversation_id
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self._url = f"ws{server.url.removeprefix('http')}/websocket?{urlencode(query)}"
        cookie = {"Cookie": f"sessionid={server.cookies[user]}"} if user else {}
        self._headers = {**cookie, **(headers or {})}
        self._origin = server.url if origin == SAME_ORIGIN else origin
        # Behind the last event, and behind the last reply, that `until` returned.
        self._seen = {False: 0, True: 0}
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Connect. Raises websockets' InvalidStatus when refused."""
        self._socket: ClientConnection = await connect(
            self._url,
            additional_headers=self._headers,
            origin=self._origin,  # type: ignore[arg-type] # a NewType of str there
            max_size=None,
            compression=None,
            proxy=None,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, and wait until all is read."""
        await self._socket.close()
        await self._reader

    async def send(self, frame: Frame | str | bytes) -> None:
        """Send a frame, or any text or bytes as they are."""
        await self._socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def message(self, text: str, *, message_id: str | None = None, **fields: Any) -> str:
        """Send a user message; return its id. `fields` are added to the frame or replace."""
        message_id = message_id or uuid4().hex
        await self.send(
            {
                "type": "user_message",
                "schema_type": "chat_stream",
                "id": message_id,
                **self._content(text),
                **fields,
            }
        )
        return message_id

    async def answer(self, text: str, prompt: Frame | None = None, **fields: Any) -> str:
        """Answer a prompt's frame, or the only pending one; return the answer's id.

        `fields` are added to the frame or replace: `id`, `interaction_id`, `values`, …
        """
        frame: Frame = {
            "type": "user_interaction_message",
            "id": uuid4().hex,
            **self._content(text),
        }
        if prompt is not None:
            frame |= {"thread_id": prompt.get("thread_id"), "parent_id": prompt.get("parent_id")}
            frame["interaction_id"] = prompt["id"]
        frame |= fields
        await self.send(frame)
        return str(frame["id"])

    async def until(self, wanted: Wanted, timeout: float = 10) -> Frame:
        """Return the next frame of a type, or that a predicate accepts.

        Next means: after the one that the last `until` returned; those between are passed over.
        Replies to what this client sent (`for`) and events are looked at apart, since a reply may
        come before the events that it caused, or after them.
        """
        try:
            looked = min(self._seen.values())
            async with asyncio.timeout(timeout), self._news:
                while True:
                    for place in range(looked, len(self.frames)):
                        frame = self.frames[place]
                        is_reply = "for" in frame
                        if place >= self._seen[is_reply] and _accepts(wanted, frame):
                            self._seen[is_reply] = place + 1
                            return frame
                    looked = len(self.frames)
                    assert self.close_code is None, self._story(f"closed {self.close_code}")
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(self._story(f"nothing in {timeout} s")) from None

    async def closed(self, timeout: float = 10) -> int:
        """Wait until the server has closed the socket; return the code."""
        async with asyncio.timeout(timeout):
            await asyncio.shield(self._reader)
        assert self.close_code is not None
        return self.close_code

    def of_type(self, name: str) -> list[Frame]:
        """Return the frames of a type that have arrived."""
        return [frame for frame in self.frames if frame["type"] == name]

    def text(self) -> str:
        """Return the output that has arrived, put together."""
        frames = self.of_type("system_response_message")
        return "".join(frame["content"].get("text", "") for frame in frames)

    def _content(self, text: str) -> Frame:
        part = {"type": "text", "text": text}
        content = {"messages": [{"role": "user", "content": [part]}]}
        return {"conversation_id": self.conversation_id, "content": content}

    def _story(self, what: str) -> str:
        got = "\n".join(json.dumps(frame)[:400] for frame in self.frames[-30:])
        return f"{what} on {self._url}; frames so far:\n{got}"

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                async with self._news:
                    self.frames.append(json.loads(text))
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        async with self._news:
            self.close_code = self._socket.close_code or 1006
            self._news.notify_all()


def _accepts(wanted: Wanted, frame: Frame) -> bool:
    return frame["type"] == wanted if isinstance(wanted, str) else wanted(frame)
