"""A conversation that is deleted: at no door of its owner's but undo."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse

from chat_app import feedback
from chat_app.api.run_selectors import run_at
from sessions_app.conversations import forks, listing, messages, resumption
from sessions_app.conversations.messages import IncomingMessage
from sessions_app.errors import NotFound
from sessions_app.models import Conversation, Interaction, Run
from sessions_app.notify.groups import join_groups
from sessions_app.notify.news import PROMPTS, PROMPTS_CHANGED
from sessions_app.prompts import TextPrompt
from sessions_app.storage import reads
from sessions_app.storage.writer import writer
from tests.page.plain_page import follow, get, post, press, text_of
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def store(owner: User, name: str = "c", title: str = "Plums") -> Interaction:
    log = StoredLog(owner, name, workflow="echo", title=title)
    run = log.message("secret message")
    Run.objects.filter(pk=run.pk).update(metadata={"trace_id": TRACE})
    return log.ask(run, TextPrompt(text="secret question?"))


@pytest.fixture
async def prompt(client: AsyncClient, ann: User) -> Interaction:
    """Return a prompt that waits in a conversation of ann's that is deleted."""
    interaction = await asyncio.to_thread(store, ann)
    await asyncio.to_thread(StoredLog, ann, "other", title="Pears")
    assert (await post(client, "delete", "c", here="other")).status_code == 303
    return interaction


@pytest.mark.slow
async def test_the_open_page_confirms_the_deletion_and_offers_undo(
    client: AsyncClient, ann: User
) -> None:
    await asyncio.to_thread(store, ann)
    await asyncio.to_thread(StoredLog, ann, "other", title="Pears")
    other_page = await text_of(client, "conversation", "other")
    page = await press(client, other_page, "Stop and delete")
    assert "<bdi>Plums</bdi> is deleted." in page
    assert "is deleted" not in await follow(client, page, "Close")
    assert "secret message" in await press(client, page, "Undo")
    own = await post(client, "delete", "other", here="other")
    assert own["Location"] == "/c/other/"


async def test_a_deletion_tells_who_counts_what_waits(ann: User) -> None:
    await asyncio.to_thread(store, ann)
    async with join_groups(PROMPTS) as receive, asyncio.timeout(5):
        await listing.delete(owner=ann.pk, conversation_id="c")
        assert await receive() == PROMPTS_CHANGED


async def test_the_page_of_a_deleted_conversation_shows_only_the_deletion(
    client: AsyncClient, prompt: Interaction
) -> None:
    page = await text_of(client, "conversation", "c")
    assert "This conversation is deleted" in page
    assert 'action="/c/c/restore/"' in page
    assert "secret" not in page
    (script,) = re.findall("<script[^>]*>", page)  # which looks whether it was undone
    assert "/deleted." in script
    items = await get(client, "items", "c", **{"from": "1"})
    assert (items.status_code, items.content) == (204, b"")


@pytest.mark.slow
async def test_a_deleted_conversation_is_in_no_list_search_or_count(
    client: AsyncClient, prompt: Interaction
) -> None:
    for query in ({}, {"q": "secret"}, {"q": "plums"}):
        html = await text_of(client, "conversations", **query)
        assert "Plums" not in html
        assert "secret " not in html
        assert 'data-waiting="0"' in html
    assert (await get(client, "home"))["Location"] == "/c/other/"
    assert "secret" not in await text_of(client, "conversation", "new")


