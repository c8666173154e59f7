"""A socket on a conversation that another tab begins."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_django import Settings

from chat_app import consumers, rates
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, workflow
from tests.support.hitl import set_hitl
from tests.support.hosting import make_user
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_begun_elsewhere", title="Begun elsewhere")
async def begun_elsewhere(message: Message, context: Context) -> str:
    return f"[{message.text}]"


@pytest.fixture
async def ann(settings: Settings) -> AsyncIterator[Any]:
    """Keep the sweeper from making up for anything: what comes, the socket gets by itself."""
    set_hitl(settings, SWEEP_SECONDS=30)
    async with live_hosting("t_begun_elsewhere"):
        yield await reads.read(make_user, "ann")


async def end_of(socket: LocalSocket, message: str) -> int:
    """Wait until the message is answered; return the sequence."""
    end = await socket.until(
        lambda frame: (
            frame["type"] == "run_update_message"
            and frame["status"] == "complete"
            and frame["parent_id"] == message
        )
    )
    return int(end["sequence"])


@pytest.mark.parametrize("last_sequence", [0, None, 7])
async def test_a_second_tab_that_writes_gets_the_beginning(
    ann: Any, last_sequence: int | None
) -> None:
    late = LocalSocket(ann, conversation_id="c", last_sequence=last_sequence)
    async with LocalSocket(ann, conversation_id="c") as first, late:
        await late.until_settled()
        await first.say("one", id="m1")
        await end_of(first, "m1")
        await late.say("two", id="m2")
        last = await end_of(late, "m2")
        assert late.sequences() == list(range(1, last + 1))


async def test_the_later_of_two_first_messages_gets_the_beginning(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = rates.submit

    async def submit_second(**message: Any) -> Any:
        monkeypatch.setattr(consumers, "submit", submit)
        await first.say("one", id="m1", conversation_id="c")
        await end_of(first, "m1")
        return await submit(**message)

    async with LocalSocket(ann) as first, LocalSocket(ann) as late:
        monkeypatch.setattr(consumers, "submit", submit_second)
        await late.say("two", id="m2", conversation_id="c")
        last = await end_of(late, "m2")
        assert late.sequences() == list(range(1, last + 1))
