"""Layers of channels-redis in the place of ours: hints may be lost, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from channels.layers import InMemoryChannelLayer
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from natproject.cluster.servers import Redis
from sessions_app.notify import groups
from sessions_app.notify.layers import foreign
from sessions_app.notify.layers.foreign import ForeignLayer
from sessions_app.notify.layers.memory import MemoryLayer
from tests.support.hitl import set_hitl

pytestmark = pytest.mark.formless

CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
BACK = 8.0  # seconds in which all works again, once Redis does


def use(settings: Settings, backend: str, redis: Redis | None = None) -> None:
    config = {"hosts": [redis.url(3)]} if redis else {}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": config}}


@asynccontextmanager
async def process(*joined: str) -> AsyncIterator[tuple[MemoryLayer, str]]:
    """Yield a layer of its own, as another process has one, and a channel in these groups."""
    layer = groups.new_layer()
    channel = await layer.new_channel()
    for group in joined:
        await layer.group_add(group, channel)
    try:
        yield layer, channel
    finally:
        for group in joined:
            await layer.group_discard(group, channel)
        assert not layer.channels
        await layer.close()


async def hears(one: tuple[MemoryLayer, str], other: MemoryLayer) -> None:
    layer, channel = one
    async with asyncio.timeout(BACK):
        while True:
            await foreign.health.call(lambda: other.group_send("g", {"type": "test"}))
            try:
                async with asyncio.timeout(0.2):
                    assert (await layer.receive(channel))["type"] == "test"
                    return
            except TimeoutError:
                continue


@pytest.mark.slow
@pytest.mark.parametrize("backend", [CORE, PUBSUB])
async def test_groups_are_joined_once_redis_is_there_and_again_when_it_has_begun_anew(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr(foreign, "REJOIN", 1.0)
    use(settings, backend, redis)
    async with process("g") as one, process() as (other, _):
        await hears(one, other)
        redis.kill()
        async with process("g") as new:
            redis.start()
            await hears(one, other)
            await hears(new, other)


async def test_the_layer_is_the_one_that_hitl_names(settings: Settings) -> None:
    use(settings, "channels.layers.InMemoryChannelLayer")
    assert isinstance(groups.new_layer(), ForeignLayer)
    use(settings, "sessions_app.notify.layers.memory.MemoryLayer")
    assert groups.new_layer().is_single_process
    set_hitl(settings, CHANNEL_LAYER="chat")
    with pytest.raises(ImproperlyConfigured, match="CHANNEL_LAYER=chat is not among"):
        groups.new_layer()


async def test_nothing_is_left_of_who_has_gone() -> None:
    layer = ForeignLayer(InMemoryChannelLayer())
    before = asyncio.all_tasks()
    for name in ("a", "b"):
        channel = await layer.new_channel()
        receiving = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        for group in (name, "all"):
            await layer.group_add(group, channel)
        await layer.group_discard(name, channel)
        await layer.group_discard("all", channel)
        receiving.cancel()
        await asyncio.wait([receiving])
    assert layer.channels == {}
    assert asyncio.all_tasks() == before