DOORS: dict[str, Callable[[AsyncClient, Interaction], Any]] = {
    "Markdown": lambda client, _: get(client, "export", "c", "md"),
    "JSON": lambda client, _: get(client, "export", "c", "json"),
    "title": lambda client, _: get(client, "rename", "c"),
    "rename": lambda client, _: post(client, "rename", "c", title="Mine"),
    "stop": lambda client, _: post(client, "stop", "c"),
    "send": lambda client, _: post(client, "send", "c", text="on?", message_id=str(uuid4())),
    "answer": lambda client, prompt: post(client, "answer", "c", prompt.pk, answer="x"),
    "the question": lambda client, prompt: get(client, "prompt", prompt.pk),
    "answer in inbox": lambda client, prompt: post(client, "answer_prompt", prompt.pk, value="x"),
    "run": lambda client, prompt: get(client, "chat_api:execution", prompt.run_id),
    "cancel": lambda client, prompt: client.delete(
        reverse("chat:chat_api:execution", args=[prompt.run_id]),
    ),
    "answer over HTTP": lambda client, prompt: client.post(
        reverse("chat:chat_api:answer", args=[prompt.run_id, prompt.pk]),
        {"response": {"type": "text", "text": "x"}},
        content_type="application/json",
    ),
}


async def test_every_address_of_a_deleted_conversation_is_404(
    client: AsyncClient, prompt: Interaction
) -> None:
    responses = {name: await door(client, prompt) for name, door in DOORS.items()}
    assert {name: one.status_code for name, one in responses.items()} == dict.fromkeys(DOORS, 404)
    assert not [name for name, one in responses.items() if "secret" in one.content.decode()]
    assert await Interaction.objects.filter(pk=prompt.pk, status="pending").aexists()
    assert await Run.objects.acount() == 1


async def test_a_message_that_comes_too_late_is_not_lost(client: AsyncClient, ann: User) -> None:
    await asyncio.to_thread(store, ann)
    before = await text_of(client, "conversation", "c")
    await post(client, "delete", "c")
    page = await press(client, before, "Send", text="Two <more> lines")
    assert "This conversation is deleted" in page
    assert "Two &lt;more&gt; lines</textarea>" in page


async def test_code_acting_for_the_owner_or_an_operator_finds_no_deleted_conversation(
    ann: User, prompt: Interaction
) -> None:
    message, run = IncomingMessage("m2", "on?"), prompt.run_id
    await Run.objects.filter(pk=run).aupdate(status="suspended")
    fork = partial(forks.fork_run, run=run, position=1, by=forks.Forker("op", None), key="k")
    with pytest.raises(NotFound, match="deleted by its owner"):
        await writer.write(lambda tx: resumption.resume_run(tx, run, "an operator"))
    with pytest.raises(NotFound, match="deleted by its owner"):
        await writer.write(fork)
    for work in (
        lambda: messages.submit(owner=ann.pk, conversation_id="c", message=message),
        lambda: feedback.find_run(owner=ann.pk, trace_id=TRACE),
        lambda: reads.read(run_at, ann.pk, "c", 1),
    ):
        with pytest.raises(NotFound):
            await work()


async def test_a_second_click_does_no_harm_and_undo_restores_all_but_the_run(
    client: AsyncClient, prompt: Interaction
) -> None:
    deleted_at = Conversation.objects.values_list("deleted_at", flat=True)
    stopped = Run.objects.filter(pk=prompt.run_id, stop_requested_at__isnull=False)
    first = await deleted_at.aget(title="Plums")
    assert (await post(client, "delete", "c", here="other")).status_code == 303
    assert await deleted_at.aget(title="Plums") == first
    assert await stopped.aexists()
    for _ in range(2):
        answer = await post(client, "restore", "c")
        assert (answer.status_code, answer["Location"]) == (303, "/c/c/")
    assert "secret message" in await text_of(client, "conversation", "c")
    assert "Plums" in await text_of(client, "conversations")
    assert await stopped.aexists()


async def test_deletions_of_other_users_are_not_shown(client: AsyncClient) -> None:
    ben = await User.objects.acreate_user("ben")
    await asyncio.to_thread(store, ben, "his", "Plums")
    await listing.delete(owner=ben.pk, conversation_id="his")
    assert "Plums" not in await text_of(client, "conversation", "new", deleted="his")
    assert (await post(client, "restore", "his")).status_code == 404
