"""Checks of Redis: without it all works, but slower."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from redis import Redis, RedisError

from sessions_app.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.notify.cluster_layer import ClusterLayer
from sessions_app.settings import RuntimeSettings

TIMEOUT = 2.0  # seconds
GROUP = "doctor"
TODO = "Check REDIS_URL, and that it is up. Until then live news and wake-ups take seconds."


def _answers() -> Iterator[Finding]:
    limits = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    try:
        with Redis.from_url(RuntimeSettings.load().REDIS_URL, **limits) as redis:
            started = time.perf_counter()
            redis.ping()
            took = (time.perf_counter() - started) * 1000
            info: Any = redis.info()
    except RedisError as error:
        yield wrong(f"it does not answer: {error}", TODO)
        return
    yield ok(f"Redis {info['redis_version']} answers in {took:.1f} ms")
    used, most = info.get("used_memory", 0), info.get("maxmemory", 0)
    if most and used > most * 0.9:
        yield warning(
            f"{used / most:.0%} of its memory is used",
            "Give it more: it keeps nothing of ours, but needs buffers.",
        )


def _layer() -> Iterator[Finding]:
    """A message between two layers, as between two processes."""
    try:
        took = asyncio.run(_round_trip())
    except TimeoutError:
        yield wrong(f"a message was not delivered in {TIMEOUT:.0f} s", TODO)
    else:
        yield ok(f"a message from process to process took {took * 1000:.1f} ms")


async def _round_trip() -> float:
    url = RuntimeSettings.load().REDIS_URL
    sender, receiver = ClusterLayer(url), ClusterLayer(url)
    try:
        async with asyncio.timeout(TIMEOUT):
            channel = await receiver.new_channel()
            await receiver.group_add(GROUP, channel)
            for _ in range(2):  # the first one waits for connections
                started = time.perf_counter()
                await sender.group_send(GROUP, {"type": "doctor"})
                await receiver.receive(channel)
            return time.perf_counter() - started
    finally:
        await asyncio.gather(sender.close(), receiver.close())


CHECKS = (Check("redis", _answers), Check("layer", _layer, needs="redis"))
