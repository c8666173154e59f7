"""A message that has several versions: which branch is shown, and the ways to the others."""

import asyncio
import json
import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chat_app.page.conversation.conversation_page import ItemRange, read_page
from chat_app.page.conversation.transcript import MessageItem
from chat_app.run_transcript import read_shared
from sessions_app.models import Conversation, Interaction, Run
from sessions_app.prompts import TextPrompt
from tests.page.plain_page import export, follow, page, press
from tests.support.clock import an_hour_back
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)

SEND = reverse("chat:send", args=["c"])


@pytest.fixture
def log(ann: User) -> StoredLog:
    return StoredLog(ann, workflow="report")


def store_run(log: StoredLog, text: str, **place: Run) -> Run:
    run = log.message(text, **place)
    log.text(run, f"re {text}")
    log.end(run)
    return run


def ask_below(log: StoredLog, run: Run) -> Interaction:
    """Store a question of a child of a child of the run."""
    child = log.begin(parent=run, text="inner")
    log.text(child, "Well.")
    return log.ask(log.begin(parent=child), TextPrompt(text="Name?"))


def shown_messages(log: StoredLog, branch: Run | None = None) -> list[str]:
    """Return the messages on the page, each with which version it is."""
    item_range = ItemRange(branch=branch.id if branch else None)
    items = read_page(log.conversation.owner_id, "c", item_range).transcript.items
    return [
        f"{item.text} {item.versions.number}/{item.versions.total}" if item.versions else item.text
        for item in items
        if isinstance(item, MessageItem)
    ]


def test_the_newest_branch_is_shown_unless_another_is_asked_for(log: StoredLog) -> None:
    store_run(log, "a")
    first = store_run(log, "b")
    store_run(log, "c")
    assert shown_messages(log) == ["a", "b", "c"]
    second = store_run(log, "b2", replaces=first)
    assert shown_messages(log) == ["a", "b2 2/2"]
    assert shown_messages(log, first) == ["a", "b 1/2", "c"]
    store_run(log, "b3", replaces=second)
    store_run(log, "d")
    assert shown_messages(log) == ["a", "b3 3/3", "d"]
    assert shown_messages(log, second) == ["a", "b2 2/3"]
    store_run(log, "e", follows=second)
    assert shown_messages(log) == ["a", "b2 2/3", "e"]


def test_a_branch_that_begins_after_the_clock_was_set_back_is_the_newest(log: StoredLog) -> None:
    store_run(log, "a")
    first = store_run(log, "b")
    with an_hour_back():
        store_run(log, "b2", replaces=first)
        store_run(log, "c")
    assert shown_messages(log) == ["a", "b2 2/2", "c"]


def test_versions_within_versions(log: StoredLog) -> None:
    first = store_run(log, "a")
    inner = store_run(log, "b")
    store_run(log, "b2", replaces=inner)
    store_run(log, "a2", replaces=first)
    assert shown_messages(log) == ["a2 2/2"]
    assert shown_messages(log, first) == ["a 1/2", "b2 2/2"]
    assert shown_messages(log, inner) == ["a 1/2", "b 1/2"]


def test_a_run_of_another_conversation_selects_the_newest_branch(log: StoredLog, ann: User) -> None:
    store_run(log, "a2", replaces=store_run(log, "a"))
    assert shown_messages(log, store_run(StoredLog(ann, "d"), "elsewhere")) == ["a2 2/2"]


def test_a_question_on_another_branch_is_still_to_be_answered(log: StoredLog) -> None:
    first = log.message("a")
    prompt = log.ask(first, TextPrompt(text="Name?"))
    log.message("a2", replaces=first)
    page = read_page(log.conversation.owner_id, "c")
    assert [card.interaction for card in page.unplaced_cards] == [prompt]


def test_what_the_child_of_a_child_asks_is_in_the_branch_of_its_message(log: StoredLog) -> None:
    store_run(log, "b2", replaces=store_run(log, "b"))
    run = log.message("c")
    prompt = ask_below(log, run)
    page = read_page(log.conversation.owner_id, "c")
    assert [card.interaction for card in page.cards] == [prompt]
    assert page.unplaced_cards == []


def test_what_the_child_of_a_child_asks_shares_what_the_person_said(log: StoredLog) -> None:
    run = log.message("Book it")
    prompt = ask_below(log, run)
    store_run(log, "later")
    prompt.assignment = {"share": True}
    [shared] = read_shared(prompt)
    assert (shared["message"], shared["run"]) == ("Book it", str(run.id))


def test_older_parts_are_of_the_same_branch(log: StoredLog) -> None:
    first = store_run(log, "a")
    for number in range(20):
        store_run(log, f"b{number}")
    last = store_run(log, "a2", replaces=first)
    for number in range(20):
        store_run(log, f"c{number}")
    texts: list[str] = []
    before = None
    while True:
        item_range = ItemRange(before=before, branch=first.id)
        part = read_page(log.conversation.owner_id, "c", item_range).transcript
        texts = [item.text for item in part.items if isinstance(item, MessageItem)] + texts
        before = part.older
        if not before:
            break
    assert texts == ["a", *(f"b{number}" for number in range(20))]
    assert shown_messages(log, last)[-1] == "c19"


