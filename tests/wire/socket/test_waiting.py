"""Tests of the count of a person's questions: told to sockets that ask, in every conversation."""

from collections.abc import AsyncGenerator

import pytest

from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import make_user
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_waiting", title="Waiting")
async def waiting(_: Message, context: Context) -> AsyncGenerator[str, None]:
    yield (await context.ask(TextPrompt(text="name?"))).text


async def test_a_socket_that_asks_gets_the_count_of_all_conversations() -> None:
    ann, ben = await reads.read(make_user, "ann"), await reads.read(make_user, "ben")
    async with (
        live_hosting("t_waiting"),
        LocalSocket(ann, conversation_id="c") as asking,
        LocalSocket(ann, waiting="true") as listening,
        LocalSocket(ben, waiting="true") as other,
        LocalSocket(ann, extended=None, waiting="true") as plain,
    ):
        await listening.until(lambda frame: frame.get("waiting") == 0)
        await other.until(lambda frame: frame.get("waiting") == 0)
        await asking.say("hello")
        await listening.until(lambda frame: frame.get("waiting") == 1)
        prompt = await asking.until("system_interaction_message")
        await asking.answer("x", interaction_id=prompt["id"], id="a1")
        await listening.until(lambda frame: frame.get("waiting") == 0)
        await other.until_settled()
        assert [frame["waiting"] for frame in listening.of_type("waiting_message")] == [0, 1, 0]
        assert len(other.of_type("waiting_message")) == 1
        await plain.until_settled()
        assert not [*asking.of_type("waiting_message"), *plain.of_type("waiting_message")]
