"""A conversation that is deleted while sockets follow it."""

from typing import Any

import pytest

from sessions_app.conversations import listing
from sessions_app.models import Conversation, Interaction, Run
from sessions_app.storage import reads
from tests.support.hosting import until
from tests.support.received_frames import Frame
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


def is_deleted(frame: Frame) -> bool:
    return bool(frame["type"] == "error_message" and "was deleted" in str(frame))


@pytest.mark.slow
async def test_followers_are_told_of_the_deletion_and_the_run_stops(ann: Any) -> None:
    async with LocalSocket(ann, conversation_id="c", waiting="true") as page:
        prompt = await page.say_until_prompt("ask()")
        if not any(frame.get("waiting") == 1 for frame in page.frames):  # it may come first
            await page.until(lambda frame: frame.get("waiting") == 1)
        async with LocalSocket(ann, conversation_id="c", extended=None) as plain:
            await plain.until("system_interaction_message")
            await listing.delete(owner=ann.pk, conversation_id="c")
            await plain.until(is_deleted)
        error = await page.until(is_deleted)
        assert (error["conversation_id"], error["details"]) == ("c", {"deleted": True})
        await page.until(lambda frame: frame.get("waiting") == 0)
        await page.answer("x", interaction_id=prompt["id"], id="a1")
        reply = await page.until(lambda frame: frame.get("for") == "a1")
        assert reply["outcome"] == "not_found"
        await page.say("on?", id="m2")
        await page.until(lambda frame: is_deleted(frame) and frame.get("for") == "m2")
        async with LocalSocket(ann, conversation_id="c") as late:
            await late.until_settled()
            assert [frame["type"] for frame in late.frames] == ["pong_message"]
            await late.send({"type": "stop_message", "id": "s1", "conversation_id": "c"})
            stop_reply = await late.until(lambda frame: frame.get("for") == "s1")
            assert stop_reply["outcome"] == "not_found"
    await until(Run.objects.filter(status=Run.Status.CANCELLED).exists)
    assert await Interaction.objects.filter(status="cancelled").acount() == 1


async def test_a_socket_goes_on_once_the_conversation_is_restored(ann: Any) -> None:
    async with LocalSocket(ann, conversation_id="c") as page:
        await page.say_until_prompt("ask()")
        await listing.delete(owner=ann.pk, conversation_id="c")
        await page.until(is_deleted)
        await listing.restore(owner=ann.pk, conversation_id="c")
        await page.say("ask()", id="m2")
        await page.until(lambda frame: frame.get("for") == "m2")
        await page.until("system_interaction_message")
        assert await reads.read(Run.objects.count) == 2


@pytest.mark.slow
async def test_followers_are_told_of_a_permanent_deletion(ann: Any) -> None:
    async with LocalSocket(ann, conversation_id="c") as page:
        await page.say_until_prompt("ask()")
        await reads.read(Conversation.objects.all().delete)
        await page.until(is_deleted)  # at the sweeper's next look
        await page.until_settled()
