"""A stand-in for NAT's web UI: a plain client that fails where the real page shows an error.

The page knows five types of message; any other, or one without a conversation, is a red toast. It
has controls for three types of prompt, and one place for them. Its own gateway sends the origin.
"""

from typing import Any, Self
from uuid import uuid4

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
# First message of the web UI on each new socket.
CONSENT_MODE = {"method": "oauth_mode_preference", "mode": "redirect"}
CONTROLS = ("text", "binary_choice", "radio")


class PeerUi(WsClient):
    """A browser tab with NAT's page. `query` has the gateway's query, origin and settings."""

    def __init__(self, server: Server, conversation_id: str | None = None, **query: Any) -> None:
        conversation_id = conversation_id or str(uuid4())
        super().__init__(server, conversation_id, user=None, extended=None, transport="ws", **query)
        self.prompt: Frame = {}
        self._query = query
        self._answer_begins = 0
        self._is_unloading = False

    async def __aenter__(self) -> Self:
        """Open the page."""
        await super().__aenter__()
        await self.send({"type": "auth_message", "payload": CONSENT_MODE})
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the tab, and check the messages that the page received."""
        await super().__aexit__(*error)
        for frame in self.frames:
            check(frame)

    def copied_tab(self) -> "PeerUi":
        return PeerUi(self.server, self.conversation_id, **self._query)

    @property
    def answer_frames(self) -> list[Frame]:
        """The frames that came since the person's last message."""
        return self.frames[self._answer_begins :]

    @property
    def answer_text(self) -> str:
        """The text below the person's last message."""
        frames = (one for one in self.answer_frames if one["type"] == "system_response_message")
        return "".join(frame["content"].get("text", "") for frame in frames)

    async def say(self, text: str, schema_type: str = "chat_stream") -> None:
        self._answer_begins = len(self.frames)
        await self.message(text, schema_type=schema_type)

    async def shows(self, text: str) -> None:
        await self.until(lambda _: text in self.answer_text)

    async def asked(self, text: str = "") -> str:
        """Wait for a prompt that contains the text; return the type of its control."""

        def asks(frame: Frame) -> bool:
            content = frame["content"]
            is_prompt = frame["type"] == "system_interaction_message"
            return is_prompt and content["input_type"] in CONTROLS and text in content["text"]

        self.prompt = await self.until(asks)
        return str(self.prompt["content"]["input_type"])

    async def noted(self, text: str) -> None:
        await self.until(
            lambda frame: (
                frame["content"].get("input_type") == "notification"
                and text in frame["content"]["text"]
            )
        )

    async def reply(self, text: str) -> None:
        """Answer the open prompt, named by its thread and parent; the page closes the prompt."""
        content = self.prompt["content"]
        if content["input_type"] != "text":
            assert text in [option["value"] for option in content["options"]]
        assert text.strip() or not content.get("required"), "this field is required"
        names = {name: self.prompt[name] for name in ("thread_id", "parent_id")}
        await self.answer(text, **names)

    async def ended(self) -> str:
        """Return the text below the person's last message, once the answer is complete."""

        def is_end(frame: Frame) -> bool:
            if frame["type"] != "system_response_message" or frame["status"] != "complete":
                return False
            # The frame must belong to the last message.
            return any(one is frame for one in self.answer_frames)

        await self.until(is_end)
        return self.answer_text

    async def _received(self, text: str | bytes) -> None:
        if not self._is_unloading:
            await super()._received(text)

    async def leave(self) -> None:
        """Lose the connection; the page keeps its contents."""
        await super().__aexit__()

    async def refresh(self) -> None:
        """Reload the page, which keeps what it shows: what is on its way to it is lost."""
        self._is_unloading = True
        await self.leave()
        await self.come_back()

    async def come_back(self) -> None:
        """Connect again: automatically, or because the page was reloaded."""
        self._is_unloading = False
        self.close_code = None
        await self.__aenter__()


def check(frame: Frame) -> None:
    """Fail if the page would show a red toast, or nothing, for the frame."""
    content = frame.get("content") or {}
    if content.get("input_type") == "oauth_consent":
        return  # the page opens a window, and ignores the rest of the frame
    assert frame["type"] in TYPES, frame
    assert frame["conversation_id"].strip(), frame
    if frame["type"] == "error_message":
        assert content["details"], frame
    if frame["type"] == "system_interaction_message":
        assert content["input_type"] in (*CONTROLS, "notification"), frame
        # The page calls a string method on each value.
        assert all(isinstance(option["value"], str) for option in content.get("options", ()))
