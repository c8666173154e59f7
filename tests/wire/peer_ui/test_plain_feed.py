"""Tests of what a plain client is sent of a log, and when."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from chat_app.peer import plain_feed
from chat_app.peer.plain_frames import RECONNECT_TEXT, RESTART_TEXT, TYPES
from sessions_app.errors import StorageUnavailable
from sessions_app.interactions import answers
from sessions_app.models import Conversation, Run
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from tests.support.received_frames import Frame
from tests.wire.live_log import LiveLog, append_next
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


async def store_message(log: LiveLog) -> None:
    payload = {"message_id": log.run.message_id, "text": "hello", "client_format": "chat_stream"}
    await log.append("user_message", payload)


def plain(log: LiveLog, **query: Any) -> LocalSocket:
    return log.socket(extended=None, **query)


async def until_text(socket: LocalSocket, text: str) -> Frame:
    return await socket.until(
        lambda frame: (
            frame["type"] == "system_response_message" and text in frame["content"]["text"]
        )
    )


async def until_prompt(socket: LocalSocket, interaction_id: str, text: str) -> Frame:
    return await socket.until(
        lambda frame: (
            frame.get("interaction_id") == interaction_id and frame["content"]["text"] == text
        )
    )


async def test_only_the_types_of_the_peer_are_sent_with_the_end_last(log: LiveLog) -> None:
    await store_message(log)
    async with plain(log, last_sequence=0) as socket:
        await log.append("run", {"status": "running", "trace_id": "0" * 32})
        await log.write("a", "b")
        await log.append("run", {"status": "waiting"})
        await log.append("run", {"status": "running", "reason": "stopping"})
        await log.end("failed", error={"code": "workflow_error", "message": "It failed."})
        await socket.until(lambda frame: frame["status"] == "complete" and "run_id" in frame)
        await socket.until(lambda frame: frame.get("sequence") == 7)
        types = [frame["type"] for frame in socket.frames]
        assert {*types} <= TYPES
        assert types[:2] == ["system_response_message", "observability_trace_message"]
        assert types[-2:] == ["error_message", "system_response_message"]
        assert {frame["conversation_id"] for frame in socket.frames} == {"c"}
        assert socket.frames[-2]["content"]["details"] == "workflow_error"
        assert socket.frames[-2]["details"] == {"code": "workflow_error"}


async def test_a_run_that_cannot_go_on_says_why(log: LiveLog) -> None:
    error = {"code": "non_determinism", "message": "The code has changed."}
    await store_message(log)
    async with plain(log, last_sequence=0) as socket:
        await log.append("run", {"status": "suspended", "error": error})
        await until_text(socket, "It cannot continue now. The code has changed.")


@pytest.mark.parametrize("schema_type", ["chat_stream", "chat"])
async def test_restarted_text_is_marked_as_restarted(schema_type: str) -> None:
    async with LiveLog(schema_type) as log:
        await store_message(log)
        async with plain(log, last_sequence=0) as socket:
            await log.write("one ", "two ")
            if schema_type == "chat_stream":
                await until_text(socket, "two ")
            await log.append("restart", {"from_sequence": 3})
            await log.write("three")
            await log.end()
            await socket.until(lambda frame: frame["status"] == "complete")
            expected_text = (
                f"one two {RESTART_TEXT}three" if schema_type == "chat_stream" else "one three"
            )
            assert socket.text() == expected_text


@pytest.mark.slow
async def test_repeated_output_is_marked_and_whole_for_new_clients(log: LiveLog) -> None:
    await store_message(log)
    await log.write("so ", "far ")
    async with plain(log) as socket:
        await until_text(socket, "far ")
        assert socket.text() == f"{RECONNECT_TEXT}so far "
        await socket.arrive()
    async with plain(log) as socket:  # it had all of that
        await log.write("on")
        await until_text(socket, "on")
        assert socket.text() == "on"


@pytest.mark.slow
async def test_output_before_a_host_took_the_run_up_again_comes_too(log: LiveLog) -> None:
    await store_message(log)
    await log.write("so ", "far ")
    await log.append("run", {"status": "running", "replayed": 0})
    async with plain(log) as socket:
        await log.write("later")
        await until_text(socket, "later")
        assert socket.text() == f"{RECONNECT_TEXT}so far later"


async def test_no_output_of_an_older_run_is_sent(log: LiveLog) -> None:
    await store_message(log)
    await log.write("old ")

    await log.end()
    await writer.write(lambda tx: append_next(tx, log, "hello"))
    async with plain(log, last_sequence=0) as socket:
        await until_text(socket, "new ")
        assert socket.text() == "new "
        assert {frame["parent_id"] for frame in socket.frames} == {"m2"}


async def test_a_repeated_older_message_withholds_nothing_of_the_newest(log: LiveLog) -> None:
    await store_message(log)
    await log.end()
    await Conversation.objects.aupdate(workflow="calculator")
    await writer.write(lambda tx: append_next(tx, log, "hello"))
    newest = await Run.objects.aget(message_id="m2")
    async with plain(log, last_sequence=0) as socket:
        await socket.say("hello", id="m1", conversation_id="c")
        await socket.until_settled()
        assert not socket.of_type("error_message")
        await writer.write(lambda tx: tx.append(newest, "text", {"text": "and more"}))
        await until_text(socket, "and more")


async def test_an_end_and_the_next_message_in_one_read_withhold_the_end(log: LiveLog) -> None:
    await store_message(log)
    await log.write("old ")
    async with plain(log, last_sequence=0) as socket:
        await until_text(socket, "old ")

        def both(tx: Transaction) -> None:
            tx.append(log.run, "run", {"status": "completed"})
            append_next(tx, log, "")

        await writer.write(both)
        await until_text(socket, "new ")
        assert {frame["status"] for frame in socket.frames} == {"in_progress"}


@pytest.mark.slow
async def test_a_notification_that_could_not_be_settled_is_sent_again(
    log: LiveLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []
    answer = answers.answer

    async def failing(**arguments: Any) -> Any:
        tries.append(arguments["answer"])
        if len(tries) == 1:
            raise StorageUnavailable
        return await answer(**arguments)

    monkeypatch.setattr(answers, "answer", failing)
    await store_message(log)
    async with plain(log, last_sequence=0) as socket:
        first = await log.ask("Look.", input_type="notification")
        for _ in range(2):
            frame = await socket.until("system_interaction_message")
            assert (frame["id"], frame["content"]["text"]) == (first, "Look.")
        question = await log.ask("And?")
        assert (await socket.until("system_interaction_message"))["id"] == question
    assert [attempt.interaction for attempt in tries] == [first, first]


async def test_a_prompt_whose_answer_could_not_be_stored_is_sent_again(
    log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(**_: Any) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(answers, "answer", failing)
    await store_message(log)
    async with plain(log, last_sequence=0) as socket:
        prompt_id = await log.ask("name?")
        await until_prompt(socket, prompt_id, "name?")
        await socket.answer("Ann", id="a1", thread_id=prompt_id)
        await until_prompt(socket, prompt_id, "name?")
        assert (await socket.reply_to("a1"))["details"]["reason"] == "not_stored"


async def test_a_prompt_that_was_settled_meanwhile_is_not_asked(log: LiveLog) -> None:
    await store_message(log)
    await log.settle(await log.ask())
    await log.write("on")
    async with plain(log, last_sequence=0) as socket:
        await until_text(socket, "on")
        assert not socket.of_type("system_interaction_message")


async def test_at_the_deadline_nothing_takes_the_place_of_the_prompt(log: LiveLog) -> None:
    await store_message(log)
    async with plain(log, last_sequence=0) as socket:
        for via in ("deadline", "admin"):
            await socket.until_settled()
            interaction = await log.ask()
            await socket.until("system_interaction_message")
            await log.settle(interaction, status="expired", via=via)
        note = await socket.until("system_interaction_message")
        assert (note["id"], note["content"]["input_type"]) == (interaction, "notification")
        assert len(socket.of_type("system_interaction_message")) == 3


async def test_errors_name_a_conversation_also_where_there_is_none(log: LiveLog) -> None:
    async with LocalSocket(log.user, extended=None) as socket:
        await socket.send("{")
        error = await socket.until("error_message")
        assert (error["conversation_id"], error["content"]["details"]) == (
            "default",
            "invalid_message",
        )
        await socket.say("", id="m1", conversation_id="c2")
        assert (await socket.reply_to("m1"))["conversation_id"] == "c2"


async def test_a_plain_client_still_hears_what_it_asks_for(log: LiveLog) -> None:
    async with plain(log) as socket:
        await socket.until_settled()
        assert [frame["type"] for frame in socket.frames] == ["pong_message"]


async def test_nobody_looks_for_another_prompt_where_none_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[object] = []
    monkeypatch.setattr(plain_feed, "next_prompt", lambda *arguments: looks.append(arguments))
    async with LiveLog() as log:
        await store_message(log)
        async with plain(log, last_sequence=0) as socket:
            for text in ("One?", "Two?"):
                prompt_id = await log.ask(text)
                await until_prompt(socket, prompt_id, text)
                await log.settle(prompt_id)
                await until_prompt(socket, prompt_id, "ann has answered the question.")
    assert not looks


@pytest.mark.slow
@pytest.mark.parametrize("copy_stays", [False, True])
async def test_a_tab_that_was_away_misses_nothing_whatever_its_copy_does(
    log: LiveLog, copy_stays: bool
) -> None:
    await store_message(log)
    async with AsyncExitStack() as copies:
        copy = await copies.enter_async_context(plain(log))
        async with plain(log) as tab:
            await log.write("a")
            await until_text(tab, "a")
            await until_text(copy, "a")
        await log.write("b")
        await until_text(copy, "b")
        if not copy_stays:
            await copies.aclose()
        async with plain(log) as tab:
            await log.write("c")
            await until_text(tab, "c")
            assert tab.text() == RECONNECT_TEXT + "abc"
