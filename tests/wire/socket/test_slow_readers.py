"""A client that does not read, behind a server that has its sender wait: it costs nobody else."""

import asyncio
from typing import Any

import pytest

from chat_app.feed.sweeper import sweeper
from chat_app.socket import connection
from sessions_app.notify.groups import group_name, send_to_group
from tests.support.received_frames import Frame
from tests.wire.live_log import LiveLog
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


class SlowSocket(LocalSocket):
    """Takes frames only while it `reads`."""

    def __init__(self, *arguments: Any, **query: Any) -> None:
        super().__init__(*arguments, **query)
        self.reads = asyncio.Event()
        self.reads.set()
        self.holds_up = asyncio.Event()

    async def __aenter__(self) -> "SlowSocket":
        """Connect."""
        await super().__aenter__()
        return self

    async def until_it_holds_up(self) -> None:
        """Wait until the server waits for it to read."""
        async with asyncio.timeout(10):
            await self.holds_up.wait()

    async def _sent(self, message: Frame) -> None:
        if not self.reads.is_set():
            self.holds_up.set()
        await self.reads.wait()
        await super()._sent(message)


async def test_others_hear_all_meanwhile_and_it_does_when_it_reads_again() -> None:
    async with (
        LiveLog() as log,
        SlowSocket(log.user, conversation_id="c") as slow,
        log.socket() as other,
    ):
        await slow.settled()
        await other.settled()
        slow.reads.clear()
        for number in range(200):
            await log.write(f"{number} ")
        await other.until_sequence(200)
        assert slow.sequences() == []
        slow.reads.set()
        await slow.until_sequence(200, timeout=2.0)
        assert slow.sequences() == list(range(1, 201))


async def test_what_found_no_room_meanwhile_is_looked_up_at_once() -> None:
    async with LiveLog() as log, SlowSocket(log.user, conversation_id="c") as slow:
        await slow.settled()
        slow.reads.clear()
        await log.write("first")
        await slow.until_it_holds_up()
        message = {"type": "conversation.news", "conversation": log.conversation.hex}
        for _ in range(200):
            await send_to_group(
                group_name(log.conversation), {**message, "sequence": 1, "copy": None}
            )
        await log.write("last")
        slow.reads.set()
        await slow.until_sequence(2, timeout=2.0)  # sooner than the sweeper


async def test_for_long_it_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED", 0.1)
    monkeypatch.setattr(connection, "CLOSING", 0.1)
    async with LiveLog() as log, SlowSocket(log.user, conversation_id="c") as slow:
        await slow.settled()
        slow.reads.clear()
        await log.write("never read")
        async with asyncio.timeout(10):
            assert slow._task is not None
            await slow._task


async def test_it_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOSING", 0.1)
    async with LiveLog() as log, SlowSocket(log.user, conversation_id="c") as slow:
        await slow.settled()
        slow.reads.clear()
        await log.write("never read")
        await slow.until_it_holds_up()
        async with asyncio.timeout(5):
            await sweeper.close_all()
            assert slow._task is not None
            await slow._task
        sweeper._closing = None
