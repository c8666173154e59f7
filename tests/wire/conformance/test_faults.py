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


async def test_no_conversation_id_at_all(shared: Server) -> None:
    async with Conforming(shared, workflow="probe") as client:
        prompt = await client.message_until_prompt("ask()")
        await client.send(answer("Ada"))
        assert await client.result() == "Ada"
        assert prompt["conversation_id"]
        await client.send(message('echo("the same one")'))
        await client.until_ended()
        assert len({frame["conversation_id"] for frame in client.frames}) == 1


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


async def test_a_new_socket_takes_over_before_the_prompt_comes(shared: Server) -> None:
    async with Conforming(shared, uuid4().hex, workflow="probe") as client:
        await client.send(message("ask(delay=0.3)"))
        await client.until("ack_message")
    async with Conforming(shared, client.conversation_id) as back:
        prompt = await back.until("system_interaction_message")
        await back.send(answer("Ada", thread_id=prompt["thread_id"]))
        assert await back.result() == "Ada"
        assert len(back.of_type("system_interaction_message")) == 1


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


async def test_three_conversations_of_one_per_user_workflow_do_not_hear_each_other(
    shared: Server,
) -> None:
    clients = [Conforming(shared, uuid4().hex, workflow="expense_approval") for _ in range(3)]
    async with clients[0], clients[1], clients[2]:
        for number, client in enumerate(clients):
            await client.send(message(f"Taxi for {number + 1}1.50 EUR", id=f"m{number}"))
        prompts = [await client.until("system_interaction_message") for client in clients]
        assert len({prompt["id"] for prompt in prompts}) == 3
        for number, client in enumerate(clients):
            await client.send({"type": "ping_message"})
            await client.until("pong_message")
            heard = [frame for frame in client.frames if frame["conversation_id"] is not None]
            assert {frame["conversation_id"] for frame in heard} == {client.conversation_id}
            assert {frame["parent_id"] for frame in heard if "run_id" in frame} == {f"m{number}"}
        # An answer of one conversation reaches no prompt of another, though the user is the same.
        await clients[0].send(answer("x", id="a1", thread_id=prompts[1]["id"]))
        ack = await clients[0].reply_to("a1")
        assert ack["outcome"] == "not_found"
