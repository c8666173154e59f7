"""A socket on more conversations than it follows."""

from typing import Any

import pytest

from chat_app.socket import subscriptions
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _two_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_FEEDS", 2)


async def ask_in(socket: LocalSocket, *conversations: str) -> None:
    for name in conversations:
        await socket.say_until_prompt("ask()", conversation_id=name)


async def test_the_least_recently_used_conversation_is_unfollowed_with_a_notice(ann: Any) -> None:
    async with LocalSocket(ann) as socket:
        await ask_in(socket, "a", "b")
        await socket.send({"type": "stop_message", "conversation_id": "a"})
        await socket.until("ack_message")
        await ask_in(socket, "c")
        unfollowed = [
            one for one in socket.of_type("error_message") if not one["details"]["followed"]
        ]
        assert [one["conversation_id"] for one in unfollowed] == ["b"]
        async with LocalSocket(ann) as other:
            await other.answer("bea", conversation_id="b")
            await other.until(lambda frame: frame.get("outcome") == "accepted")
        after = unfollowed[0]["details"]["last_sequence"]
        async with LocalSocket(ann, conversation_id="b", last_sequence=after) as back:
            await back.until("system_response_message")
            assert back.text() == "bea"


async def test_a_plain_client_gets_no_notice_of_an_unfollowed_conversation(ann: Any) -> None:
    async with LocalSocket(ann, extended=None) as socket:
        await ask_in(socket, "a", "b", "c")
        await socket.answer("cleo", conversation_id="c")
        await socket.until("system_response_message")
        assert not socket.of_type("error_message")
