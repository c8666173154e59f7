"""A socket on a conversation that another tab begins."""

import asyncio
import threading
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from chat_app import consumers, rates
from chat_app.feed.selectors import find_conversation, read_opening
from chat_app.rates import submit
from chat_app.socket import subscriptions
from sessions_app.conversations import messages
from sessions_app.errors import StorageUnavailable
from tests.support.hitl import set_hitl
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _slow_sweeper(settings: Settings) -> None:
    """Keep the sweeper from making up for anything: what comes, the socket gets by itself."""
    set_hitl(settings, SWEEP_SECONDS=30)


async def end_of(socket: LocalSocket, message: str) -> int:
    while (end := await socket.until_ended())["parent_id"] != message:
        pass
    return int(end["sequence"])


@pytest.mark.parametrize("last_sequence", [0, None, 7])
async def test_a_second_tab_that_writes_gets_the_beginning(
    ann: Any, last_sequence: int | None
) -> None:
    late = LocalSocket(ann, conversation_id="c", last_sequence=last_sequence)
    async with LocalSocket(ann, conversation_id="c") as first, late:
        await late.until_settled()
        await first.say('echo("one")', id="m1")
        await end_of(first, "m1")
        await late.say('echo("two")', id="m2")
        last = await end_of(late, "m2")
        assert late.sequences() == list(range(1, last + 1))


async def test_the_later_of_two_first_messages_gets_the_beginning(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = rates.submit

    async def submit_second(**message: Any) -> Any:
        monkeypatch.setattr(consumers, "submit", submit)
        await first.say('echo("one")', id="m1", conversation_id="c")
        await end_of(first, "m1")
        return await submit(**message)

    async with LocalSocket(ann) as first, LocalSocket(ann) as late:
        monkeypatch.setattr(consumers, "submit", submit_second)
        await late.say('echo("two")', id="m2", conversation_id="c")
        last = await end_of(late, "m2")
        assert late.sequences() == list(range(1, last + 1))


async def test_a_beginning_that_two_tasks_find_at_once_is_sent_once(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, let_go = threading.Event(), threading.Event()

    def find(*names: Any) -> Any:
        conversation = find_conversation(*names)
        if conversation and not found.is_set():
            found.set()
            let_go.wait(10)
        return conversation

    monkeypatch.setattr(subscriptions, "find_conversation", find)
    late = LocalSocket(ann, conversation_id="c", waiting="true")
    async with LocalSocket(ann) as other, late:
        await late.until(lambda frame: frame.get("waiting") == 0)
        await late.until_settled()
        await messages.submit(
            owner=ann.pk, conversation_id="c", message=messages.IncomingMessage("m1", 'echo("one")')
        )
        await late.say('echo("two")', id="m2")
        assert await asyncio.to_thread(found.wait, 10)
        # The task that sends this count looks for the conversation next.
        await other.say_until_prompt("ask()", conversation_id="elsewhere")
        await late.until(lambda frame: frame.get("waiting") == 1)
        let_go.set()
        last = await end_of(late, "m2")
        assert late.sequences() == list(range(1, last + 1))


async def test_a_fault_where_a_conversation_has_come_to_be_does_not_end_the_socket(
    ann: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hitl(settings, SWEEP_SECONDS=0.05)
    faults = [OperationalError("server closed the connection unexpectedly")]

    def lose(*args: Any, **fields: Any) -> Any:
        if faults:
            raise faults.pop()
        return read_opening(*args, **fields)

    monkeypatch.setattr(subscriptions, "read_opening", lose)
    async with LocalSocket(ann, conversation_id="c") as socket:
        await socket.until_settled()
        message = messages.IncomingMessage("m1", 'echo("one")')
        await messages.submit(owner=ann.pk, conversation_id="c", message=message)
        await socket.until(lambda frame: frame.get("parent_id") == "m1")
        assert not faults


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "not named"])
@pytest.mark.parametrize("place", ["store", "open"])
async def test_a_beginning_is_not_lost_by_a_fault(
    ann: Any, monkeypatch: pytest.MonkeyPatch, place: str, *, is_named: bool
) -> None:
    faults = ["one"]

    async def submit_and_lose(**fields: Any) -> Any:
        submitted = await submit(**fields)
        if place == "store" and faults:
            faults.pop()
            raise StorageUnavailable
        return submitted

    def lose(*args: Any, **fields: Any) -> Any:
        if place == "open" and faults:
            faults.pop()
            raise OperationalError("server closed the connection unexpectedly")
        return read_opening(*args, **fields)

    monkeypatch.setattr(consumers, "submit", submit_and_lose)
    monkeypatch.setattr(subscriptions, "read_opening", lose)
    query: dict[str, Any] = {"conversation_id": "new"} if is_named else {}
    async with LocalSocket(ann, **query) as socket:
        for answer in ("error_message", "ack_message"):
            await socket.say('echo("hello")', id="m1", conversation_id="new")
            await socket.until(answer)
        frames = [one for one in socket.frames if "sequence" in one]
        assert (frames[0]["sequence"], frames[0]["parent_id"]) == (1, "m1")
