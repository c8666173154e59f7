"""The channel layer of one process."""

from natproject.layer import InProcessLayer

MESSAGE = {"type": "conversation.news"}


async def test_what_nobody_took_goes_with_the_last_group() -> None:
    layer = InProcessLayer()
    channel = await layer.new_channel()
    for group in ("a", "b"):
        await layer.group_add(group, channel)
    await layer.group_send("a", MESSAGE)
    await layer.group_discard("a", channel)
    assert list(layer.channels) == [channel]
    await layer.group_discard("b", channel)
    assert layer.channels == {}
    assert layer.groups == {}


async def test_a_channel_that_is_full_takes_no_more_and_stays_in_its_groups() -> None:
    layer = InProcessLayer(capacity=2)
    channel = await layer.new_channel()
    await layer.group_add("a", channel)
    for _ in range(5):
        await layer.group_send("a", MESSAGE)
    for _ in range(2):
        assert await layer.receive(channel) == MESSAGE
    assert layer.channels == {}
    await layer.group_send("a", MESSAGE)
    assert await layer.receive(channel) == MESSAGE
