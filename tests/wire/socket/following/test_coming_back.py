"""Tests of what a socket is told when it opens."""

import asyncio
import threading
from typing import Any

import pytest

from chat_app.feed import cursors
from chat_app.feed.cursors import KeptCursor
from chat_app.models import SocketCursor
from sessions_app.storage import reads
from sessions_app.storage.writer import Lane, writer
from tests.support.hosting import make_user
from tests.wire.live_log import LiveLog, append_next
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


async def test_last_sequence_selects_exactly_the_missed_events(log: LiveLog) -> None:
    await log.write(*(f"{number} " for number in range(500)))
    for after in (0, 250, 499, 500):
        async with log.socket(last_sequence=after) as socket:
            await socket.until_settled()
            assert socket.sequences() == list(range(after + 1, 501))


async def test_a_cursor_inside_a_folded_message_gets_the_rest_of_it(log: LiveLog) -> None:
    await log.write("a", "bc", "d")
    await log.end()
    async with log.socket(last_sequence=1) as socket:
        await socket.until_sequence(4)
        assert socket.text() == "bcd"
        assert socket.sequences() == [3, 4]


async def test_pending_prompts_come_first_also_those_before_last_sequence(log: LiveLog) -> None:
    first = await log.ask("one?")
    await log.write("text")
    second = await log.ask("two?")
    async with log.socket(last_sequence=2) as socket:
        await socket.until_sequence(3)
        assert [frame["id"] for frame in socket.of_type("system_interaction_message")] == [
            first,
            second,
        ]


async def test_a_settled_prompt_is_not_asked_again(log: LiveLog) -> None:
    await log.settle(await log.ask())
    async with log.socket(last_sequence=0) as socket:
        await socket.until_sequence(2)
        assert not socket.of_type("system_interaction_message")
        assert len(socket.of_type("interaction_update_message")) == 1


@pytest.mark.parametrize("wrong", [7, -1, 10**30, "x", ""])
async def test_an_impossible_last_sequence_is_reported_and_leaves_no_gap(
    log: LiveLog,
    wrong: object,
) -> None:
    await log.write("so ", "far")
    prompt = await log.ask()
    async with log.socket(last_sequence=wrong) as socket:
        error = await socket.until("error_message")
        assert error["content"]["code"] == "invalid_message"
        if wrong in (7, -1):
            assert error["details"]["recovered"] is False
        assert (await socket.until("system_interaction_message"))["id"] == prompt
        await socket.until_settled()
        await log.write(" on")
        await socket.until_sequence(4)


async def test_a_first_connection_gets_the_newest_message(log: LiveLog) -> None:
    await log.write("so ")
    await log.append("step", {"step_id": "s", "name": "S", "state": "complete", "payload": ""})
    await log.write("far ")
    async with log.socket() as socket:
        await socket.until_settled()
        assert socket.text() == "so far "
        await log.write("on")
        await socket.until_sequence(4)
        assert socket.text() == "so far on"


async def test_a_client_without_a_cursor_gets_nothing_twice_of_what_its_pongs_confirm(
    log: LiveLog,
) -> None:
    async with log.socket() as socket:
        await socket.until_settled()
        await log.write("a")
        await socket.until_sequence(1)
        await socket.arrive()
    await log.write("b")
    prompt = await log.ask()
    async with log.socket() as socket:
        await socket.until("system_interaction_message")
        assert socket.sequences() == [2, 3]
        await socket.arrive()
    async with log.socket() as socket:
        await socket.until_settled()
        assert [frame["id"] for frame in socket.of_type("system_interaction_message")] == [prompt]
        assert socket.text() == ""


async def test_events_sent_since_the_last_ping_come_again_with_their_message(log: LiveLog) -> None:
    async with log.socket() as socket:
        await log.write("a")
        await socket.until_sequence(1)
        await socket.arrive()
        await log.write("b")
        await socket.until_sequence(2)
    async with log.socket() as socket:
        await socket.until_sequence(2)
        assert socket.text() == "ab"


async def test_one_pong_confirms_nothing_as_the_page_may_be_behind(log: LiveLog) -> None:
    async with log.socket() as socket:
        await log.write("a")
        await socket.until_sequence(1)
        socket.pong()
    async with log.socket() as socket:
        await socket.until_sequence(1)


@pytest.mark.parametrize(("acknowledged", "missed"), [(2, []), (1, [1, 2]), (7, [])])
async def test_an_acknowledgement_confirms_as_a_pong_does(
    log: LiveLog, acknowledged: int, missed: list[int]
) -> None:
    async with log.socket() as socket:
        await log.write("a")
        await log.write("b")
        await socket.until_sequence(2)
        await socket.send({"type": "ack_message", "sequence": acknowledged})
        await socket.until_settled()
    async with log.socket() as socket:
        await socket.until_settled()
        assert socket.sequences() == missed


async def test_a_client_with_its_own_cursor_leaves_that_of_another_alone(log: LiveLog) -> None:
    async with log.socket() as socket:
        await log.write("a")
        await socket.until_sequence(1)
        await socket.arrive()
    await log.write("b")
    async with log.socket(last_sequence=0) as page:
        await page.until_sequence(2)
        await page.arrive()
        async with log.socket() as socket:
            await socket.until_sequence(2)
            assert socket.sequences() == [2]


