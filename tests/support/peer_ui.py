"""A stand-in for the peer's web UI: it does with each message what the real one was seen to do.

It knows five types of message; any other, or one without a conversation, is a red toast. It has
controls for three types of prompt, one place for them, and takes nothing of a conversation unless a
message of its own is being answered.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.support.received_frames import Frame
from tests.support.server import Server
from tests.support.websocket import WsClient

TYPES = (
    "system_response_message",
    "system_intermediate_message",
    "system_interaction_message",
    "observability_trace_message",
    "error_message",
)
# What it sends as soon as a socket is open.
CONSENT_MODE = {"method": "oauth_mode_preference", "mode": "redirect"}
CONTROLS = ("text", "binary_choice", "radio")
TRIES = 3  # for as long as a page is loaded
DROPS_AFTER = 0.2  # seconds after the end of an answer


@dataclass
class Shown:
    """A message of the conversation as the page shows it."""

    role: str
    text: str = ""
    steps: dict[str, Frame] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    trace: str = ""


@dataclass
class Storage:
    """The state that a tab keeps over a reload, and that a copied tab begins with."""

    conversation_id: str = field(default_factory=lambda: str(uuid4()))
    active: str | None = None
    messages: list[Shown] = field(default_factory=list)

    def copy(self) -> "Storage":
        """Copy it for another tab."""
        messages = [Shown(one.role, one.text, dict(one.steps)) for one in self.messages]
        return Storage(self.conversation_id, self.active, messages)


class PeerUi:
    """A browser tab with the peer's page. `query` is its gateway's query, origin and settings.

    `session`, `origin` (which its gateway sends) and what a person has put into its settings, such
    as `workflow`, are given by `query`. `modal` is the open prompt, `note` the text of a
    notification, `popups` the addresses of windows that were opened, `toasts` what went wrong in
    red. `offline` lets no connection come about.
    """

    def __init__(self, server: Server, storage: Storage | None = None, **query: Any) -> None:
        self.toasts: list[str] = []
        self.popups: list[str] = []
        self.note = ""
        self.modal: Frame | None = None
        self.gave_up = False
        self.offline = False
        self.connections = 0
        self.received: list[Frame] = []
        self.pause = 1.0
        self.storage = storage or Storage()
        self._query = query
        self._server = server
        self._active: str | None = None
        self._tries = 0
        self._socket: WsClient | None = None
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the page."""
        await self._connect()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the tab."""
        await self._leave()

    @property
    def answer_shown(self) -> Shown:
        """Return what is shown below the person's last message."""
        messages = self.storage.messages
        return messages[-1] if messages and messages[-1].role == "assistant" else Shown("assistant")

    @property
    def text(self) -> str:
        """Return the text of the answer shown."""
        return self.answer_shown.text

    @property
    def finished(self) -> bool:
        """Return whether nothing is being answered."""
        return self._active is None

    @property
    def errors(self) -> list[str]:
        """Return the errors that are seen: only those below a text, or steps."""
        shown = self.answer_shown
        return shown.errors if shown.text.strip() or shown.steps else []

    def copied_tab(self) -> "PeerUi":
        """Return the same page in another tab, as the browser copies it."""
        return PeerUi(self._server, self.storage.copy(), **self._query)

    async def say(self, text: str, schema_type: str = "chat_stream") -> None:
        """Send what was typed."""
        assert self.modal is None, "the modal covers the page"
        if self.gave_up:
            self._tries = 0
            await self._connect()
        self.note = ""
        self._active = self.storage.active = str(uuid4())
        self.storage.messages.append(Shown("user", text))
        await self._send("user_message", text, id=self._active, schema_type=schema_type)

    def stop(self) -> None:
        """Press Stop, which tells the server nothing."""
        self._active = self.storage.active = None

    async def answer(self, text: str) -> None:
        """Answer the modal, which closes, by the thread and parent of its prompt."""
        assert self.modal is not None
        content = self.modal["content"]
        assert content["input_type"] in CONTROLS, f"no controls for {content['input_type']}"
        if content["input_type"] != "text":
            assert text in [option["value"] for option in content["options"]], content["options"]
        assert text.strip() or not content.get("required"), "this field is required"
        prompt, self.modal = self.modal, None
        names = {"thread_id": prompt["thread_id"], "parent_id": prompt["parent_id"]}
        await self._send("user_interaction_message", text, id=str(uuid4()), **names)

    async def reload(self) -> None:
        """Load the page anew: what is shown stays, a modal does not."""
        await self._leave()
        self.modal, self.note, self._tries, self._active = None, "", 0, None
        await self._connect()

    async def drop(self) -> None:
        """Lose the connection. It comes back by itself, a second later, thrice at most."""
        assert self._socket is not None
        await self._socket._socket.close(code=1001)

    async def drop_and_reconnect(self) -> None:
        """Lose the connection, and wait until it is back."""
        connections = self.connections
        await self.drop()
        await self.until(lambda: self.connections > connections)

    async def until(self, holds: Callable[[], Any], timeout: float = 40) -> None:
        """Wait until what is shown is such."""
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            story = f"{self.storage.messages[-2:]}, {self.modal}, {self.received[-8:]}"
            raise AssertionError(f"shown: {story}") from None

    async def until_ended(self) -> str:
        """Wait for the end of the answer; return it."""
        await self.until(lambda: self.finished)
        return self.text

    async def until_asked(self, text: str = "") -> str:
        """Wait for a modal with this text in it; return its type."""
        await self.until(lambda: self.modal and text in self.modal["content"]["text"])
        assert self.modal is not None
        return str(self.modal["content"]["input_type"])

    async def _send(self, type_: str, text: str, **fields: Any) -> None:
        assert self._socket is not None
        content = {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}
        frame = {
            "type": type_,
            "conversation_id": self.storage.conversation_id,
            "content": content,
            "timestamp": "2026-01-13T10:00:03.000Z",
            **fields,
        }
        with suppress(ConnectionClosed):  # then it is lost, and nobody is told
            await self._socket.send(frame)

    async def _connect(self) -> None:
        if self.offline:
            raise OSError("The network is away.")
        self._socket = WsClient(
            self._server,
            self.storage.conversation_id,
            user=None,
            extended=None,
            transport="ws",
            **self._query,
        )
        await self._socket.__aenter__()
        await self._socket.send({"type": "auth_message", "payload": CONSENT_MODE})
        self.connections += 1
        self.gave_up = False
        self._active = self.storage.active
        self._task = asyncio.create_task(self._live(self._socket))
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _leave(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._socket is not None:
            await self._socket.__aexit__()

    async def _live(self, socket: WsClient) -> None:
        frame_count = 0
        while socket.close_code is None or frame_count < len(socket.frames):
            async with socket._news:
                if frame_count == len(socket.frames) and socket.close_code is None:
                    await socket._news.wait()
            for frame in socket.frames[frame_count:]:
                frame_count += 1
                self.received.append(frame)
                self._take(frame)
            await self._tell()
        while self._tries < TRIES:
            self._tries += 1
            await asyncio.sleep(self.pause)
            with suppress(OSError, WebSocketException):
                await self._connect()
                return
        self.gave_up = True
        self._active = None
        await self._tell()

    def _take(self, frame: Frame) -> None:
        content = frame.get("content") or {}
        if content.get("input_type") == "oauth_consent":
            self.popups.append(content["text"])
            return
        if frame["type"] not in TYPES or not (frame.get("conversation_id") or "").strip():
            self.toasts.append(f"{frame['type']} of {frame.get('conversation_id')!r}")
            return
        if self._active is None or frame["conversation_id"] != self.storage.conversation_id:
            return
        match frame["type"]:
            case "system_interaction_message":
                self._open(frame)
            case "system_response_message" if frame["status"] == "complete":
                asyncio.get_running_loop().call_later(DROPS_AFTER, self._end)
            case "observability_trace_message":
                self.storage.messages[-1].trace = content["observability_trace_id"]
            case "system_response_message" if content.get("text"):
                self._last().text += content["text"]
            case "system_intermediate_message":
                self._last().steps[frame["id"]] = frame
            case "error_message":
                details = content["details"] or "An unexpected error occurred"
                error = f"{content['message']} {details}"
                self._last().errors.append(error)

    def _open(self, frame: Frame) -> None:
        """Open a prompt in the only place for it, and drop the one that was open there."""
        content = frame["content"]
        if not all(isinstance(option["value"], str) for option in content.get("options", ())):
            self.toasts.append("The page fails: it calls a method of texts on each value.")
        self.modal = frame
        if content["input_type"] == "notification":
            self.modal, self.note = None, content["text"]
        elif content["timeout"]:
            asyncio.get_running_loop().call_later(content["timeout"], self._time_out, frame)

    def _time_out(self, frame: Frame) -> None:
        if self.modal is frame:
            self.modal = None
            self.note = frame["content"].get("error") or "This prompt is no longer available."

    def _end(self) -> None:
        self._active = self.storage.active = None
        self._told = asyncio.create_task(self._tell())

    def _last(self) -> Shown:
        if self.storage.messages[-1].role != "assistant":
            self.storage.messages.append(Shown("assistant"))
        return self.storage.messages[-1]
