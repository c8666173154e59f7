"""A conversation whose events a test writes itself."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.notify.notifier import Notifier
from sessions_app.storage import reads
from sessions_app.storage.run_text import fold
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from tests.support.hosting import make_user
from tests.wire.local_socket import LocalSocket


class LiveLog:
    """Makes user `ann` and her conversation "c" with a running run, by `async with LiveLog()`."""

    def __init__(self, schema_type: str = "chat_stream") -> None:
        self.schema_type = schema_type
        self.notifier = Notifier()
        self.user: Any = None
        self.run: Run = Run()

    async def __aenter__(self) -> "LiveLog":
        """Make the rows and start the notifier."""
        self.user = await reads.read(make_user, "ann")
        self.run = await writer.write(self._make_run)
        await self.notifier.start()
        writer.on_commit = self.notifier.publish
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop both."""
        writer.on_commit = None
        await self.notifier.stop()
        await asyncio.to_thread(writer.stop)

    @property
    def conversation(self) -> UUID:
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
            key="conversation:c:none",
            message_id="m1",
            text="hello",
            client_format=self.schema_type,
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
        return await writer.write(lambda tx: tx.append(self.run, type_, payload))

    async def ask(self, text: str = "Go on?", input_type: str = "text") -> str:
        """Ask a prompt without options; return the interaction's id."""
        interaction_id = uuid4()
        prompt = {"input_type": input_type, "text": text, "timeout": None, "error": "too late"}

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

    async def settle(
        self, interaction_id: str, status: str = "answered", via: str = "websocket"
    ) -> None:
        """Settle a prompt, without a run that would take it."""

        def work(tx: Transaction) -> None:
            Interaction.objects.filter(pk=interaction_id).update(status=status)
            payload = {
                "interaction_id": interaction_id,
                "status": status,
                "version": 2,
                "response": {"value": "yes"},
                "by": "ann",
                "at": timezone.now().isoformat(),
                "via": via,
            }
            tx.append(self.run, "interaction_update", payload)

        await writer.write(work)

    async def end(self, status: str = "completed", **payload: Any) -> int:

        def work(tx: Transaction) -> int:
            Run.objects.filter(pk=self.run.pk).update(status=status)
            sequence = tx.append(self.run, "run", {"status": status, **payload})
            fold(self.run.id, self.run.conversation_id)
            return sequence

        return await writer.write(work)

    async def last(self) -> int:
        return await reads.read(
            lambda: Event.objects.order_by("-sequence").values_list("sequence", flat=True)[0]
        )

    def socket(self, **query: Any) -> LocalSocket:
        return LocalSocket(self.user, **{"conversation_id": "c", **query})


def next_run(log: LiveLog) -> Run:
    """Return a run of a second message, which is not stored."""
    return Run(
        id=uuid4(),
        conversation_id=log.conversation,
        key="none",
        message_id="m2",
        text="hello",
        status=Run.Status.RUNNING,
    )


def append_next(tx: Transaction, log: LiveLog, text: str) -> None:
    """Store the next message of the conversation, and the first piece of its answer."""
    run = next_run(log)
    run.created_at = tx.now
    run.save(force_insert=True)
    payload = {"message_id": "m2", "text": text, "client_format": "chat_stream"}
    tx.append(run, "user_message", payload)
    tx.append(run, "text", {"text": "new "})


def write_after(
    function: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    log: LiveLog,
    witness: LocalSocket,
) -> None:
    """Have an event written between what that function reads next, and what comes of it."""
    begin = reads.begin

    async def read_before_a_write(called: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = await begin(called, *args, **kwargs)
        if called is function:
            monkeypatch.setattr(reads, "begin", begin)
            sequence = await log.write("between")
            await witness.until_sequence(sequence)  # who listens has heard of it
        return result

    monkeypatch.setattr(
        reads,
        "begin",
        lambda *args, **kwargs: asyncio.ensure_future(read_before_a_write(*args, **kwargs)),
    )
