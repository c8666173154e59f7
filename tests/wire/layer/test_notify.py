"""News goes out merged, small, and without ever failing a writer."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessions_app.contrib.testing.polling import until_true
from sessions_app.notify import groups, notifier
from sessions_app.notify.groups import channel_layer, group_name, join_groups
from sessions_app.notify.layers import foreign
from sessions_app.notify.layers.memory import MemoryLayer
from sessions_app.notify.news import MAX_EVENTS, MAX_SIZE, PROMPTS, News, pack, unpack
from sessions_app.notify.notifier import HINT_EVERY, Notifier
from sessions_app.storage.records import EventRecord
from sessions_app.storage.transaction import Transaction

CONVERSATION = uuid4()


class Layer(MemoryLayer):
    """Keeps what is sent to groups, here and elsewhere; the latter fails on demand."""

    is_single_process = False

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.failing = False

    def deliver(self, group: str, message: dict[str, Any]) -> None:
        self.heard.append((group, message))

    async def send_elsewhere(self, messages: list[tuple[str, dict[str, Any]]]) -> None:
        if self.failing:
            raise ConnectionError("the layer is down")
        self.sent += messages

    @property
    def sequences(self) -> list[int]:
        return [message["news"].sequence for _, message in self.sent]


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Layer:
    layer = Layer()
    for module in (groups, notifier):
        monkeypatch.setattr(module, "channel_layer", lambda: layer)
    return layer


def event(
    sequence: int, text: str = "x", conversation: UUID = CONVERSATION, type_: str = "text"
) -> EventRecord:
    now = datetime.now(UTC)
    payload = {"text": text}
    run, span = uuid4(), (sequence, sequence)
    return EventRecord(
        conversation, run, "m", "chat_stream", *span, type_, payload, now, size=len(text)
    )


def commit(notifier: Notifier, *events: EventRecord) -> None:
    """Commit and notify, as the writer does."""
    tx = Transaction()
    tx.events += events
    notifier.publish(tx)
    tx.wake_loops()


async def publish(*batches: list[EventRecord]) -> None:
    own = Notifier()
    await own.start()
    for batch in batches:
        await asyncio.to_thread(commit, own, *batch)
    await own.stop()


async def test_news_has_the_last_sequence_and_the_events(layer: Layer) -> None:
    events = [event(1), event(2)]
    await publish(events)
    ((group, message),) = layer.heard
    assert group == group_name(CONVERSATION)
    assert message["news"] == News(CONVERSATION, 2, events)
    ((group, message),) = layer.sent
    assert group == group_name(CONVERSATION)
    assert unpack(pack(message)) == message


async def test_news_of_two_conversations_stays_separate(layer: Layer) -> None:
    other = uuid4()
    await publish([event(1), event(7, conversation=other)])
    for deliveries in (layer.heard, layer.sent):
        assert {group: message["news"].sequence for group, message in deliveries} == {
            group_name(CONVERSATION): 1,
            group_name(other): 7,
        }


async def test_news_omits_many_or_large_events(layer: Layer) -> None:
    await publish([event(n) for n in range(1, MAX_EVENTS + 2)])
    await publish([event(1, "x" * MAX_SIZE)])
    for deliveries in (layer.heard, layer.sent):
        assert [message["news"].events for _, message in deliveries] == [[], []]
        assert [unpack(pack(message)) for _, message in deliveries] == [
            each for _, each in deliveries
        ]


async def test_news_for_other_processes_is_merged(layer: Layer) -> None:
    notifier = Notifier()
    await notifier.start()
    for number in range(1, 6):
        commit(notifier, event(number))
    await asyncio.sleep(0)
    await notifier.stop()
    assert [message["news"].sequence for _, message in layer.heard] == [1, 2, 3, 4, 5]
    assert layer.sequences == [5]


async def test_many_prompt_changes_make_few_hints_after_urgent_news(
    layer: Layer,
) -> None:
    notifier = Notifier()
    await notifier.start()
    started = asyncio.get_running_loop().time()
    for number in range(1, 51):
        commit(notifier, event(number, type_=("interaction", "interaction_update")[number % 2]))
        await asyncio.sleep(0.001)
    took = asyncio.get_running_loop().time() - started
    await notifier.stop()
    assert sum(group == PROMPTS for group, _ in layer.heard) == 50
    hints = [group for group, _ in layer.sent].count(PROMPTS)
    assert 1 <= hints <= 2 + took / HINT_EVERY
    assert layer.sent[0][0] == group_name(CONVERSATION)


async def test_the_last_prompt_change_is_announced_before_stopping(layer: Layer) -> None:
    notifier = Notifier()
    await notifier.start()

    def hints() -> list[str]:
        return [group for group, _ in layer.sent if group == PROMPTS]

    commit(notifier, event(1, type_="interaction"))
    await until_true(lambda: len(hints()) == 1)
    commit(notifier, event(2, type_="interaction"))  # which has to wait
    await until_true(lambda: len(hints()) == 2)
    commit(notifier, event(3, type_="interaction_update"))
    await asyncio.sleep(0)
    await notifier.stop()  # which does not keep it
    assert len(hints()) == 3


async def test_a_layer_that_fails_stops_nothing(
    layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "PAUSE_AFTER_FAILURE", 0.0)
    layer.failing = True
    await publish([event(1)], [event(2)])
    layer.failing = False
    await publish([event(3)])
    assert layer.sequences == [3]
    assert [message["news"].sequence for _, message in layer.heard] == [1, 2, 3]


async def test_publishing_before_the_start_and_after_the_stop_is_harmless(layer: Layer) -> None:
    notifier = Notifier()
    commit(notifier, event(1))
    assert not notifier.send("group", {"type": "x"})
    await notifier.start()
    commit(notifier, event(2))
    await notifier.stop()
    commit(notifier, event(3))
    assert not notifier.send("group", {"type": "x"})
    await notifier.start()
    await notifier.stop()
    # Readers look at the log for the others.
    assert layer.sequences == [2]


async def test_a_listener_hears_only_the_groups_it_joined() -> None:
    group, other = uuid4().hex, uuid4().hex
    try:
        async with join_groups(group) as receive:
            for number, to in enumerate((other, group)):
                await groups.send_to_group(to, {"type": "x", "number": number})
            async with asyncio.timeout(10):
                assert (await receive())["number"] == 1
    finally:
        await channel_layer().close()
