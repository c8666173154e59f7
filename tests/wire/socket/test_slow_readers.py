"""Clients that do not read: they cost nobody else, and little."""

import asyncio
import socket
from typing import Any

import pytest
from pytest_django import Settings
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor

from chat_app.feed.limits import Share, backlog
from chat_app.feed.sweeper import sweeper
from chat_app.socket import connection
from chat_app.socket.daphne_direct import DirectProtocol
from sessions_app.notify.groups import group_name, send_to_group
from sessions_app.notify.news import NEWS, News
from tests.support.hitl import set_hitl
from tests.support.hosting import until_true
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
        async with asyncio.timeout(10):
            await self.holds_up.wait()

    async def leave(self) -> None:
        assert self._task is not None
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await until_true(self._inbox.empty)
        self.reads.set()
        await self._task

    async def _sent(self, message: Frame) -> None:
        if not self.reads.is_set():
            self.holds_up.set()
        await self.reads.wait()
        await super()._sent(message)


async def test_a_slow_reader_delays_nobody_and_misses_nothing(log: LiveLog) -> None:
    async with SlowSocket(log.user, conversation_id="c") as slow, log.socket() as other:
        await slow.until_settled()
        await other.until_settled()
        slow.reads.clear()
        for number in range(200):
            await log.write(f"{number} ")
        await other.until_sequence(200)
        assert slow.sequences() == []
        slow.reads.set()
        await slow.until_sequence(200)
        assert slow.sequences() == list(range(1, 201))


async def test_events_without_room_are_read_from_the_log_at_once(
    log: LiveLog, settings: Settings
) -> None:
    set_hitl(settings, SWEEP_SECONDS=30)
    async with SlowSocket(log.user, conversation_id="c") as slow:
        await slow.until_settled()
        slow.reads.clear()
        await log.write("first")
        await slow.until_it_holds_up()
        message = {"type": NEWS, "news": News(log.conversation, 1, [])}
        for _ in range(200):
            await send_to_group(group_name(log.conversation), message)
        await log.write("last")
        slow.reads.set()
        await slow.until_sequence(2, timeout=20)  # sooner than the sweeper


@pytest.mark.formless
def test_what_a_socket_is_sent_arrives_in_order_however_it_is_read() -> None:
    """The kernel takes a part of some blocks, and none of others."""
    blocks = [number.to_bytes(2) * 8192 for number in range(200)]
    ours, theirs = socket.socketpair()
    received, full_at = b"", 0
    with ours, theirs:
        ours.setblocking(False)
        theirs.settimeout(10)  # seconds after which something is missing
        protocol = DirectProtocol()
        protocol.transport = transport = Connection(ours, protocol, MemoryReactor())
        transport.connected = protocol._is_plain = True
        for number, block in enumerate(blocks):
            protocol.sendData(block)
            if not full_at and transport._tempDataLen:
                full_at = number
            if number >= 100:  # the buffers of both have long been full
                transport.doWrite()
                received += theirs.recv(50_000)
        while len(received) < sum(map(len, blocks)):
            transport.doWrite()
            received += theirs.recv(50_000)
        protocol.sendData(b"last")
        assert theirs.recv(50_000) == b"last"  # again at once
    assert received == b"".join(blocks)
    assert 0 < full_at < 100


@pytest.mark.slow
async def test_a_socket_that_never_reads_is_closed(
    log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALL_TIME", 0.1)
    monkeypatch.setattr(connection, "CLOSE_TIME", 0.1)
    async with SlowSocket(log.user, conversation_id="c") as slow:
        await slow.until_settled()
        slow.reads.clear()
        await log.write("never read")
        async with asyncio.timeout(10):
            assert slow._task is not None
            await slow._task


async def test_a_socket_that_does_not_read_is_closed_at_shutdown(
    log: LiveLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIME", 0.1)
    monkeypatch.setattr(sweeper, "_close_error", None)
    async with SlowSocket(log.user, conversation_id="c") as slow:
        await slow.until_settled()
        slow.reads.clear()
        await log.write("never read")
        await slow.until_it_holds_up()
        async with asyncio.timeout(5):
            await sweeper.close_all()
            assert slow._task is not None
            await slow._task


async def test_a_socket_that_comes_while_the_server_stops_is_sent_to_the_next(
    log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_close_error", None)
    await sweeper.close_all()
    async with LocalSocket(log.user) as late:
        assert await late.until_closed() == 1012


async def test_a_slow_reader_that_leaves_misses_nothing_on_return(log: LiveLog) -> None:
    async with SlowSocket(log.user, conversation_id="c") as slow:
        await slow.until_settled()
        slow.reads.clear()
        last = await log.write(*("x" * 10_000 for _ in range(40)))
        await slow.until_it_holds_up()
        assert set(backlog._by_owner) == {log.user.pk}
        await slow.leave()
    had = slow.sequences()
    assert len(had) <= 1
    async with log.socket() as back:
        await back.until_sequence(last)
        assert [*had, *back.sequences()] == list(range(1, last + 1))


def test_beyond_that_of_the_process_the_user_with_most_gives_way(settings: Settings) -> None:
    set_hitl(settings, UNREAD_MB=1, UNREAD_MB_PER_USER=1)
    closed: list[str] = []

    def share(name: str) -> Share:
        return Share(lambda _: closed.append(name))

    shares = {name: share(name) for name in ("a", "b", "c")}
    for name, owner in {"a": 1, "b": 1, "c": 2}.items():
        shares[name].belong_to(owner)
    shares["a"].grow(400_000)
    shares["b"].grow(300_000)
    shares["c"].grow(390_000)
    assert closed == ["a"]
    shares["c"].grow(300_000)
    assert closed == ["a"]  # all are within it again
    for each in shares.values():
        each.release()
