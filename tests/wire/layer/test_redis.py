"""The layer of many processes, with a Redis that is killed, frozen and started again.

Each layer here stands for a process: they share nothing but Redis.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from natproject.cluster.servers import Redis
from sessions_app.contrib.testing.polling import until_true
from sessions_app.notify import groups
from sessions_app.notify.layers import memory
from sessions_app.notify.layers.cluster import ClusterLayer
from sessions_app.notify.layers.link import TIMEOUT, Publisher
from sessions_app.settings import redis_prefix
from tests.support.polling import PATIENCE

pytestmark = pytest.mark.formless

BACK = PATIENCE  # seconds in which all works again, once Redis does
MANY = 100  # calls that take 80 s if each waits for Redis, and less than one if none or one does


@asynccontextmanager
async def process(redis: Redis, *groups: str) -> AsyncIterator["Process"]:
    layer = ClusterLayer(redis.url(3))
    channel = await layer.new_channel()
    for group in groups:
        await layer.group_add(group, channel)
    try:
        yield Process(layer, channel)
    finally:
        await layer.close()


class Process:
    """A layer and its channel."""

    def __init__(self, layer: ClusterLayer, channel: str) -> None:
        self.layer = layer
        self.channel = channel

    async def send(self, text: str = "", group: str = "g") -> None:
        await self.layer.group_send(group, {"type": "test", "text": text})

    async def heard(self) -> str:
        async with asyncio.timeout(BACK):
            return str((await self.layer.receive(self.channel))["text"])

    async def hears(self, other: "Process", group: str = "g") -> None:
        mark = str(time.monotonic())
        async with asyncio.timeout(BACK):
            while True:
                await other.send(mark, group)
                try:
                    async with asyncio.timeout(0.1):
                        while (await self.layer.receive(self.channel)).get("text") != mark:
                            pass
                except TimeoutError:
                    continue
                break
        await self.is_quiet()

    async def is_quiet(self) -> None:
        """Take what comes within a moment."""
        try:
            while True:
                async with asyncio.timeout(0.2):
                    await self.layer.receive(self.channel)
        except TimeoutError:
            pass


async def at_once(*calls: Awaitable[Any]) -> None:
    """Make many calls, and check that not each of them waits for Redis."""
    async with asyncio.timeout(MANY * TIMEOUT / 2):
        for call in calls:
            await call


def joins_and_leaves(process: Process) -> Iterator[Awaitable[Any]]:
    """Yield the calls by which the process joins many groups, and is in "g" as before."""
    for number in range(MANY):
        yield process.layer.group_add(f"later{number}", process.channel)
    for _ in range(MANY):
        yield process.layer.group_discard("g", process.channel)
        yield process.layer.group_add("g", process.channel)


def full(process: Process) -> bool:
    queue = process.layer.channels.get(process.channel)
    return queue is not None and queue.full()


async def until_left(client: Client, group: str) -> None:
    """Wait until no process subscribes to the group: leaving sends the command and does not wait
    for Redis.
    """
    async with asyncio.timeout(BACK):
        while f"{redis_prefix()}__group__{group}".encode() in await client.pubsub_channels():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


async def test_each_process_hears_the_group_once_and_itself_without_redis(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis, "g") as other:
        for text in "abc":
            await one.send(text)
        assert [await one.heard() for _ in range(3)] == ["a", "b", "c"]
        assert [await other.heard() for _ in range(3)] == ["a", "b", "c"]
        await other.send("d")
        assert (await one.heard(), await other.heard()) == ("d", "d")
        assert one.layer.channels[one.channel].empty()


@pytest.mark.parametrize("other", ["a database", "a key"])
async def test_another_site_on_the_same_redis_is_not_heard(
    redis: Redis, settings: Any, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    async with process(redis, "g") as here:
        if other == "a key":
            settings.SECRET_KEY = "of the other site"
        else:
            monkeypatch.setitem(settings.DATABASES["default"], "NAME", "of_the_other_site")
        async with process(redis, "g") as there:
            await there.send("not for others")
            await there.hears(there)
            await here.send("for this site")
            assert await here.heard() == "for this site"


async def test_messages_sent_together_arrive_in_order(redis: Redis) -> None:
    async with process(redis, "g", "h") as one, process(redis) as other:
        await one.hears(other)
        messages = [
            (group, {"type": "test", "text": group + text}) for text in "ab" for group in "gh"
        ]
        await other.layer.send_elsewhere(messages)
        assert [await one.heard() for _ in messages] == ["ga", "ha", "gb", "hb"]


@pytest.mark.slow
async def test_a_redis_that_must_answer_is_not_used_and_said(
    redis: Redis, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await client.acl_setuser("default", enabled=True, nopass=True, commands=["-client"])
    async with process(redis, "g") as one:
        await until_true(lambda: "redis.failed" in caplog.text)
        await one.send("own")
        assert await one.heard() == "own"
        assert "no permissions to run the 'client'" in caplog.text
        await client.acl_setuser("default", enabled=True, nopass=True, commands=["+client"])
        async with process(redis) as other:
            await one.hears(other)


async def test_a_process_without_groups_can_send(redis: Redis) -> None:
    async with process(redis, "g") as one:
        await ClusterLayer(redis.url(3)).group_send("g", {"type": "test", "text": "a"})
        assert await one.heard() == "a"


@pytest.mark.parametrize("turns", range(5))
def test_an_event_loop_that_ends_as_the_link_opens_leaves_no_connection(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    open_connection = Publisher.open

    async def end_of_loop() -> None:
        opened = asyncio.Event()

        async def open_and_tell(publisher: Publisher) -> None:
            await open_connection(publisher)
            opened.set()
            for _ in range(turns):  # of the event loop, which ends meanwhile
                await asyncio.sleep(0)

        monkeypatch.setattr(Publisher, "open", open_and_tell)
        await ClusterLayer(redis.url(3)).new_channel()
        await opened.wait()

    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: unraisable.append(error.exc_value))
    asyncio.run(end_of_loop())
    gc.collect()
    assert unraisable == []


async def test_groups_that_are_left_are_forgotten(redis: Redis, client: Client) -> None:
    async with process(redis, "g", "h") as one, process(redis, "g") as other:
        await one.hears(other, "h")
        assert f"{redis_prefix()}__group__h".encode() in await client.pubsub_channels()
        await one.layer.group_discard("h", one.channel)
        await until_left(client, "h")
        await other.send("", "h")
        await one.hears(other)


@pytest.mark.slow
async def test_interrupted_joins_and_leaves_are_completed(redis: Redis, client: Client) -> None:
    """Too much data is unsent, and the callers' time is up before it is sent."""
    async with process(redis, "g") as one, process(redis, "g") as other:
        await one.hears(other)
        for caller, call in (
            (one, one.layer.group_add("h", one.channel)),
            (other, other.layer.group_discard("g", other.channel)),
        ):
            link: Any = caller.layer._link
            link._subscriber._connection._writer.transport.get_protocol().pause_writing()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await call
        await one.hears(other, "h")
        await one.layer.group_discard("g", one.channel)
        await until_left(client, "g")


