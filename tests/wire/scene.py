"""A conversation whose events a test writes itself, and sockets on it, all in one process."""

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.utils import timezone

from chat_app.consumers import ChatConsumer
from sessions_app import database
from sessions_app.event_log import Transaction, writer
from sessions_app.event_log.fold import fold
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.notify import Notifier
from tests.support.hosting import make_user

Frame = dict[str, Any]


class Scene:
    """Makes user `ann` and her conversation "c" with a running run, by `async with Scene()`."""

    def __init__(self, schema_type: str = "chat_stream") -> None:
        self.schema_type = schema_type
        self.notifier = Notifier()
        self.user: Any = None
        self.run: Run = Run()

    async def __aenter__(self) -> "Scene":
        """Make the rows and start the notifier."""
        self.user = await database.read(make_user, "ann")
        self.run = await writer.write(self._make_run)
        await self.notifier.start()
        writer.on_commit = self.notifier.publish
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop both."""
        writer.on_commit = None
        await self.notifier.stop()
        await asyncio.to_thread(writer.stop)

    @property
    def conversation(self) -> UUID:
        """The conversation's own id."""
        return self.run.conversation_id

    def _make_run(self, tx: Transaction) -> Run:
        conversation = Conversation.objects.create(
            owner=self.user,
            conversation_id="c",
            workflow="none",
            created_at=tx.now,
            updated_at=tx.now,
        )
        return Run.objects.create(
            conversation=conversation,
            key="none",
            message_id="m1",
            text="hello",
            schema_type=self.schema_type,
            status=Run.Status.RUNNING,
            created_at=tx.now,
        )

    async def write(self, *texts: str) -> int:
        """Append pieces of output in one transaction; return the last sequence."""

        def work(tx: Transaction) -> int:
            sequences = [tx.append(self.run, "text", {"text": text}) for text in texts]
            return sequences[-1]

        return await writer.write(work)

    async def append(self, type_: str, payload: dict[str, Any]) -> int:
        """Append one event."""
        return await writer.write(lambda tx: tx.append(self.run, type_, payload))

    async def ask(self, text: str = "Go on?") -> str:
        """Ask a text prompt; return the interaction's id."""
        interaction_id = uuid4()
        prompt = {"input_type": "text", "text": text, "timeout": None, "error": "too late"}

        def work(tx: Transaction) -> None:
            payload = {
                "interaction_id": str(interaction_id),
                "prompt": prompt,
                "expires_at": None,
                "version": 1,
            }
            sequence = tx.append(self.run, "interaction", payload)
            Interaction.objects.create(
                id=interaction_id,
                run=self.run,
                conversation_id=self.conversation,
                position=sequence,
                sequence=sequence,
                prompt=prompt,
                created_at=tx.now,
            )

        await writer.write(work)
        return str(interaction_id)

    async def settle(self, interaction_id: str) -> None:
        """Answer a prompt, without a run that would take it."""

        def work(tx: Transaction) -> None:
            Interaction.objects.filter(pk=interaction_id).update(status="answered")
            payload = {
                "interaction_id": interaction_id,
                "status": "answered",
                "version": 2,
                "response": {"value": "yes"},
                "by": "ann",
                "at": timezone.now().isoformat(),
                "via": "websocket",
            }
            tx.append(self.run, "interaction_update", payload)

        await writer.write(work)

    async def end(self, status: str = "completed", **payload: Any) -> int:
        """End the run and fold its text."""

        def work(tx: Transaction) -> int:
            Run.objects.filter(pk=self.run.pk).update(status=status)
            sequence = tx.append(self.run, "run", {"status": status, **payload})
            fold(self.run)
            return sequence

        return await writer.write(work)

    async def last(self) -> int:
        """The log's last sequence."""
        return await database.read(
            lambda: Event.objects.order_by("-sequence").values_list("sequence", flat=True)[0]
        )

    def socket(self, **query: Any) -> "LocalSocket":
        """A socket of `ann` on the conversation."""
        return LocalSocket(self.user, **{"conversation_id": "c", **query})


class LocalSocket:
    """A socket without a server: `frames` has all that it was sent."""

    def __init__(self, user: Any, *, headers: dict[str, str] | None = None, **query: Any) -> None:
        headers = headers or {}
        self.scope = {
            "type": "websocket",
            "path": "/websocket",
            "query_string": urlencode({k: v for k, v in query.items() if v is not None}).encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ["127.0.0.1", 1],
            "server": ["testserver", 80],
            "scheme": "ws",
            "user": user,
            "session": None,
        }
        self.frames: list[Frame] = []
        self.accepted = False
        self.closed: int | None = None
        self._inbox: asyncio.Queue[Frame] = asyncio.Queue()
        self._news = asyncio.Condition()
        self._seen = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LocalSocket":
        """Connect."""
        self._inbox.put_nowait({"type": "websocket.connect"})
        application = ChatConsumer.application(self.scope, self._inbox.get, self._sent)
        self._task = asyncio.create_task(application)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        """Send a user message."""
        await self.send({"type": "user_message", **content(text), **fields})

    async def answer(self, text: str, **fields: Any) -> None:
        """Send an answer."""
        await self.send({"type": "user_interaction_message", **content(text), **fields})

    async def until(self, wanted: str | Callable[[Frame], bool], timeout: float = 5) -> Frame:
        """The next frame of a type, or that a predicate accepts, after the last one returned."""
        async with asyncio.timeout(timeout), self._news:
            while True:
                while self._seen < len(self.frames):
                    frame = self.frames[self._seen]
                    self._seen += 1
                    if frame["type"] == wanted if isinstance(wanted, str) else wanted(frame):
                        return frame
                assert self.closed is None, f"closed {self.closed}: {self.frames[-5:]}"
                await self._news.wait()

    async def until_sequence(self, sequence: int, timeout: float = 30) -> None:
        """Wait for the frame of that sequence."""
        await self.until(lambda frame: frame.get("sequence") == sequence, timeout)

    async def until_closed(self, timeout: float = 5) -> int:
        """Wait until the server closes; return the code."""
        async with asyncio.timeout(timeout), self._news:
            while self.closed is None:
                await self._news.wait()
        return self.closed

    async def settled(self) -> None:
        """Wait until the socket has done what was asked of it so far."""
        await self.send({"type": "ping_message", "id": "settled"})
        await self.until("pong_message")

    def of_type(self, *names: str) -> list[Frame]:
        """The frames of these types so far."""
        return [frame for frame in self.frames if frame["type"] in names]

    def sequences(self) -> list[int]:
        """Those of the frames so far."""
        return [frame["sequence"] for frame in self.frames if "sequence" in frame]

    def text(self) -> str:
        """The output so far."""
        frames = self.of_type("system_response_message")
        return "".join(frame["content"]["text"] for frame in frames)

    async def _sent(self, message: Frame) -> None:
        async with self._news:
            if message["type"] == "websocket.accept":
                self.accepted = True
            elif message["type"] == "websocket.close":
                self.closed = message.get("code", 1000)
            else:
                self.frames.append(json.loads(message["text"]))
            self._news.notify_all()


def content(text: str) -> Frame:
    """The content of a message with this text."""
    part = {"type": "text", "text": text}
    return {"content": {"messages": [{"role": "user", "content": [part]}]}}
