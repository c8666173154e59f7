"""The people of the tests, who come back when cut off and send again what was not acknowledged.

Each has a conversation open twice. One of the two clients sends, answers and acknowledges what it
gets; the other only reads, or answers too where its person is a `rival` of themselves.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from sessions_app.contrib.testing.polling import until_true
from tests.cluster.checker.history import Frame, Sent, View
from tests.cluster.checker.model import answer_to, output_of
from tests.cluster.form import Form
from tests.support.calls import parse

# Seconds after which what was not acknowledged is sent again.
AGAIN = 2.0
# Seconds until a server that does not answer is given up for the next one.
SILENT = 3.0
BACK_AFTER = 0.2
Met = Callable[[ClientConnection, Frame], Awaitable[None]]
FINAL = ("accepted", "duplicate", "stale", "expired", "not_found")


class Person:
    """`async with Person(form, "user1") as person:`. Answers only while `answering` is set."""

    def __init__(
        self, form: Form, user: str, *, workflow: str = "probe", conversation: str = "c"
    ) -> None:
        self.form = form
        self.user = user
        self.workflow = workflow
        self.name = conversation
        self.conversation = f"{user}/{conversation}"
        self.sent: list[Sent] = []
        self.accepted: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.views = [View(self.conversation, name) for name in ("acknowledging", "plain")]
        self.answering = False
        self.rival = False
        self.pace = 1
        self._numbers = count(1)
        self._outbox: dict[str, Frame] = {}
        self._asked: dict[str, Frame] = {}
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        first = int(self.user.removeprefix("user"))
        self._tasks = [
            asyncio.create_task(self._follow(self.views[0], first, self._met)),
            asyncio.create_task(self._follow(self.views[1], first + 1, self._met_plainly)),
            asyncio.create_task(self._insist()),
        ]
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def view(self) -> View:
        """Return the frames of the client that sends."""
        return self.views[0]

    async def say(self, text: str) -> Sent:
        """Send a message; it is sent again until it is acknowledged."""
        message_id = f"{self.user}-{self.name}-{next(self._numbers)}-{parse(text).name}"
        message = Sent(self.conversation, message_id, text, output_of(text, message_id))
        self.sent.append(message)
        await self._put({"type": "user_message", "id": message_id, **self._content(text)})
        return message

    async def stop(self, message: Sent) -> None:
        """Ask for the run of an acknowledged message to be stopped."""
        message.stopped = True
        await self._put(
            {
                "type": "stop_message",
                "id": f"stop-{message.message_id}",
                "conversation_id": self.name,
                "run_id": self.runs[message.message_id],
            }
        )

    async def answer_all(self) -> None:
        self.answering = True
        for prompt in list(self._asked.values()):
            await self._answer(prompt)

    async def hang_up(self) -> None:
        """Cut the client that sends off; it comes back."""
        if self._socket is not None:
            await self._socket.close()

    def pending(self) -> int:
        return len(self._asked)

    def done(self) -> bool:
        """Return whether both clients saw the ends of all runs, and nothing is to be
        acknowledged.
        """
        all_ended = all(sent.message_id in view.ended for sent in self.sent for view in self.views)
        return all_ended and not self._outbox

    def text(self, message: Sent) -> str:
        return "".join(
            frame["content"].get("text", "")
            for frame in self.view.frames
            if frame["type"] == "system_response_message"
            and frame["parent_id"] == message.message_id
        )

    async def until(
        self, description: str, condition: Callable[[], object], timeout: float = 60
    ) -> None:
        """Wait until the condition holds; a failure begins with the description."""
        await until_true(condition, timeout, every=0.02, otherwise=lambda: self.story(description))

    def story(self, description: str) -> str:
        frame_texts = [json.dumps(frame)[:300] for frame in self.view.frames[-12:]]
        unsettled = f"to be acknowledged: {list(self._outbox)}; asked: {list(self._asked)}"
        return "\n".join([f"{self.conversation}: {description}; {unsettled}", *frame_texts])

    async def _put(self, frame: Frame) -> None:
        self._outbox[frame["id"]] = frame
        await self._send(frame)

    async def _send(self, frame: Frame) -> None:
        if self._socket is not None:
            try:
                await self._socket.send(json.dumps(frame))
            except ConnectionClosed:  # it is sent again on the next socket
                self._socket = None

    async def _answer(self, prompt: Frame) -> None:
        self._asked.pop(prompt["interaction_id"], None)
        await self._put(self._answer_of("answer", prompt))

    def _answer_of(self, id_prefix: str, prompt: Frame) -> Frame:
        interaction = prompt["interaction_id"]
        return {
            "type": "user_interaction_message",
            "id": f"{id_prefix}-{interaction}",
            "interaction_id": interaction,
            **self._content(answer_to(prompt["parent_id"], prompt["content"]["text"])),
        }

    async def _follow(self, view: View, number: int, met: Met) -> None:
        """Be connected: to the next web process whenever one lets go."""
        for web in count(number):
            with suppress(OSError, InvalidHandshake, TimeoutError):
                await self._listen(view, web, met)
            await asyncio.sleep(BACK_AFTER)

    async def _listen(self, view: View, web: int, met: Met) -> None:
        """Follow one socket to its end."""
        query = {
            "extended": "true",
            "conversation_id": self.name,
            "workflow": self.workflow,
            "last_sequence": view.last,
        }
        origin = self.form.origin(web)
        async with connect(
            f"ws{origin.removeprefix('http')}/websocket?{urlencode(query)}",
            additional_headers={"Cookie": f"sessionid={self.form.cookies[self.user]}"},
            origin=origin,  # type: ignore[arg-type] # a NewType of str there
            max_size=None,
            compression=None,
            proxy=None,
            open_timeout=SILENT,
            ping_interval=SILENT / 2,
            ping_timeout=SILENT / 2,
            close_timeout=1,
        ) as socket:
            sends = view is self.view
            if sends:
                self._socket = socket
                await self._resend()
            try:
                async for text in socket:
                    frame = json.loads(text)
                    view.take(frame)
                    await met(socket, frame)
            except ConnectionClosed:
                pass
            finally:
                if sends:
                    self._socket = None
            view.close_codes.append(socket.close_code or 1006)

    async def _met_plainly(self, socket: ClientConnection, frame: Frame) -> None:
        """Handle a frame to the other client: a second answer is too late, or makes the first
        so.
        """
        if self.rival and self.answering and frame["type"] == "system_interaction_message":
            await socket.send(json.dumps(self._answer_of("rival", frame)))

    async def _met(self, socket: ClientConnection, frame: Frame) -> None:
        """Handle a frame to the client that sends."""
        if "sequence" in frame:
            await self._send({"type": "ack_message", "sequence": frame["sequence"]})
        match frame["type"]:
            case "ack_message" if frame["outcome"] in FINAL:
                self._outbox.pop(frame["for"], None)
                self.accepted[frame["for"]] = frame["outcome"]
                if "run_id" in frame["content"]:
                    self.runs[frame["for"]] = frame["content"]["run_id"]
            case "system_interaction_message":
                if f"answer-{frame['interaction_id']}" in self._outbox:
                    return
                self._asked[frame["interaction_id"]] = frame
                if self.answering:
                    await self._answer(frame)
            case "interaction_update_message":
                self._asked.pop(frame["interaction_id"], None)

    async def _insist(self) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            await self._resend()

    async def _resend(self) -> None:
        for frame in list(self._outbox.values()):
            await self._send(frame)

    def _content(self, text: str) -> Frame:
        part = {"type": "text", "text": text}
        return {
            "conversation_id": self.name,
            "schema_type": "chat_stream",
            "content": {"messages": [{"role": "user", "content": [part]}]},
        }