async def test_a_burst_of_1000_loses_nothing_for_who_reads(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis) as other:
        await one.hears(other)
        numbers = [str(number) for number in range(1000)]

        async def send_all() -> None:  # one after another: what waits wears out its time
            for number in numbers:
                await other.send(number)

        sending = asyncio.create_task(send_all())
        assert [await one.heard() for _ in numbers] == numbers
        await sending


async def test_a_listener_that_does_not_read_is_told_of_lost_messages(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis) as other:
        for _ in range(1000):
            await other.send()
        await until_true(lambda: full(one))
        messages = [await one.layer.receive(one.channel) for _ in range(one.layer.capacity)]
        assert messages[-1] == memory.LOST


@pytest.mark.slow
async def test_without_redis_nobody_waits_and_all_comes_back(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis, "g") as other:
        await one.hears(other)
        redis.kill()
        await at_once(*(one.send() for _ in range(MANY)))
        await at_once(*joins_and_leaves(one))
        async with process(redis, "first") as new:
            await at_once(*joins_and_leaves(new), new.send("own"))
            assert await new.heard() == "own"
            redis.start()
            for group in ("g", "first"):
                await new.hears(other, group)
        for group in ("g", "later7"):
            await one.hears(other, group)


@pytest.mark.slow
async def test_a_redis_that_is_back_at_once_is_heard_again(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis, "g") as other:
        for _ in range(3):
            redis.kill()
            redis.start()
            await one.hears(other)
            await other.hears(one)


