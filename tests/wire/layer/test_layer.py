"""The channel layer of one process."""

import asyncio

import pytest

from sessions_app.notify.layers.memory import LOST, MemoryLayer

pytestmark = pytest.mark.formless
MESSAGE = {"type": "conversation.news"}


async def test_leaving_the_last_group_drops_undelivered_messages() -> None:
    layer = MemoryLayer()
    channel = await layer.new_channel()
    for group in ("a", "b"):
        await layer.group_add(group, channel)
    await layer.group_send("a", MESSAGE)
    await layer.group_discard("a", channel)
    assert list(layer.channels) == [channel]
    await layer.group_discard("b", channel)
    assert layer.channels == {}
    assert layer.groups == {}


async def test_a_full_channel_reports_lost_messages_and_keeps_its_groups() -> None:
    layer = MemoryLayer(capacity=3)
    channel = await layer.new_channel()
    await layer.group_add("a", channel)
    for _ in range(5):
        await layer.group_send("a", MESSAGE)
    assert [await layer.receive(channel) for _ in range(3)] == [MESSAGE, MESSAGE, LOST]
    await layer.group_send("a", MESSAGE)
    assert await layer.receive(channel) == MESSAGE


async def test_a_channel_in_no_group_is_removed() -> None:
    layer = MemoryLayer()
    receiving = asyncio.create_task(layer.receive(await layer.new_channel()))
    await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.wait([receiving])
    assert layer.channels == {}
