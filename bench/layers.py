"""`python -m bench.layers`: the channel layers for many processes, side by side on one Redis.

`core` and `pubsub` are those of channels-redis with their own defaults; `cluster` is ours, which
has `pubsub` carry between processes and memory inside one. Two layers stand for two processes.
"""

import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from channels.layers import BaseChannelLayer  # noqa: E402 - Django first
from channels_redis.core import RedisChannelLayer  # type: ignore[import-untyped] # noqa: E402 - ^
from channels_redis.pubsub import RedisPubSubChannelLayer  # type: ignore[import-untyped] # noqa: E402 - ^

from natproject.cluster.servers import Redis  # noqa: E402
from sessions_app.notify.cluster_layer import ClusterLayer  # noqa: E402
from sessions_app.notify.memory_layer import LOST  # noqa: E402

SOCKETS = 200
PATIENCE = 5.0
COPY = "x" * 300  # as large as the news of one event
Make = Callable[[str], BaseChannelLayer]
LAYERS: dict[str, Make] = {
    "core": lambda url: RedisChannelLayer(hosts=[url]),
    "pubsub": lambda url: RedisPubSubChannelLayer(hosts=[url]),
    "cluster": ClusterLayer,
}


class Pair:
    """A pair of processes: one sends, the other has the sockets."""

    def __init__(self, make: Make, redis: Redis) -> None:
        self.redis = redis
        self.sender, self.receiver = (make(redis.url(0)) for _ in range(2))

    async def open(self) -> None:
        """Let both listen to something, as processes do."""
        for layer in (self.sender, self.receiver):
            await layer.group_add("processes", await layer.new_channel())

    async def socket(self, *groups: str) -> str:
        """Return the channel of a socket that listens to the groups."""
        channel = await self.receiver.new_channel()
        for group in groups:
            await self.receiver.group_add(group, channel)
        return str(channel)

    async def send(self, group: str, number: int = 0) -> None:
        """Send to a group."""
        message = {"type": "news", "number": number, "sent": time.perf_counter(), "copy": COPY}
        await self.sender.group_send(group, message)

    async def take(self, channel: str, count: int) -> list[dict[str, Any]]:
        """Return so many messages, or those that come in time."""
        messages: list[dict[str, Any]] = []
        try:
            while len(messages) < count:
                async with asyncio.timeout(PATIENCE):
                    messages.append(await self.receiver.receive(channel))
        except TimeoutError:
            pass
        return messages


async def latency(pair: Pair) -> dict[str, object]:
    """Time single messages from the call that sends to the one that has received."""
    channel = await pair.socket("one")
    await asyncio.sleep(0.5)
    times = []
    for _ in range(1000):
        await pair.send("one")
        (message,) = await pair.take(channel, 1)
        times.append(1000 * (time.perf_counter() - message["sent"]))
    times.sort()
    return {"p50, ms": f"{statistics.median(times):.2f}", "p99, ms": f"{times[-10]:.2f}"}


async def sockets(pair: Pair) -> dict[str, object]:
    """200 sockets, each in a group of its own and one of all, and messages as fast as they go."""
    channels = [await pair.socket(f"own{n}", "all") for n in range(SOCKETS)]
    await asyncio.sleep(0.5)
    rates: dict[str, object] = {}
    for name, per_socket, groups in (
        ("own groups, messages/s", 20, [f"own{n}" for n in range(SOCKETS)]),
        ("one group, deliveries/s", 50, ["all"]),
    ):
        began = time.perf_counter()
        deliveries = asyncio.gather(*(pair.take(channel, per_socket) for channel in channels))
        for number in range(per_socket):
            for group in groups:
                await pair.send(group, number)
        message_count = sum(len(messages) for messages in await deliveries)
        last = time.perf_counter() - (PATIENCE if message_count < per_socket * SOCKETS else 0)
        rates[name] = f"{message_count / (last - began):,.0f}"
        rates[f"{name.split(',')[0]}, lost"] = per_socket * SOCKETS - message_count
    return rates


async def burst(pair: Pair) -> dict[str, object]:
    """1,000 messages to one socket, while it does something else."""
    channel = await pair.socket("burst")
    await asyncio.sleep(0.5)
    for number in range(1000):
        await pair.send("burst", number)
    messages = await pair.take(channel, 1000)
    suffix = " and told so" if LOST in messages else ""
    return {"burst, delivered": f"{len([m for m in messages if m != LOST])}{suffix}"}


async def silence(pair: Pair) -> dict[str, object]:
    """15 seconds without a message."""
    channel = await pair.socket("silent")
    listener = asyncio.create_task(pair.receiver.receive(channel))
    await asyncio.sleep(15)
    outcome = repr(listener.exception()) if listener.done() else "it listens"
    if not listener.done():
        await pair.send("silent")
    await asyncio.wait([listener], timeout=PATIENCE)
    return {"after silence": outcome}


async def outage(pair: Pair) -> dict[str, object]:
    """Redis killed, and started 2 s later; the socket listens all the time."""
    channel = await pair.socket("outage")
    listener = asyncio.create_task(pair.receiver.receive(channel))
    await asyncio.sleep(0.5)
    pair.redis.kill()
    worst, errors = 0.0, 0
    until = time.perf_counter() + 2
    while time.perf_counter() < until:
        began = time.perf_counter()
        try:
            await pair.send("outage")
        except Exception:  # noqa: BLE001 - they are counted
            errors += 1
        worst = max(worst, time.perf_counter() - began)
        await asyncio.sleep(0.1)
    died = repr(listener.exception()) if listener.done() else ""
    pair.redis.start()
    began = time.perf_counter()
    while not listener.done() and time.perf_counter() < began + 10:
        try:
            await pair.send("outage")
        except Exception:  # noqa: BLE001 - they are counted
            errors += 1
        await asyncio.wait([listener], timeout=0.05)
    back = f"{time.perf_counter() - began:.1f} s"
    listener.cancel()
    return {
        "listener": died or ("survives" if listener.done() else "is deaf"),
        "works again after": "never" if died or not listener.done() else back,
        "sends that raise": errors,
        "longest send, ms": f"{1000 * worst:.0f}",
    }


async def freeze(pair: Pair) -> dict[str, object]:
    """Redis frozen for 5 s, and ten messages a second."""
    channel = await pair.socket("freeze")
    await asyncio.sleep(0.5)
    pair.redis.freeze()
    durations = []
    until = time.perf_counter() + 5
    while time.perf_counter() < until:
        began = time.perf_counter()
        with suppress(Exception):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + 5):
                await pair.send("freeze")
        durations.append(time.perf_counter() - began)
        await asyncio.sleep(0.1)
    pair.redis.thaw()
    await pair.take(channel, 1)
    return {"frozen, waited for sends": f"{sum(durations):.1f} of 5 s"}


async def measure(make: Make, redis: Redis, work: Callable[[Pair], Awaitable[Any]]) -> Any:
    """Run one benchmark with fresh connections."""
    pair = Pair(make, redis)
    try:
        await pair.open()
        return await work(pair)
    finally:
        for layer in (pair.sender, pair.receiver):
            if isinstance(layer, ClusterLayer):
                await layer.close()


def main() -> None:
    """Run all, print."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as directory, Redis(Path(directory, "redis")) as redis:
        for name, make in LAYERS.items():
            print(name)
            for work in (latency, sockets, burst, silence, outage, freeze):
                redis.start()
                for figure_name, value in asyncio.run(measure(make, redis, work)).items():
                    print(f"  {figure_name:<28}{value!s:>14}")


if __name__ == "__main__":
    main()