@pytest.mark.slow
async def test_a_frozen_redis_holds_each_up_once_and_not_for_long(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis, "g") as other:
        await one.hears(other)
        redis.freeze()
        await at_once(*(one.send() for _ in range(MANY)))
        await at_once(*joins_and_leaves(one), one.send())
        async with process(redis) as new:
            await at_once(*joins_and_leaves(new), new.send())
            await asyncio.sleep(2)  # for what times out
            redis.thaw()
            await new.hears(other, "later7")
        await one.hears(other, "later7")
        await one.hears(other)


@pytest.mark.slow
async def test_messages_stuck_in_a_frozen_redis_are_dropped_with_its_connections(
    redis: Redis,
) -> None:
    async with process(redis, "g") as one, process(redis, "g") as other:
        await one.hears(other)
        link: Any = one.layer._link
        redis.freeze()
        transport = link._publisher._connection._writer.transport
        while link.up and not transport.get_write_buffer_size():
            await one.send("x" * 10_000)
        assert transport.get_write_buffer_size()
        await until_true(lambda: not link._subscriber._connection.is_connected)
        redis.thaw()
        await one.is_quiet()
        await one.hears(other)
        await other.hears(one)


async def test_a_redis_that_is_frozen_for_a_moment_costs_nothing(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis) as other:
        await one.hears(other)
        redis.freeze()
        sending = asyncio.create_task(other.send("a"))
        await asyncio.sleep(0.3)
        redis.thaw()
        await sending
        assert await one.heard() == "a"


@pytest.mark.slow
async def test_a_subscription_that_redis_lost_is_restored(redis: Redis) -> None:
    async with process(redis, "g") as one, process(redis) as other:
        await one.hears(other)
        link: Any = one.layer._link
        for group in (link._name, "g"):
            await link._subscriber.leave(group)
        await other.send("lost")
        await one.hears(other)


@pytest.mark.slow
async def test_an_outage_and_its_end_are_each_logged_once(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions_app.notify.layers.link.RECONNECT_PAUSE", 0.1)
    async with process(redis, "g") as one, process(redis, "g") as other:
        await one.hears(other)
        await other.layer.close()
        redis.kill()
        for _ in range(10):
            await one.send()
            await asyncio.sleep(0.1)
        redis.start()
        await until_true(lambda: "works_again" in caplog.text)
        assert [record.name for record in caplog.records] == ["sessions_app.notify.layers.link"] * 2


@pytest.mark.slow
async def test_listening_goes_on_over_an_outage(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = ClusterLayer(redis.url(3)), ClusterLayer(redis.url(3))
    heard: list[groups.LayerMessage] = []

    def handle(message: groups.LayerMessage) -> None:
        heard.append(message)
        raise ValueError("is logged")

    monkeypatch.setattr(groups, "channel_layer", lambda: mine)
    listening = asyncio.create_task(groups.listen("worker.one", handle))
    for _ in range(2):
        heard.clear()
        async with asyncio.timeout(BACK):
            while not heard:
                await other.group_send("worker.one", {"type": "test"})
                await asyncio.sleep(0.05)
        redis.kill()
        await until_true(lambda: mine._link and not mine._link.up)
        redis.start()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert mine.groups == {}
    await mine.close()
