"""A feed gives each event once and in order, whatever becomes of the news."""

import asyncio
import json
import random

import pytest
from pytest_django import Settings

from chat_app.feed import limits
from chat_app.feed.feed import Feed
from chat_app.feed.selectors import read_opening
from sessions_app.notify.news import News
from sessions_app.storage import reads, records, writer
from tests.support.hitl import set_hitl
from tests.support.received_frames import Frame
from tests.wire.live_log import LiveLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
@pytest.mark.parametrize(("writes", "size"), [(50, 1), (20, 500)], ids=["one by one", "a burst"])
async def test_written_events_arrive_once_and_in_order(
    log: LiveLog, writes: int, size: int
) -> None:
    async with log.socket() as socket:
        await socket.until_settled()
        pieces = [f"{number} " for number in range(writes * size)]
        for start in range(0, len(pieces), size):
            await log.write(*pieces[start : start + size])
        await socket.until_sequence(len(pieces))
        assert socket.sequences() == list(range(1, len(pieces) + 1))
        assert socket.text() == "".join(pieces)


async def feed_of(log: LiveLog) -> tuple[Feed, list[Frame]]:
    frames: list[Frame] = []

    async def send(data: bytes) -> None:
        frames.append(json.loads(data))

    feed = Feed(log.conversation, "c", send, log.user.pk)
    opening = await reads.read(read_opening, log.conversation, after=None, kept_cursor=None)
    await feed.start(opening)
    return feed, frames


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_lost_doubled_and_reordered_news_changes_nothing(log: LiveLog, seed: int) -> None:
    chance = random.Random(seed)
    feed, frames = await feed_of(log)
    for number in range(200):
        await log.write(*(f"{number}.{part} " for part in range(chance.randint(1, 3))))
        if number % 20 == 0:
            await log.ask(f"{number}?")
    last = await log.last()
    events = await reads.read(records.read, log.conversation, after=0, limit=1000)
    news = [events[at : at + size] for at in range(0, len(events), 3) for size in (1, 3)]
    news = [part for part in news for _ in range(chance.choice([0, 0, 1, 2]))]
    chance.shuffle(news)
    await asyncio.gather(
        *(
            feed.news(News(log.conversation, part[-1].sequence, chance.choice([[], part])))
            for part in news
        )
    )
    await feed.news(News(log.conversation, last, []))  # as the sweeper would
    assert [frame["sequence"] for frame in frames] == list(range(1, last + 1))
    whole = "".join(event.payload["text"] for event in events if event.type == "text")
    texts = [f["content"]["text"] for f in frames if f["type"] == "system_response_message"]
    assert "".join(texts) == whole


async def test_the_stop_of_a_run_that_has_just_ended_is_acknowledged(log: LiveLog) -> None:
    feed, frames = await feed_of(log)
    await log.end()
    await feed.news(News(log.conversation, await log.last(), []))
    await feed.send_when_ended([log.run.pk], {"type": "ack_message"})
    assert frames[-1] == {"type": "ack_message"}


async def test_the_sweeper_makes_up_for_lost_news(log: LiveLog, settings: Settings) -> None:
    set_hitl(settings, SWEEP_SECONDS=0.05)
    async with log.socket() as socket:
        await socket.until_settled()
        writer.writer.on_commit = None
        await log.write("unheard")
        await socket.until_sequence(1)


async def test_a_full_window_pauses_until_it_is_acknowledged(log: LiveLog) -> None:
    async with log.socket() as socket:
        await socket.until_settled()
        await socket.send({"type": "ack_message", "sequence": 0})
        await socket.until_settled()
        for _ in range(3):
            await log.write(*("x" for _ in range(200)))
        await socket.until_sequence(256)
        await socket.until_settled()
        assert socket.sequences()[-1] == 256
        await socket.send({"type": "ack_message", "sequence": 250})
        await socket.until_sequence(506)
        await socket.send({"type": "ack_message", "sequence": 506})
        await socket.until_sequence(600)
        assert socket.sequences() == list(range(1, 601))


async def test_events_of_which_nothing_is_sent_fill_no_window() -> None:
    async with LiveLog("generate") as log, log.socket() as socket:
        await socket.until_settled()
        await socket.send({"type": "ack_message", "sequence": 0})
        await socket.until_settled()
        await log.write(*("x" for _ in range(300)))
        await log.ask()
        await socket.until_sequence(301)


async def test_a_window_by_size(log: LiveLog) -> None:
    async with log.socket() as socket:
        await socket.until_settled()
        await socket.send({"type": "ack_message", "sequence": 0})
        await socket.until_settled()
        await log.write(*("x" * 100_000 for _ in range(20)))
        await socket.until_sequence(11)
        await socket.until_settled()
        assert socket.sequences()[-1] == 11


async def test_a_window_that_stays_full_closes_the_socket(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hitl(settings, SWEEP_SECONDS=0.05)
    monkeypatch.setattr(limits, "WINDOW_PATIENCE", 0.2)
    async with LiveLog() as log, log.socket() as socket:
        await socket.send({"type": "ack_message", "sequence": 0})
        await socket.until_settled()
        await log.write(*("x" for _ in range(300)))
        assert await socket.until_closed() == 4408
    async with log.socket(last_sequence=256) as socket:
        await socket.until_sequence(300)
