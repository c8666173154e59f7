"""Tests that a refused request has written nothing, whichever writes share its transaction."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.db import transaction

from sessions_app.errors import Invalid, Refused
from sessions_app.models import Attachment, Conversation, Event, Run
from sessions_app.storage import attachments, reads, sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Lane, Work, writer
from sessions_app.workflows import BinaryPrompt, Context, Message, workflow
from tests.support.hosting import Hosting, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@workflow(name="t_refusing", title="Asks")
async def refusing(message: Message, context: Context) -> str:
    return str((await context.ask(BinaryPrompt(text="ok?", options=["yes", "no"]))).value)


@workflow(name="t_takes_files", title="Files", takes_files=True)
async def takes_files(message: Message, context: Context) -> str:
    return "ok"


async def keep(hosting: Hosting) -> Attachment:
    """Return a stored file that belongs to no message yet."""
    file = ContentFile(b"x", "a.txt")
    return await attachments.keep(owner=hosting.user, conversation_id="c", file=file)


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.mark.cluster_only("two writers wait for one row")
async def test_a_message_refused_for_a_taken_file_leaves_no_run() -> None:
    async with Hosting("t_takes_files") as hosting:
        await hosting.submit("first")
        refused_names: list[str] = []
        async with asyncio.timeout(60):
            # Repeat: if one thread writes both by chance, both are accepted.
            while not refused_names:
                refused_names = await send_two_with_one_file(hosting)
        [name] = refused_names
        refused_runs = Run.objects.filter(message_id=name)
        assert await reads.read(refused_runs.count) == 0
        assert await hosting.submit("again", message_id=name)


async def send_two_with_one_file(hosting: Hosting) -> list[str]:
    """Send two messages with the same file simultaneously; return the refused names."""
    file = await keep(hosting)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Conversation.objects.select_for_update().get()
            held.set()
            let_go.wait(10)

    holder = reads.begin(hold)
    await asyncio.to_thread(held.wait, 10)
    names = [uuid4().hex, uuid4().hex]
    submissions = [hosting.submit(name, message_id=name, files=(str(file.pk),)) for name in names]
    both = asyncio.gather(*submissions, return_exceptions=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while (await reads.read(sql.fetch, WAITING, ()))[0][0] < 2:  # noqa: ASYNC110 - others wait
                await asyncio.sleep(0.02)
    let_go.set()
    await holder
    came = await both
    return [name for name, one in zip(names, came, strict=True) if isinstance(one, Invalid)]


async def test_a_refused_write_is_not_announced_but_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Hosting("t_refusing") as hosting:
        await hosting.prompts(await hosting.submit())
        run = await reads.read(Run.objects.get)
        announced = list[str]()
        tell = lambda tx: announced.extend(one.payload["text"] for one in tx.events)  # noqa: E731
        called_texts = list[str]()

        def say(text: str, *, refused: bool) -> Work[None]:
            def work(tx: Transaction) -> None:
                tx.append(run, Event.Type.TEXT.value, {"text": text})
                tx.after_commit.append(lambda: called_texts.append(text))
                if refused:
                    raise Refused

            return work

        lane, gate = Lane(), threading.Event()
        before = writer.write(lambda tx: gate.wait(10), lane)
        lanes = [Lane(order_of=lane) for _ in range(3)]
        with monkeypatch.context() as patched:
            patched.setattr(writer, "on_commit", tell)
            written = [
                writer.write(say(text, refused=text == "no"), one)
                for text, one in zip(("one", "no", "two"), lanes, strict=True)
            ]
            gate.set()  # the writes were queued meanwhile, and share a transaction
            await before
            outcomes = await asyncio.gather(*written, return_exceptions=True)
        assert [type(one) for one in outcomes] == [type(None), Refused, type(None)]
        texts = Event.objects.filter(type="text").order_by("sequence")
        stored_texts = await reads.read(lambda: [one.payload["text"] for one in texts])
        assert stored_texts == announced == called_texts == ["one", "two"]


async def test_a_refused_write_leaves_the_callers_transaction_intact() -> None:
    async with Hosting("t_refusing") as hosting:
        calls = list[str]()

        def work(tx: Transaction) -> None:
            make_user("written")
            tx.after_commit.append(lambda: calls.append("told"))
            raise Refused

        def within() -> None:
            with transaction.atomic():
                make_user("callers")
                with pytest.raises(Refused):
                    writer.write_within(work)

        await reads.read(within)
        names = get_user_model().objects.values_list("username", flat=True)
        assert set(await reads.read(lambda: list(names))) == {hosting.person.username, "callers"}
        assert not calls