async def test_a_return_that_was_cut_off_at_once_does_not_count_as_arrived(log: LiveLog) -> None:
    async with log.socket() as socket:
        await log.write("a")
        await socket.until_sequence(1)
    for _ in range(2):
        async with log.socket() as socket:
            await socket.until_sequence(1)


async def test_all_messages_with_unconfirmed_output_come_again(log: LiveLog) -> None:
    """The first of two parallel messages has ended, and its last words were lost."""
    await log.append("user_message", {"message_id": "m1", "text": "hello"})
    async with log.socket() as socket:
        await log.write("of the first ")
        await socket.until_sequence(2)
        await log.end()
        await socket.until_sequence(3)
        await writer.write(lambda tx: append_next(tx, log, "hello"))
        await socket.until_sequence(5)
    async with log.socket() as socket:
        await socket.until_sequence(5)
        assert socket.text() == "of the first new "


@pytest.mark.parametrize("sent", [None, 1])
async def test_a_row_of_an_older_version_confirms_nothing(log: LiveLog, sent: int | None) -> None:
    await log.write("a")
    await SocketCursor.objects.acreate(
        conversation_id=log.conversation, user=log.user, sequence=1, sent=sent
    )
    async with log.socket() as socket:
        await socket.until_settled()
        assert socket.text() == ("a" if sent is None else "")
        await socket.arrive()
    async with log.socket() as socket:
        await socket.until_settled()
        assert socket.text() == ""


async def test_the_kept_cursor_is_the_users_own(log: LiveLog) -> None:
    async with log.socket() as socket:
        await socket.until_settled()
    await log.write("secret")
    other = await reads.read(make_user, "ben")
    async with LocalSocket(other, conversation_id="c") as socket:
        await socket.until_settled()
        assert socket.sequences() == []


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_kept_cursor_is_given_once(is_stored: bool) -> None:
    async with LiveLog() as scene:
        mine = (scene.conversation, scene.user.pk)
        free = threading.Event()
        writing = writer.write(lambda tx: free.wait(10), Lane(order_of=cursors._in_order))
        keeping = asyncio.create_task(cursors.keep(*mine, KeptCursor(3, 7)))
        if is_stored:
            free.set()
            await keeping
        taking = asyncio.create_task(cursors.consume(*mine))
        await reads.read(lambda: None)  # it has looked
        free.set()
        assert await taking == (3, 7)
        await asyncio.gather(writing, keeping)
        assert await cursors.consume(*mine) is None


async def test_a_kept_cursor_is_that_of_the_process_where_the_client_was_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with LiveLog() as scene:
        mine = (scene.conversation, scene.user.pk)
        one, other = dict[Any, int](), dict[Any, int]()
        for process, sequence in ((one, 10), (other, 50), (one, 60)):
            monkeypatch.setattr(cursors, "_unstored_cursors", process)
            await cursors.keep(*mine, KeptCursor(sequence, sequence))
            monkeypatch.setattr(cursors, "_unstored_cursors", one if process is other else other)
            assert await cursors.consume(*mine) == (sequence, sequence)
            monkeypatch.setattr(cursors, "_unstored_cursors", process)
            assert await cursors.consume(*mine) is None


async def test_a_socket_that_closes_late_takes_no_cursor_back() -> None:
    async with LiveLog() as scene:
        mine = (scene.conversation, scene.user.pk)
        await cursors.keep(*mine, KeptCursor(50, 60))
        await cursors.keep(*mine, KeptCursor(20, 20))
        assert await cursors.consume(*mine) == (50, 60)


@pytest.mark.parametrize("schema_type", ["chat", "generate"])
async def test_single_results_come_whole_at_the_end(schema_type: str) -> None:
    async with LiveLog(schema_type) as log, log.socket() as socket:
        await socket.until_settled()
        await log.write("one ", "two ", "three ")
        await log.append("restart", {"from_sequence": 2})
        await log.write("four")
        await log.end()
        await socket.until_sequence(6)
        contents = [frame["content"] for frame in socket.of_type("system_response_message")]
        assert [next(iter(content.values())) for content in contents] == ["one four", ""]


async def test_a_socket_that_is_left_while_it_opens_reads_no_more(log: LiveLog) -> None:
    async with log.socket() as socket:
        await log.write("a")
        await socket.until_sequence(1)
        await socket.arrive()
    await log.write("b")
    free, person = threading.Event(), log.user.pk
    reading = [
        asyncio.create_task(reads.read_for(person, free.wait, 20))
        for _ in range(reads.MAX_THREADS_PER_PERSON)
    ]
    try:
        async with log.socket():
            await asyncio.sleep(0.5)  # longer than a socket waits for a first message
    finally:
        free.set()
    await asyncio.gather(*reading)
    async with log.socket() as socket:
        await socket.until_settled()
        assert socket.sequences() == [2]


async def test_a_cursor_is_not_lost_when_the_new_socket_ends_while_it_takes_it() -> None:
    async with LiveLog() as scene:
        mine = (scene.conversation, scene.user.pk)
        await cursors.keep(*mine, KeptCursor(3, 7))
        free = threading.Event()
        writing = writer.write(lambda tx: free.wait(10), Lane(order_of=cursors._in_order))
        taking = asyncio.create_task(cursors.consume(*mine))
        await reads.read(lambda: None)  # it has looked
        await asyncio.sleep(0.1)
        taking.cancel()
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await writing
        await writer.write(lambda tx: None, Lane(order_of=cursors._in_order))
        assert await cursors.consume(*mine) == (3, 7)
