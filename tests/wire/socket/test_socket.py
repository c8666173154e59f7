"""A socket's conversation with a hosted workflow."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from pytest_django import Settings

from chat_app import consumers
from chat_app.socket import connection
from sessions_app.storage import reads
from sessions_app.storage.sql import database
from sessions_app.storage.writer import writer
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, make_user
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_message_is_acknowledged_and_answered(socket: LocalSocket) -> None:
    await socket.say('echo("hello")', id="m1")
    ack = await socket.reply_to("m1")
    assert (ack["type"], ack["outcome"]) == ("ack_message", "accepted")
    assert ack["conversation_id"] == "c"
    await socket.until_ended("completed")
    assert socket.text() == "hello"
    (message,) = socket.of_type("conversation_message")
    assert message["content"] == {"role": "user", "id": "m1", "text": 'echo("hello")'}
    assert message["run_id"] == ack["content"]["run_id"]
    assert all(frame["parent_id"] == "m1" for frame in socket.frames)


async def test_another_version_of_a_message_names_the_run_that_it_replaces(
    socket: LocalSocket,
) -> None:
    await socket.say("ask()", id="m1")
    asks = (await socket.reply_to("m1"))["content"]["run_id"]
    await socket.until("system_interaction_message")
    await socket.say('echo("two")', id="m2", replaces=asks)
    second = (await socket.reply_to("m2"))["content"]["run_id"]
    await socket.until_ended("completed")
    await socket.say("", id="m3", replaces=second)
    await socket.reply_to("m3")
    await socket.until_ended("completed")
    _, *messages = (frame["content"] for frame in socket.of_type("conversation_message"))
    fork = {"position": 1, "by": "ann"}
    assert messages == [
        {"role": "user", "id": "m2", "text": 'echo("two")', "fork": {"run": asks, **fork}},
        {"role": "user", "id": "m3", "text": 'echo("two")', "fork": {"run": second, **fork}},
    ]
    await socket.say('echo("no")', id="m4", follows="nothing")
    assert (await socket.reply_to("m4"))["type"] == "error_message"


async def test_an_answer_goes_on_with_the_run(socket: LocalSocket) -> None:
    prompt = await socket.say_until_prompt("ask()", id="m1")
    # As a plain client does it: by the prompt's ids, which it sends back.
    await socket.answer("Ada", id=prompt["id"], thread_id=prompt["thread_id"], parent_id="m1")
    assert (await socket.reply_to(prompt["id"]))["outcome"] == "accepted"
    update = await socket.until_ended()
    assert update["parent_id"] == "m1"
    assert socket.text() == "Ada"
    await socket.answer("Ada", id=prompt["id"], thread_id=prompt["thread_id"])
    assert (await socket.reply_to(prompt["id"]))["outcome"] == "duplicate"
    await socket.answer("Eve", id="a2", interaction_id=prompt["id"])
    stale = await socket.reply_to("a2")
    assert stale["outcome"] == "stale"
    assert stale["content"]["response"] == {"value": "Ada"}
    assert stale["content"]["by"] == "ann"


async def test_an_answer_must_name_one_of_several_prompts(socket: LocalSocket) -> None:
    first = await socket.say_until_prompt("ask_two()")
    second = await socket.until("system_interaction_message")
    await socket.answer("x")
    error = await socket.until("error_message")
    pending_ids = [one["interaction_id"] for one in error["details"]["pending"]]
    assert pending_ids == [first["id"], second["id"]]
    await socket.answer("b", interaction_id=second["id"])
    await socket.answer("a", thread_id=first["id"])
    await socket.until_ended("completed")
    assert socket.text() == "a|b"


async def test_an_answer_after_the_end_is_refused_and_the_next_prompt_stays(
    socket: LocalSocket,
) -> None:
    old = await socket.say_until_prompt("ask()")
    await socket.send({"type": "stop_message"})
    await socket.until_ended("cancelled")
    await socket.say_until_prompt("ask()")
    await socket.answer("late", id="a1", thread_id=old["id"])
    ack = await socket.reply_to("a1")
    assert (ack["outcome"], ack["content"]["status"]) == ("stale", "cancelled")
    await socket.answer("right", id="a2")
    await socket.until_ended("completed")
    assert socket.text() == "right"


@pytest.mark.parametrize("count", [1, 2])
async def test_stop_is_acknowledged_when_the_runs_have_ended(
    socket: LocalSocket, count: int
) -> None:
    await socket.say("stream(tokens=1000, delay=0.06)")
    await socket.until("system_response_message")
    for number in range(1, count):
        await socket.say("stream(tokens=1000, delay=0.06)", id=f"m{number}")
        await socket.reply_to(f"m{number}")
    await socket.send({"type": "stop_message", "id": "s1"})
    ack = await socket.reply_to("s1")
    assert (ack["outcome"], len(ack["content"]["runs"])) == ("accepted", count)
    before = socket.frames[: socket.frames.index(ack)]
    ended_ids = [one["run_id"] for one in before if one["content"].get("status") == "cancelled"]
    assert {*ended_ids} == {*ack["content"]["runs"]}
    await socket.send({"type": "stop_message", "id": "s2"})
    nothing = await socket.reply_to("s2")
    assert nothing["content"] == {"runs": []}


async def test_an_internal_error_is_reported_and_the_socket_lives(
    socket: LocalSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(**_: Any) -> None:
        raise RuntimeError("internal secret")

    monkeypatch.setattr("sessions_app.conversations.messages.submit", broken)
    await socket.say('echo("")')
    error = await socket.until("error_message")
    assert error["content"]["code"] == "unknown_error"
    assert "secret" not in str(error)
    monkeypatch.undo()
    await socket.say('echo("works")')
    await socket.until("ack_message")


async def test_a_busy_workflow_is_reported_as_busy(socket: LocalSocket, hosting: Hosting) -> None:
    hosting.offer(second_message="reject")
    await socket.say_until_prompt("ask()")
    await socket.say('echo("")')
    error = await socket.until("error_message")
    assert error["details"] == {"reason": "busy"}


async def test_one_socket_follows_several_conversations(ann: User) -> None:
    async with LocalSocket(ann) as socket:
        await socket.say('echo("one")', conversation_id="c1")
        await socket.say('echo("two")', conversation_id="c2")
        await socket.say('echo("three")')
        for _ in range(3):
            await socket.until_ended("completed")
        texts = {
            frame["conversation_id"]: frame["content"]["text"]
            for frame in socket.of_type("system_response_message")
            if frame["status"] == "in_progress"
        }
        assert sorted(texts.values()) == ["one", "three", "two"]
        assert (texts["c1"], texts["c2"]) == ("one", "two")
        # An answer in one conversation reaches no prompt of another, though the user is the same.
        prompt = await socket.say_until_prompt("ask()", conversation_id="c1")
        assert prompt["conversation_id"] == "c1"
        await socket.answer("x", id="a1", conversation_id="c2", thread_id=prompt["id"])
        assert (await socket.reply_to("a1"))["outcome"] == "not_found"


async def test_a_foreign_origin_is_refused_before_the_socket_opens() -> None:
    headers = {"host": "localhost", "origin": "http://evil.example"}
    async with LocalSocket(AnonymousUser(), headers=headers) as socket:
        await socket.until_closed()
        assert not socket.accepted


@pytest.mark.parametrize(
    ("count", "size"), [(10_000, 1), (6, 400_000)], ids=["of frames", "of bytes"]
)
async def test_a_flood_is_cut_off(socket: LocalSocket, count: int, size: int) -> None:
    for _ in range(count):
        await socket.send({"type": "ping_message", "padding": "x" * size})
    assert await socket.until_closed() == 4429


async def test_a_ping_is_answered_while_the_message_before_it_waits_for_a_write(
    socket: LocalSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_DELAY", 0.05)
    written = threading.Event()
    await socket.until_settled()
    try:
        for _ in range(database().WRITERS):
            writer.submit(lambda tx: written.wait(30))
        await socket.say('echo("1")', id="m1")
        await socket.send({"type": "ping_message", "id": "p"})
        await socket.say('echo("2")', id="m2")
        assert (await socket.reply_to("p"))["type"] == "pong_message"
        assert not socket.of_type("ack_message")
    finally:
        written.set()
    await socket.reply_to("m2")
    assert [frame["for"] for frame in socket.of_type("ack_message")] == ["m1", "m2"]


async def test_a_client_over_its_limit_is_slowed_down_and_still_gets_pongs(
    socket: LocalSocket, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(connection, "PING_DELAY", 0.05)
    monkeypatch.setattr(consumers, "OVER_A_LIMIT", 60)
    set_hitl(settings, RATE_MESSAGES_USER="1/hour")
    for number in range(5):
        await socket.say('echo("1")', id=f"m{number}")
    await socket.reply_to("m1")
    await socket.send({"type": "ping_message", "id": "p"})
    await socket.reply_to("p")
    [error] = socket.of_type("error_message")
    assert error["details"]["reason"] == "too_many"


async def test_a_socket_that_asks_gets_the_count_of_all_conversations(ann: User) -> None:
    ben = await reads.read(make_user, "ben")
    async with (
        LocalSocket(ann, conversation_id="c") as asking,
        LocalSocket(ann, waiting="true") as listening,
        LocalSocket(ben, waiting="true") as other,
        LocalSocket(ann, extended=None, waiting="true") as plain,
    ):
        await listening.until(lambda frame: frame.get("waiting") == 0)
        await other.until(lambda frame: frame.get("waiting") == 0)
        await asking.say("ask()")
        await listening.until(lambda frame: frame.get("waiting") == 1)
        prompt = await asking.until("system_interaction_message")
        await asking.answer("x", interaction_id=prompt["id"], id="a1")
        await listening.until(lambda frame: frame.get("waiting") == 0)
        await other.until_settled()
        assert [frame["waiting"] for frame in listening.of_type("waiting_message")] == [0, 1, 0]
        assert len(other.of_type("waiting_message")) == 1
        await plain.until_settled()
        assert not [*asking.of_type("waiting_message"), *plain.of_type("waiting_message")]
