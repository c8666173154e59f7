"""News goes out merged, small, and without ever failing a writer."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers

from sessions_app import notify
from sessions_app.event_log import EventRecord
from sessions_app.news import MAX_EVENTS, MAX_SIZE, read_copy
from sessions_app.notify import Notifier, group_name

CONVERSATION = uuid4()


class Layer(InMemoryChannelLayer):
    """Keeps what is sent to groups; fails on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.failing = False

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if self.failing:
            raise ConnectionError("the layer is down")
        self.sent.append((group, message))


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Layer:
    layer = Layer()
    monkeypatch.setitem(channel_layers.backends, "default", layer)
    return layer


def event(sequence: int, text: str = "x", conversation: UUID = CONVERSATION) -> EventRecord:
    now = datetime.now(UTC)
    payload = {"text": text}
    return EventRecord(
        conversation, uuid4(), "m", "chat_stream", sequence, sequence, "text", payload, now
    )


async def publish(*batches: list[EventRecord]) -> None:
    notifier = Notifier()
    await notifier.start()
    for batch in batches:
        await asyncio.to_thread(notifier.publish, batch)
    await asyncio.sleep(0.01)
    await notifier.stop()


async def test_news_has_the_last_sequence_and_a_copy(layer: Layer) -> None:
    events = [event(1), event(2)]
    await publish(events)
    ((group, message),) = layer.sent
    assert group == group_name(CONVERSATION)
    assert message["sequence"] == 2
    assert read_copy(CONVERSATION, message["copy"]) == events


async def test_conversations_are_told_apart(layer: Layer) -> None:
    other = uuid4()
    await publish([event(1), event(7, conversation=other)])
    assert {group: message["sequence"] for group, message in layer.sent} == {
        group_name(CONVERSATION): 1,
        group_name(other): 7,
    }


async def test_many_or_large_events_are_not_copied(layer: Layer) -> None:
    await publish([event(n) for n in range(1, MAX_EVENTS + 2)])
    await publish([event(1, "x" * MAX_SIZE)])
    assert [message["copy"] for _, message in layer.sent] == [None, None]


async def test_what_gathers_is_merged(layer: Layer) -> None:
    notifier = Notifier()
    await notifier.start()
    for number in range(1, 6):
        notifier.publish([event(number)])
    await asyncio.sleep(0.01)
    await notifier.stop()
    assert [message["sequence"] for _, message in layer.sent] == [5]


async def test_a_layer_that_fails_stops_nothing(
    layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PAUSE", 0.0)
    layer.failing = True
    await publish([event(1)], [event(2)])
    layer.failing = False
    await publish([event(3)])
    assert [message["sequence"] for _, message in layer.sent] == [3]


async def test_publishing_before_the_start_and_after_the_stop_is_harmless() -> None:
    notifier = Notifier()
    notifier.publish([event(1)])
    await notifier.start()
    await notifier.stop()
    notifier.publish([event(2)])
