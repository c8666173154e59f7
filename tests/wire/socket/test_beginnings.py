"""Tests of who begins a conversation gets all of it, also where the database fails in between."""

from typing import Any

import pytest
from django.db import OperationalError

from chat_app import consumers
from chat_app.feed.selectors import read_opening
from chat_app.rates import submit
from chat_app.socket import subscriptions
from sessions_app.errors import StorageUnavailable
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, workflow
from tests.support.hosting import Hosting, make_user
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_beginning", title="Begins")
async def beginning(message: Message, context: Context) -> str:
    return "ok"


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "not named"])
@pytest.mark.parametrize("place", ["store", "open"])
async def test_a_beginning_is_not_lost_by_a_fault(
    monkeypatch: pytest.MonkeyPatch, place: str, *, is_named: bool
) -> None:
    faults = ["one"]

    async def submit_and_lose(**fields: Any) -> Any:
        """Submit a message that is committed and of which nobody hears."""
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
    async with Hosting("t_beginning") as hosting:
        query: dict[str, Any] = {"conversation_id": "new"} if is_named else {}
        user = await reads.read(make_user, hosting.person.username)
        async with LocalSocket(user, workflow="t_beginning", **query) as socket:
            for answer in ("error_message", "ack_message"):
                await socket.say("hello", id="m1", conversation_id="new")
                await socket.until(answer)
            frames = [one for one in socket.frames if "sequence" in one]
            assert (frames[0]["sequence"], frames[0]["parent_id"]) == (1, "m1")
