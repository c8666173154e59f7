"""Tests of the costs of a message and an answer, counted: timings differ between machines."""

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from chat_app.identity import identities
from sessions_app.hosting.dispatch import local
from sessions_app.storage import reads, sql
from sessions_app.storage.writer import Writer, writer
from tests.wire.local_socket import LocalSocket

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.local_only(
        "in a cluster several processes share the work, and Redis is between them"
    ),
]


@pytest.fixture(autouse=True)
def _looks_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the look of each second not fall into what is counted."""
    monkeypatch.setattr(local, "LOOK_EVERY", 60.0)


OF_WRITER = ("statements", "commits", "to the loop")


class Costs(Counter[str]):
    """Counts from `begin` on."""

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        for owner, name, counter in (
            (sql, "_execute", "statements"),
            (CursorWrapper, "execute", "statements"),
            (BaseDatabaseWrapper, "_commit", "commits"),
            (reads, "begin_in", "reads"),
            (Writer, "_put", "to the writer"),
            (loop, "call_soon_threadsafe", "to the loop"),
        ):
            counted = self._counted(getattr(owner, name), counter)
            monkeypatch.setattr(owner, name, counted)

    def _counted(self, function: Callable[..., Any], counter: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            # Threads that read wake the loop too, and may be at what was asked of them before; of
            # what is asked of them now, `reads` tells.
            if counter not in OF_WRITER or threading.current_thread().name == "writer":
                self[counter] += 1
            return function(*args, **kwargs)

        return call


async def cost(
    socket: LocalSocket, work: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> Costs:
    """Return the costs of the second time: the first one finds nothing ready."""
    monkeypatch.setattr(identities, "GOOD_FOR", 60)  # a look at the identity, once a second
    await work()
    await socket.until_settled()
    await writer.write(lambda tx: None)  # it has told of all that it did before
    counted, before = Costs(), len(socket.frames)
    with monkeypatch.context() as patch:
        counted.watch(patch)
        await work()
        await asyncio.sleep(0.1)
    counted["frames"] = len(socket.frames) - before
    return counted


async def test_the_statements_of_an_echo_are_counted(
    socket: LocalSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction stores the message and takes it up, another stores text and end."""

    async def echo() -> None:
        await socket.say('echo("hello")')
        await socket.until_ended()

    assert await cost(socket, echo, monkeypatch) == {
        "to the writer": 2,
        "commits": 2,
        "statements": 17,
        "to the loop": 2,
        "frames": 7,
    }


@pytest.mark.parametrize(("is_named", "expected_reads"), [(True, {}), (False, {"reads": 1})])
async def test_the_statements_of_an_answer_are_counted(
    socket: LocalSocket,
    monkeypatch: pytest.MonkeyPatch,
    is_named: bool,
    expected_reads: dict[str, int],
) -> None:
    """A transaction stores the answer, another the next question.

    The answer to a prompt that was sent to this socket is checked without a read.
    """

    def names() -> dict[str, str]:
        prompt = socket.of_type("system_interaction_message")[-1]
        return {"interaction_id": prompt["id"]} if is_named else {}

    async def answer() -> None:
        await socket.answer("continue", **names())
        await socket.until("system_interaction_message")

    await socket.say_until_prompt("approve(count=10)")
    expected = {
        "to the writer": 2,
        "commits": 2,
        "statements": 12,
        "to the loop": 2,
        "frames": 3,
    }
    assert await cost(socket, answer, monkeypatch) == {**expected, **expected_reads}


@pytest.mark.slow
async def test_no_statement_is_planned_anew(
    socket: LocalSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite asks its authorizer whenever it compiles a statement.

    It does so where the condition of an index meets a parameter: that costs ten times what the
    statement does.
    """
    monkeypatch.setattr(identities, "GOOD_FOR", 60)
    compiled: list[tuple[Any, ...]] = []

    def authorize(*about: Any) -> int:
        compiled.append(about)
        return sqlite3.SQLITE_OK

    async def trips() -> None:
        await socket.say("approve(count=10)")
        for _ in range(10):
            await socket.until("system_interaction_message")
            await socket.answer("continue")
        await socket.until_ended()

    await writer.write(lambda tx: connection.connection.set_authorizer(authorize))
    await trips()
    assert compiled
    await trips()
    await socket.until_settled()
    compiled.clear()
    await trips()
    assert [about for about in compiled if about[0] != sqlite3.SQLITE_TRANSACTION] == []
    await writer.write(lambda tx: connection.connection.set_authorizer(None))
