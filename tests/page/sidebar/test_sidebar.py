"""The list of conversations: what needs the person, in which order, and what a search finds."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat_app.page.sidebar.sidebar_entries import sidebar
from sessions_app.conversations import messages
from sessions_app.models import Candidate, Conversation, Interaction, Run
from sessions_app.prompts import (
    AnyPrompt,
    BinaryPrompt,
    FormPrompt,
    NotificationPrompt,
    OAuthPrompt,
    Option,
    TextPrompt,
)
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, workflow
from tests.page.plain_page import export, text_of
from tests.page.sidebar.many import fill
from tests.support.clock import an_hour_back
from tests.support.database.stored_log import StoredLog
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)
TITLES = re.compile('<span class="title" dir="auto">(.*?)</span>')


def ask(owner: User, name: str, question: str, timeout: float | None = None) -> StoredLog:
    log = StoredLog(owner, name, title=name)
    log.ask(log.message(), TextPrompt(text=question, timeout=timeout))
    return log


async def test_conversations_that_need_the_person_come_first_by_deadline(
    client: AsyncClient, ann: User
) -> None:
    def store() -> None:
        ask(ann, "whenever", "No hurry?")
        ask(ann, "tomorrow", "Book it?", timeout=86400)
        soon = ask(ann, "soon", "Later?", timeout=90_000)
        soon.ask(soon.message(), TextPrompt(text="Deploy now?\nAll of it.", timeout=600))
        fill(ann, 40)

    await asyncio.to_thread(store)
    html = await text_of(client, "conversations")
    assert TITLES.findall(html)[:4] == ["soon", "tomorrow", "whenever", "Other 0"]
    assert len(TITLES.findall(html)) == 30
    assert 'data-waiting="4"' in html
    assert 'data-more="60"' in html
    waits = re.findall('<span class="waits" dir="auto">(.*?)</span>', html)
    assert waits == ["Deploy now?", "Book it?", "No hurry?"]
    assert html.count('<span class="others">+1</span>') == 1


async def test_the_current_conversation_is_listed_behind_many_others_but_not_in_a_search(
    client: AsyncClient, ann: User
) -> None:
    await asyncio.to_thread(fill, ann, 40)
    html = await text_of(client, "conversations", current="o39")
    assert TITLES.findall(html)[29:] == ["Other 29", "Other 39"]
    assert len(TITLES.findall(await text_of(client, "conversations", current="o3"))) == 30
    found = await text_of(client, "conversations", current="o39", q="r 12")
    assert TITLES.findall(found) == ["Other 12"]


SECTIONS = re.compile("<h2[^>]*>(.*?)</h2>")


async def test_the_list_has_sections_of_what_waits_for_whom_and_since_when(
    client: AsyncClient, ann: User
) -> None:
    def store() -> None:
        ask(ann, "mine", "Book it?")
        ben = User.objects.create_user("ben")
        for owner, name in ((ann, "older"), (ann, "hers"), (ben, "his")):
            log = ask(owner, name, "Days off?")
            prompt = Interaction.objects.get(conversation=log.conversation)
            of_others = {"for_owner": False, "assignment": {"names": ["managers", "boss"]}}
            Interaction.objects.filter(pk=prompt.pk).update(**of_others)
            place = {"asked_at": timezone.now(), "owner": owner}
            Candidate.objects.create(interaction=prompt, user=ann, **place)
            Conversation.objects.filter(pk=log.conversation.pk).update(waiting=0)
        fill(ann, 35)
        StoredLog(ann, "new", title="new")
        day = timedelta(days=1)
        for name, days in (("older", 9), ("o33", 2), ("o34", 1)):
            rows = Conversation.objects.filter(conversation_id=name)
            rows.update(listed_at=timezone.now() - days * day)

    await asyncio.to_thread(store)
    html = await text_of(client, "conversations", show=60)
    parts = SECTIONS.split(html)
    assert parts[1::2] == ["Needs you", "Waiting for others", "Today", "Earlier"]
    titles = [TITLES.findall(part) for part in parts[2::2]]
    assert titles[:2] == [["mine"], ["hers", "older"]]
    assert titles[2][0] == "new"
    assert titles[3][-2:] == ["Other 34", "Other 33"]
    twice = ('data-state="waiting"', "Waiting for managers, boss", "Stop and delete")
    assert [parts[4].count(words) for words in twice] == [2, 2, 2]
    searched = SECTIONS.split(await text_of(client, "conversations", q="Other 33"))
    assert searched[1::2] == ["Earlier"]


@workflow(name="t_asks", title="Asks")
async def asks(message: Message, context: Context) -> str:
    return (await context.ask(TextPrompt(text=f"{message.text}?"))).text


async def test_a_search_counts_what_waits_and_no_more_what_was_answered() -> None:
    async with Hosting("t_asks") as hosting:
        names = ("plum", "pear", "fig")  # which is not found, and counts
        runs = [await hosting.send(name, conversation=name) for name in names]
        counts = []
        for run in runs:
            await run.rest()
        for run in runs:
            counts.append((await reads.read(sidebar, hosting.user, query="p")).waiting_count)
            await run.answer("yes")
        counts.append((await reads.read(sidebar, hosting.user, query="p")).waiting_count)
    assert counts == [3, 2, 1, 0]
    assert not await Conversation.objects.exclude(waiting=0).aexists()


def state(log: StoredLog) -> str:
    [entry] = sidebar(log.conversation.owner_id).entries
    return entry.state


def test_the_last_run_of_the_log_says_what_became_of_a_conversation(log: StoredLog) -> None:
    log.end(log.message())
    with an_hour_back():
        log.end(log.message(), "failed")
    assert state(log) == "failed"


@pytest.mark.parametrize(("status", "shown"), [("completed", ""), ("failed", "failed")])
def test_a_run_that_another_has_begun_does_not_say_what_became_of_its_conversation(
    log: StoredLog, run: Run, status: str, shown: str
) -> None:
    child = log.begin(parent=run, parent_position=0)
    log.end(child, "failed" if status == "completed" else "completed")
    log.end(run, status)
    assert state(log) == shown


async def test_a_conversation_that_is_written_to_again_comes_first(ann: User) -> None:
    for conversation in ("old", "new", "old"):
        message = messages.IncomingMessage(uuid4().hex, conversation)
        await messages.submit(owner=ann.pk, conversation_id=conversation, message=message)
    entries = (await reads.read(sidebar, ann.pk)).entries
    assert [entry.title for entry in entries] == ["old", "new"]


def test_without_deadlines_the_earliest_question_is_shown(ann: User) -> None:
    log = ask(ann, "c", "First?")
    with an_hour_back():
        log.ask(log.message(), TextPrompt(text="Second?"))
    [entry] = sidebar(ann.pk).entries
    assert (entry.question, entry.other_count) == ("First?", 1)


@pytest.mark.parametrize("query", ["", "log"])
def test_a_note_that_asks_nothing_is_shown_after_questions_and_not_counted(
    ann: User, query: str
) -> None:
    log = StoredLog(ann, "c")
    log.ask(log.message(), NotificationPrompt(text="Told.", timeout=60))
    side = sidebar(ann.pk, query=query)
    assert (side.entries[0].question, side.waiting_count) == ("Told.", 0)
    log.ask(log.message(), TextPrompt(text="Name?"))
    side = sidebar(ann.pk, query=query)
    assert (side.entries[0].question, side.entries[0].other_count) == ("Name?", 0)
    assert side.waiting_count == 1


async def test_a_request_for_consent_names_the_host(client: AsyncClient, ann: User) -> None:
    def store() -> None:
        log = StoredLog(ann, "c")
        log.ask(log.message(), OAuthPrompt(text="https://id.example/authorize?secret=1"))

    await asyncio.to_thread(store)
    html = await text_of(client, "conversations")
    assert "Sign in at id.example" in html
    assert "secret" not in html


async def test_a_search_finds_titles_messages_questions_and_output(
    client: AsyncClient, ann: User
) -> None:
    def store() -> None:
        fill(ann, 40)
        StoredLog(ann, "1", title="Plum cake")
        StoredLog(ann, "2", title="message").message("how many PLUMS?")
        ask(ann, "question", "A plum?")
        log = StoredLog(ann, "4", title="output")
        run = log.message()
        log.text(run, "Two pl", "ums.")
        log.end(run)
        StoredLog(ann, "5", title="100 %")
        StoredLog(User.objects.create_user("ben"), "6", title="Ben's plum").message("plum")

    await asyncio.to_thread(store)
    titles = TITLES.findall(await text_of(client, "conversations", q="plum"))
    assert titles[0] == "question"
    assert sorted(titles) == ["Plum cake", "message", "output", "question"]
    assert TITLES.findall(await text_of(client, "conversations", q="other 39")) == ["Other 39"]
    assert TITLES.findall(await text_of(client, "conversations", q="0 %")) == ["100 %"]
    assert "No conversations match" in await text_of(client, "conversations", q="\0")


@pytest.mark.parametrize("query", ["", "plum"])
def test_queries_are_as_many_however_many_conversations_there_are(ann: User, query: str) -> None:
    counts = []
    for more in (1, 35):
        fill(User.objects.create_user(f"user{more}"), more)
        for number in range(more):
            ask(ann, f"{more}-{number}", "A plum?", timeout=60)
        with CaptureQueriesContext(connection) as queries:
            listed = sidebar(ann.pk, query=query)
        assert len(listed.entries) == min(30, number + 1 + (more > 1))
        counts.append(len(queries))
    assert counts[1] <= counts[0] <= 6


@pytest.mark.parametrize(("link", "is_known"), [("report", True), ("a&b=c", False)])
async def test_a_link_chooses_the_workflow(client: AsyncClient, link: str, is_known: bool) -> None:
    response = await client.get(reverse("chat:new"), {"workflow": link})
    html = (await client.get(response["Location"])).content.decode()
    [chosen] = re.findall(r'value="(\w+)"\s+checked', html)
    assert (chosen == link) == is_known


async def test_an_empty_page_says_what_waits_and_what_may_be_asked(
    client: AsyncClient, ann: User
) -> None:
    await asyncio.to_thread(ask, ann, "waits", "Deploy now?", 600)
    html = (await client.get(reverse("chat:conversation", args=["new"]))).content.decode()
    section = html[html.index('id="elsewhere"') :]
    assert re.search(r'href="/c/waits/"\s+aria-label="Open: Deploy now\?"', section)
    assert "Asks to go beyond its limit" in section


async def test_an_empty_page_shows_questions_and_no_notes(
    client: AsyncClient, log: StoredLog
) -> None:
    async def section() -> str:
        html = (await client.get(reverse("chat:conversation", args=["new"]))).content.decode()
        return html[html.index('id="empty"') : html.index('class="workflows"')]

    run = await asyncio.to_thread(log.message)
    await asyncio.to_thread(log.ask, run, NotificationPrompt(text="Told."))
    assert "waiting for you" not in await section()
    await asyncio.to_thread(log.ask, run, TextPrompt(text="Name?"))
    html = await section()
    assert "1 question is waiting for you" in html
    assert ("Name?" in html, "Told." in html) == (True, False)


@pytest.mark.parametrize(
    ("query", "count"), [("übung", 1), ("ÄPFEL", 1), ("50%_", 1), ("50%a", 0), ("übung%", 0)]
)
def test_a_search_finds_words_in_any_case_and_no_patterns(
    log: StoredLog, ann: User, query: str, count: int
) -> None:
    Conversation.objects.update(title="Übung: Äpfel zu 50%_ und 50 a")
    assert len(sidebar(ann.pk, query=query).entries) == count


ASKED = BinaryPrompt(text="Pay?", options=[Option(value="yes", label="Approve"), "no"])
TOWN = FormPrompt({"type": "object", "properties": {"town": {"type": "string"}}}, text="Where?")


@pytest.mark.parametrize(
    ("prompt", "response", "words"),
    [
        (ASKED, {"value": "yes", "note": "By Monday."}, "answered: Approve – By Monday. (ann"),
        (TOWN, {"value": {"town": "Ulm"}, "changed": []}, "answered: Town: Ulm (ann"),
    ],
)
async def test_an_export_has_an_answer_with_its_note_as_the_page_has_it(
    client: AsyncClient, log: StoredLog, prompt: AnyPrompt, response: dict[str, Any], words: str
) -> None:
    asked = await asyncio.to_thread(lambda: log.ask(log.message(), prompt))
    await asyncio.to_thread(log.settle, asked, response, by=log.conversation.owner)
    assert words in await export(client, "c", "md")


async def test_an_export_has_all_that_was_said_in_its_order(client: AsyncClient, ann: User) -> None:
    def store() -> None:
        log = StoredLog(ann, "a/b", title="Plums & <pears>")
        run = log.message("How many?\nPlease.")
        log.text(run, "I lo", "ok.")
        log.step(run, "count", "in_progress")
        log.step(run, "count")
        prompt = log.ask(run, TextPrompt(text="All of them?"))
        log.settle(prompt, {"value": "yes"}, by=ann)
        wrong = log.text(run, "Wrong")
        log.append(run, "restart", {"from_sequence": wrong})
        log.text(run, "Se", "ven.")
        log.end(run)
        going = log.message("again")
        log.text(going, "Sti", "ll")

    await asyncio.to_thread(store)
    read = json.loads(await export(client, "a/b", "json"))
    assert (read["conversation_id"], read["title"]) == ("a/b", "Plums & <pears>")
    first, second = read["runs"]
    assert [one.get("text") or one["type"] for one in first["said"]] == [
        "I look.",
        "step",
        "question",
        "Seven.",
    ]
    question = first["said"][2]
    assert (question["response"], question["answered_by"]) == ({"value": "yes"}, "ann")
    assert [one["text"] for one in second["said"]] == ["Still"]
    text = await export(client, "a/b", "md")
    places = [
        "> How many?\n> Please.",
        "I look.",
        "**All of them?**",
        "yes (ann",
        "Seven.",
        "Still\n\n*running*",
    ]
    assert sorted(places, key=text.index) == places
    assert "Wrong" not in text
    listed_here = " ".join((await text_of(client, "conversations")).split())
    for form in ("md", "json"):
        assert f'href="{reverse("chat:export", args=["a/b", form])}" download' in listed_here
    other = reverse("chat:export", args=["a/b", "exe"])
    assert (await client.get(other)).status_code == 404
