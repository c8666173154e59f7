"""The group that a socket joins for a conversation: when, and which news it gets there."""

from uuid import UUID

import pytest
from pytest_django import Settings

from chat_app.consumers import ChatConsumer
from chat_app.feed.selectors import read_opening
from sessions_app.models import Conversation, Run
from sessions_app.notify.groups import LayerMessage
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from tests.support.hitl import set_hitl
from tests.wire.live_log import LiveLog, write_after

pytestmark = pytest.mark.django_db(transaction=True)


async def test_events_written_while_the_feed_opens_arrive(
    log: LiveLog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hitl(settings, SWEEP_SECONDS=30)
    async with log.socket() as witness:
        await log.write("before")
        await witness.until_sequence(1)
        write_after(read_opening, monkeypatch, log, witness)
        async with log.socket(last_sequence=1) as socket:  # no other news has it look again
            await socket.until_sequence(2)


async def test_no_news_of_other_conversations_is_heard(
    log: LiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[UUID] = []
    hear = ChatConsumer.conversation_news

    async def hear_and_note(consumer: ChatConsumer, message: LayerMessage) -> None:
        heard.append(message["news"].conversation)
        await hear(consumer, message)

    def write_elsewhere(tx: Transaction) -> None:
        times = {"created_at": tx.now}
        other = Conversation.objects.create(
            owner=log.user, conversation_id="d", workflow="none", updated_at=tx.now, **times
        )
        run = Run.objects.create(conversation=other, key="none", message_id="m", **times)
        tx.append(run, "text", {"text": "elsewhere"})

    monkeypatch.setattr(ChatConsumer, "conversation_news", hear_and_note)
    async with log.socket() as socket:
        await socket.until_settled()
        await writer.write(write_elsewhere)
        await log.write("here")
        await socket.until_sequence(1)
        assert {*heard} == {log.conversation}
