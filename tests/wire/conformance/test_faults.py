"""Tests of what went wrong in the peer, from raw JSON against a real server."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.support.received_frames import Frame
from tests.support.server import Server
from tests.wire.conformance.conftest import Conforming, answer, as_plain


def message(text: str, **fields: Any) -> Frame:
    return as_plain("user_message", text, schema_type="chat_stream", **fields)


@pytest.mark.parametrize("conversation_id", [None, "c"])
async def test_an_answer_with_no_prompt_pending(
    shared: Server, conversation_id: str | None
) -> None:
    conversation_id = conversation_id and uuid4().hex
    async with Conforming(shared, conversation_id, workflow="probe") as client:
        await client.send(answer("too early", id="a1"))
        ack = await client.reply_to("a1")
        assert (ack["type"], ack["outcome"]) == ("ack_message", "not_found")
        await client.send(message("ask()"))
        await client.until("system_interaction_message")
        await client.send(answer("Ada", id="a2"))
        assert await client.result() == "Ada"


@pytest.mark.slow
async def test_two_tabs_see_the_same_and_one_of_their_answers_counts(client: Conforming) -> None:
    async with Conforming(client.server, client.conversation_id) as tab:
        prompt = await client.message_until_prompt("ask()")
        assert (await tab.until("system_interaction_message"))["id"] == prompt["id"]
        await asyncio.gather(
            client.send(answer("one", id="a1", thread_id=prompt["id"])),
            tab.send(answer("two", id="a2", thread_id=prompt["id"])),
        )
        acks = [
            await client.reply_to("a1"),
            await tab.reply_to("a2"),
        ]
        assert sorted(ack["outcome"] for ack in acks) == ["accepted", "stale"]
        response = acks[0]["content"]["response"]
        assert acks[1]["content"]["response"] == response
        for each in (client, tab):
            await each.until_ended()
            [update] = each.of_type("interaction_update_message")
            assert update["interaction_id"] == prompt["id"]
            outcome = {
                name: update["content"][name] for name in ("status", "by", "via", "response")
            }
            how = {"status": "answered", "by": "ann", "via": "websocket"}
            assert outcome == {**how, "response": response}
        assert client.text() == tab.text() == response["value"]


async def test_a_prompt_does_not_overtake_the_text_before_it(client: Conforming) -> None:
    await client.send(message("stream_and_ask(tokens=200)"))
    await client.until("system_interaction_message")
    assert client.text() == "".join(f"t{number} " for number in range(200))
    await client.send(answer("Ada"))
    await client.until_ended()
    assert client.text().endswith("t199 Ada")
