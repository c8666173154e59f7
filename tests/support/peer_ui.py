"""A client that behaves as the peer's web UI does (docs/protocol.md says how)."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any
from uuid import uuid4

from websockets.exceptions import WebSocketException

from tests.support.received_frames import Frame
from tests.support.server import Server
from tests.support.websocket import WsClient

# The types for which the UI has a modal.
MODAL = ("text", "binary_choice", "radio", "notification")
TRIES = 3


class PeerUi:
    """One browser tab: `text` is the answer that it shows, `steps` its tree, `modal` its prompt.

    It speaks through its gateway: the origin is the UI's, the guest's token a parameter.
    """

    def __init__(self, server: Server, *, origin: str, session: str, pause: float = 1.0) -> None:
        self.conversation_id = str(uuid4())
        self.text = ""
        self.finished = False
        self.errors: list[Frame] = []
        self.steps: dict[str, Frame] = {}
        self.modal: Frame | None = None
        self.connections = 0
        self._server = server
        self._origin = origin
        self._session = session
        self._pause = pause
        self._parent = ""
        self._socket: WsClient | None = None
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "PeerUi":
        """Open the conversation."""
        await self._connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the tab."""
        await self._leave()

    async def say(self, text: str, schema_type: str = "chat_stream") -> None:
        """Send what was typed."""
        self._parent = str(uuid4())
        self.text, self.finished, self.steps = "", False, {}
        await self._send("user_message", text, id=self._parent, schema_type=schema_type)

    async def answer(self, text: str) -> None:
        """Answer the modal, which closes: by the thread and parent of the prompt."""
        assert self.modal is not None
        prompt, self.modal = self.modal, None
        names = {"thread_id": prompt["thread_id"], "parent_id": prompt["parent_id"]}
        await self._send("user_interaction_message", text, id=str(uuid4()), **names)

    async def refresh(self) -> None:
        """Reload the page: what is shown stays (the browser keeps it), a modal does not."""
        await self._leave()
        self.modal = None
        await self._connect()

    async def drop(self) -> None:
        """Lose the connection; it comes back by itself, a second later, thrice at most."""
        assert self._socket is not None
        await self._socket._socket.close(code=1001)
        connections = self.connections
        await self.until(lambda: self.connections > connections)

    async def until(self, holds: Any, timeout: float = 15) -> None:
        """Wait until what is shown is such."""
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            raise AssertionError(f"shown: {self.text!r}, {self.modal}, {self.errors}") from None

    async def asked(self) -> Frame:
        """Wait for a modal; return its prompt."""
        await self.until(lambda: self.modal)
        assert self.modal is not None
        return self.modal

    async def _send(self, type_: str, text: str, **fields: Any) -> None:
        assert self._socket is not None
        content = {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}
        await self._socket.send(
            {
                "type": type_,
                "conversation_id": self.conversation_id,
                "content": content,
                "timestamp": "2026-01-13T10:00:03Z",
                "user": {"name": "", "email": ""},
                **fields,
            }
        )

    async def _connect(self) -> None:
        self._socket = WsClient(
            self._server,
            self.conversation_id,
            user=None,
            origin=self._origin,
            session=self._session,
            transport="ws",
        )
        await self._socket.__aenter__()
        self.connections += 1
        self._task = asyncio.create_task(self._show(self._socket))
        async with self._news:
            self._news.notify_all()

    async def _leave(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._socket is not None:
            await self._socket.__aexit__(None, None, None)

    async def _show(self, socket: WsClient) -> None:
        shown = 0
        while socket.close_code is None or shown < len(socket.frames):
            async with socket._news:
                if shown == len(socket.frames) and socket.close_code is None:
                    await socket._news.wait()
            for frame in socket.frames[shown:]:
                shown += 1
                self._take(frame)
            async with self._news:
                self._news.notify_all()
        for _ in range(TRIES):
            await asyncio.sleep(self._pause)
            with suppress(OSError, WebSocketException):
                await self._connect()
                return

    def _take(self, frame: Frame) -> None:
        """Only what is of the open conversation and of the last message is shown."""
        if frame.get("conversation_id") != self.conversation_id:
            return
        if frame["type"] == "error_message":
            self.errors.append(frame)
        if frame.get("parent_id") != self._parent:
            return
        if frame["type"] == "system_response_message":
            if frame["status"] == "in_progress":
                content = frame["content"]
                self.text += content["text"] if "text" in content else content["value"]
            else:
                self.finished = True
        elif frame["type"] == "system_intermediate_message":
            self.steps[frame["id"]] = frame
        elif frame["type"] == "system_interaction_message" and (
            frame["content"]["input_type"] in MODAL
        ):
            self.modal = frame