def test_branches_cost_one_query_however_many_there_are(log: StoredLog) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured_queries:
            read_page(log.conversation.owner_id, "c")
        return len(captured_queries)

    first = store_run(log, "a")
    without = queries()
    for number in range(5):
        store_run(log, f"a{number}", replaces=first)
    assert queries() == without + 1


async def test_the_switch_and_the_edit_are_links(client: AsyncClient, log: StoredLog) -> None:
    first = await asyncio.to_thread(store_run, log, "a")
    assert "of 1" not in await page(client)
    second = await asyncio.to_thread(store_run, log, "a2", replaces=first)
    html = await page(client)
    assert re.search(r"2 of\s+2", html)
    assert f'href="/c/c/?branch={first.id}#r{first.id}"' in html
    html = await follow(client, html, "Earlier version")
    assert "re a<" in html.replace("\n", "")
    assert "re a2" not in html
    assert f'href="/c/c/?branch={second.id}#r{second.id}"' in html
    assert f'name="follows" value="{first.id}"' in html
    html = await press(client, html, "Send", text="b")
    assert (await Run.objects.aget(text="b")).follows_id == first.id
    assert f'href="/c/c/?branch={second.id}#r{second.id}"' in html


async def test_a_message_is_edited_by_the_form_of_the_page(
    client: AsyncClient, log: StoredLog
) -> None:
    first = await asyncio.to_thread(store_run, log, "a")
    form = await follow(client, await page(client), "Edit")
    assert ">a</textarea>" in form
    refused = await press(client, form, "Send", text="x" * 32_001)
    assert f'name="replaces" value="{first.id}"' in refused.partition('id="composer"')[2]
    assert not await Run.objects.exclude(pk=first.pk).aexists()
    for _ in range(2):
        await press(client, form, "Send", text="a2")
    run = await Run.objects.aget(text="a2")
    assert (run.forked_from_id, run.fork_position) == (first.id, 1)
    assert (await Conversation.objects.aget(conversation_id="c")).branched


async def test_an_answer_is_tried_again_once_for_a_button(
    client: AsyncClient, log: StoredLog
) -> None:
    first = await asyncio.to_thread(store_run, log, "a")
    for expected in (2, 3):
        html = await page(client)
        for _ in range(2):
            await press(client, html, "Try again")
        assert await Run.objects.acount() == expected
        newest = await Run.objects.alatest("created_at")
        assert (newest.text, newest.forked_from_id != first.id) == ("a", expected > 2)
        await asyncio.to_thread(log.conversation.refresh_from_db)
        await asyncio.to_thread(log.end, newest)
    await press(client, await page(client, branch=str(first.id)), "Try again")
    assert await Run.objects.acount() == 4  # of the first answer, of which there is another


async def test_a_refused_edit_stays_in_the_composer_with_the_replaced_run(
    client: AsyncClient, log: StoredLog
) -> None:
    first = await asyncio.to_thread(store_run, log, "a")
    response = await client.post(SEND, {"text": "x" * 32_001, "replaces": str(first.id)})
    assert response.status_code == 422
    composer = response.content.decode().partition('id="composer"')[2]
    assert f'name="replaces" value="{first.id}"' in composer


async def test_an_export_says_which_run_replaces_which(client: AsyncClient, log: StoredLog) -> None:
    first = await asyncio.to_thread(store_run, log, "a")
    second = await asyncio.to_thread(store_run, log, "a2", replaces=first)
    await asyncio.to_thread(store_run, log, "b", follows=first)
    text = await export(client, "c", "md")
    runs = json.loads(await export(client, "c", "json"))["runs"]
    assert [run["run"] for run in runs[:2]] == [str(first.id), str(second.id)]
    assert [run["replaces"] for run in runs] == [None, str(first.id), None]
    assert [run["follows"] for run in runs] == [None, None, str(first.id)]
    assert f"*Another version of the message of {first.created_at.isoformat()}*" in text
    assert f"*Goes on with the message of {first.created_at.isoformat()}*" in text


async def test_nobody_replaces_or_follows_what_is_another_s(
    client: AsyncClient, log: StoredLog
) -> None:
    other = await asyncio.to_thread(User.objects.create_user, "ben")
    theirs = await asyncio.to_thread(StoredLog, other, "c", workflow="report")
    run = await asyncio.to_thread(store_run, theirs, "secret")
    for field in ("replaces", "follows"):
        response = await client.post(SEND, {"text": "x", field: str(run.id)})
        assert response.status_code == 404
        assert b"secret" not in response.content
    assert "secret" not in await page(client, edit=str(run.id), branch=str(run.id))
    assert await Run.objects.acount() == 1
