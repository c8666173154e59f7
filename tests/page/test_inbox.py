"""Tests of the inbox with a prompt for several people, and of one answer to several prompts."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from chat_app.inbox.inbox_parts import PROMPTS_PER_PAGE
from chat_app.page.conversation import conversation_views
from chat_app.page.inbox.alike import group_alike
from chat_app.page.inbox.inbox_entries import make_entries
from chat_app.page.sidebar.sidebar_entries import sidebar
from sessions_app.interactions.audit import first_line
from sessions_app.models import AuditEntry, Candidate, Interaction, Run, Vote
from sessions_app.prompts import (
    AnyPrompt,
    BinaryPrompt,
    FormPrompt,
    OAuthPrompt,
    Option,
    RadioPrompt,
    TextAnswer,
    TextPrompt,
    ToolCallPrompt,
)
from tests.page.plain_page import PlainPage, post, press, text_of
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now()


def ask(
    owner: User, name: str = "c", *, workflow: str = "none", question: str = "", yes: str = "yes"
) -> Interaction:
    log = StoredLog(owner, name, workflow=workflow)
    options = [Option(value=yes, label="Approve"), Option(value="no", label="Reject")]
    return log.ask(log.message(), BinaryPrompt(text=question or f"{name}?", options=options))


def test_votes_are_shown_only_after_voting(ann: User) -> None:
    prompt, ben, eve = ask(ann), *(User.objects.create_user(name) for name in ("ben", "eve"))
    prompt.assignment = {"to": [], "names": ["all"], "votes": 3}
    prompt.save()
    Vote.objects.create(
        interaction=prompt, by=ben, response={"value": "no"}, at=NOW, via="inbox", vouched=True
    )
    answers_by_reader = {
        reader: [vote.answer for vote in entry.votes]
        for reader in (ben, eve)
        for entry in make_entries([prompt], reader.pk)
    }
    assert answers_by_reader == {ben: ["Reject"], eve: []}


def test_a_consent_is_called_by_what_it_asks_for_in_lists_and_mails(ann: User) -> None:
    log = StoredLog(ann)
    prompt = log.ask(log.message(), OAuthPrompt(text="https://id.example/authorize?secret=1"))
    [entry], [listed] = make_entries([prompt], ann.pk), sidebar(ann.pk).entries
    questions = {entry.question, listed.question, first_line(prompt.prompt)}
    assert questions == {"Sign in at id.example"}


TOWN = {"type": "object", "properties": {"town": {"type": "string"}}}


@pytest.mark.parametrize(
    ("asked", "response"),
    [
        (TextPrompt(text="How is it?\nSay all."), {"value": "Rainy"}),
        (
            FormPrompt(TOWN, text="How is it?\nSay all."),
            {"value": {"town": "Rainy"}, "changed": ["town"]},
        ),
    ],
)
async def test_the_page_of_an_answered_prompt_says_question_and_answer_once(
    client: AsyncClient, log: StoredLog, run: Run, asked: AnyPrompt, response: dict[str, Any]
) -> None:
    prompt = await asyncio.to_thread(log.ask, run, asked)
    await asyncio.to_thread(log.settle, prompt, response, by=log.conversation.owner)
    html = await text_of(client, "prompt", prompt.pk)
    card = html.partition("<main")[2].partition('id="history"')[0]
    assert [card.count(words) for words in ("How is it?", "Say all.", "Rainy")] == [1, 1, 1]


async def test_the_page_of_a_prompt_has_the_history_of_no_other(
    client: AsyncClient, ann: User
) -> None:
    prompts = [await asyncio.to_thread(ask, ann, name) for name in ("a", "b")]
    await Interaction.objects.aupdate(assignment={"to": [], "names": ["ann"]})
    for prompt in prompts:
        await Candidate.objects.acreate(interaction=prompt, user=ann, owner=ann, asked_at=NOW)
        assert (await post(client, "claim", prompt.pk, change="claim")).status_code == 303
    html = await text_of(client, "prompt", prompts[0].pk)
    assert html.partition('id="history"')[2].count("Claimed") == 1


def test_only_prompts_of_one_workflow_are_answered_at_once(ann: User) -> None:
    prompts = [ask(ann, "a"), ask(ann, "b"), ask(ann, "c", workflow="other")]
    entries = make_entries(prompts, ann.pk)
    groups, [bar] = group_alike(entries, ann.pk, [prompt.pk for prompt in prompts])
    keys = [entry.answers_key for group in groups for entry in group.entries]
    assert keys == [bar.key, bar.key, ""]


def test_a_group_has_one_question_however_it_is_filled_in(ann: User) -> None:
    questions = ["Pay 20 € to ann?", "Delete “a”?", "Pay 1,700 € to ann?", "Delete “a”?", "Stop?"]
    prompts = [ask(ann, str(n), question=text) for n, text in enumerate(questions)]
    groups, _ = group_alike(make_entries(prompts, ann.pk), ann.pk, [])
    assert [[entry.question for entry in group.entries] for group in groups] == [
        questions[0:3:2],
        questions[1:4:2],
        questions[4:],
    ]
    assert [group.words for group in groups[:2]] == ["Pay … € to …?", "Delete “a”?"]


async def send(client: AsyncClient, fields: dict[str, Any]) -> str:
    path, form = reverse("chat:answer_several"), {"value": "yes", **fields}
    response: Any = await client.post(path, form, follow=True)
    return str(response.content.decode())


@pytest.mark.slow
async def test_all_of_a_question_are_listed_and_then_answered_across_pages(
    client: AsyncClient, ann: User
) -> None:
    def store() -> None:
        for number in range(PROMPTS_PER_PAGE + 5):
            ask(ann, str(number), question=f"Pay {number} €?")
            ask(ann, f"other{number}", question=f"Delete {number}?")

    await asyncio.to_thread(store)
    inbox = (await client.get(reverse("chat:inbox"))).content.decode()
    assert f"Select all {PROMPTS_PER_PAGE + 5}" in inbox
    [question, *_] = re.findall(r'name="all"\s+value="(\w+)"', inbox)
    html = await send(client, {"all": question, "note": "All due"})
    assert "Answer these questions with “Approve – All due”?" in html
    assert "Delete" not in html
    assert not await Interaction.objects.exclude(status="pending").aexists()
    names = ("prompt", "value", "note", "sent")
    form = {name: re.findall(rf'name="{name}"\s+value="(.*?)"', html) for name in names}
    html = await send(client, form)
    assert f"{PROMPTS_PER_PAGE + 5} answered." in html
    assert 'class="notice success"' in html  # in another colour than a warning
    assert len(form["prompt"]) == PROMPTS_PER_PAGE + 5
    answered_prompts = Interaction.objects.filter(status="answered", response__value="yes")
    assert await answered_prompts.filter(response__note="All due").acount() == PROMPTS_PER_PAGE + 5
    left = Interaction.objects.filter(status="pending", prompt__text__startswith="Delete")
    assert await left.acount() == PROMPTS_PER_PAGE + 5


async def test_all_of_a_question_in_a_search_are_those_that_were_found(
    client: AsyncClient, ann: User
) -> None:
    for number in (1, 12, 2):
        await asyncio.to_thread(ask, ann, str(number), question=f"Pay {number} €?")
    html = await text_of(client, "inbox", q="Pay 1")
    [alike] = re.findall(r'name="all"\s+value="(\w+)"', html)
    bar = html[html.index('id="alike"') :]
    review = await press(client, bar, "Approve", all=alike)
    assert review.count('name="prompt"') == 2


@pytest.mark.slow
async def test_a_page_of_which_all_was_answered_shows_the_one_before(
    client: AsyncClient, ann: User
) -> None:
    await asyncio.to_thread(lambda: [ask(ann, str(number)) for number in range(PROMPTS_PER_PAGE)])
    html = await text_of(client, "inbox", page=2)
    assert html.count('class="entry"') == PROMPTS_PER_PAGE
    assert "Nothing is waiting for you" not in html


async def test_only_what_the_reader_did_is_confirmed(client: AsyncClient, ann: User) -> None:
    prompt, ben = await asyncio.to_thread(ask, ann), await User.objects.acreate(username="ben")
    page = f"{reverse('chat:inbox')}?done="
    confirmed = 'role="status" > <strong>'
    response = await post(client, "answer_prompt", prompt.pk, value="yes")
    assert response["Location"] == f"{page}{prompt.pk}"
    html = (await client.get(response["Location"])).content.decode()
    assert f"{confirmed}Answered “Approve”:</strong> <bdi>c?</bdi>" in " ".join(html.split())
    await client.aforce_login(ben)
    for forged in (prompt.pk, uuid4(), "Approved"):
        html = (await client.get(f"{page}{forged}")).content.decode()
        assert 'role="status" > </div>' in " ".join(html.split())


async def test_a_selection_shows_no_question_of_others(client: AsyncClient, ann: User) -> None:
    ben = await User.objects.acreate_user("ben")
    prompts = [await asyncio.to_thread(ask, owner, owner.username) for owner in (ann, ben)]
    html = await send(client, {"prompt": [str(prompt.pk) for prompt in prompts]})
    assert "ann?" in html
    assert "ben?" not in html


async def test_joint_answers_name_the_prompts_already_answered(
    client: AsyncClient, ann: User
) -> None:
    def store() -> list[Interaction]:
        prompts = [ask(ann, name) for name in "abc"]
        settled_rows = Interaction.objects.filter(pk=prompts[0].pk)
        settled_rows.update(status="answered", response={"value": "no"}, answered_by=ann)
        return [ask(ann, "other", yes="on"), *prompts]

    prompts = await asyncio.to_thread(store)
    html = await send(client, {"prompt": [str(one.pk) for one in prompts], "sent": "1"})
    assert "2 answered, 1 was answered by ann meanwhile, 1 was not answered." in html
    assert "“other?”: " in html
    assert "“a?”: ann already answered this question." in html


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"sent": "1"}, "0 answered, 1 was answered by ann meanwhile."),
        ({"prompt": []}, "Select the questions to answer."),
    ],
)
async def test_the_note_of_several_answers_is_given_back_where_none_is_taken(
    client: AsyncClient, ann: User, form: dict[str, Any], reason: str
) -> None:
    prompt = await asyncio.to_thread(ask, ann)
    settled_rows = Interaction.objects.filter(pk=prompt.pk)
    await settled_rows.aupdate(status="answered", response={"value": "no"}, answered_by=ann)
    html = await send(client, {"prompt": str(prompt.pk), "note": "All due", **form})
    assert reason in html
    assert "Your unsent note: All due" in html


LONG = "yes " * 2000
NOTE = {"change": "delegate", "to": "bne", "note": "She is away."}
NOTE_BACK = "Your unsent note: She is away."
CLAIMED = "ben has claimed this question."


def path_of(door: str, prompt: Any) -> str:
    return reverse(f"chat:{door}", args=["c", prompt] if door == "answer" else [prompt])


@pytest.mark.parametrize(
    ("door", "holder", "form", "said"),
    [
        ("answer_prompt", "ben", {"value": LONG}, f"{CLAIMED} Your answer was: {LONG}"),
        ("answer", "ben", {"value": LONG}, f"{CLAIMED} Your answer was: {LONG}"),
        ("claim", "ann", NOTE, f"There is no user “bne”. {NOTE_BACK}"),
        ("claim", "ben", NOTE, f"{CLAIMED} {NOTE_BACK}"),
    ],
    ids=["answer in the inbox", "answer in the chat", "unknown name", "claimed by another"],
)
async def test_what_is_refused_is_given_back_with_the_reason(
    client: AsyncClient, door: str, holder: str, form: dict[str, str], said: str
) -> None:
    ann, ben = await User.objects.aget(), await User.objects.acreate_user("ben")
    prompt = await asyncio.to_thread(ask, ann)
    assignee = {"ann": ann, "ben": ben}[holder]
    rules = {"to": [{"kind": "user", "name": name} for name in ("ann", "ben")], "names": []}
    await Interaction.objects.aupdate(assignment=rules, assignee=assignee)
    await Candidate.objects.acreate(interaction=prompt, user=assignee, owner=ann, asked_at=NOW)
    response: Any = await client.post(path_of(door, prompt.pk), form, follow=True)
    assert said in response.content.decode()


CALL = ToolCallPrompt(text="q?", tool="pay")
ORDER = FormPrompt(
    {"type": "object", "properties": {"town": {"type": "string"}}},
    text="q?",
    initial={"town": "Ulm"},
    proposal=True,
    submit="Order it",
    reject="Leave it",
)
NAMED = RadioPrompt(text="q?", options=[Option(value="approve", label="Go"), "wait"])


@pytest.mark.parametrize(
    ("prompt", "answer", "said"),
    [
        (CALL, "approve", "Approved"),
        (CALL, "reject", "Rejected"),
        (ORDER, "approve", "Approved"),
        (ORDER, "reject", "Rejected"),
        (NAMED, "approve", "Approved"),
        (NAMED, "wait", "Answered “wait”"),
        (TextPrompt(text="q?"), "approve", "Answered"),
    ],
)
async def test_a_decision_is_confirmed_whatever_its_buttons_are_called(
    client: AsyncClient, ann: User, prompt: AnyPrompt, answer: str, said: str
) -> None:
    def answer_it() -> Interaction:
        log = StoredLog(ann)
        asked = log.ask(log.message(), prompt)
        log.settle(asked, prompt.check(TextAnswer(answer)), by=ann)
        return asked

    asked = await asyncio.to_thread(answer_it)
    html = await text_of(client, "inbox", done=str(asked.pk))
    assert f"<strong>{said}:</strong> <bdi>q?</bdi>" in " ".join(html.split())


@pytest.mark.parametrize(("default", "said"), [("reject", "Auto-rejects"), (None, "Expires")])
async def test_a_card_says_what_comes_of_no_answer(
    client: AsyncClient, log: StoredLog, run: Run, default: str | None, said: str
) -> None:
    call = CALL.model_copy(update={"default": default, "timeout": 600})
    await asyncio.to_thread(log.ask, run, call)
    html = await text_of(client, "conversation", "c")
    assert re.search(rf'class="deadline"[^>]*>\s*{said}\s*<count-down', html)


async def test_a_new_conversation_says_what_waits_in_the_inbox_alone(
    client: AsyncClient, ann: User
) -> None:
    ben = await User.objects.acreate_user("ben")
    prompt = await asyncio.to_thread(ask, ben)
    rules = {"to": [{"kind": "user", "name": "ann"}], "names": []}
    await Interaction.objects.aupdate(assignment=rules)
    await Candidate.objects.acreate(interaction=prompt, user=ann, owner=ben, asked_at=NOW)
    html = (await client.get(reverse("chat:conversation", args=["new"]))).content.decode()
    link = r'id="elsewhere">\s*<a href="/inbox/">\s*1 question is waiting for you\s*</a>'
    assert re.search(link, html)
    shown = AuditEntry.objects.filter(interaction=prompt.pk, action="shown")
    assert [entry.by_name async for entry in shown] == ["ann"]


@pytest.mark.parametrize("is_settled", [False, True])
async def test_a_tool_call_is_named_in_the_language_of_the_reader(
    client: AsyncClient, log: StoredLog, run: Run, *, is_settled: bool
) -> None:
    call = ToolCallPrompt(text="May I do this: Write note?\n\nIt is new.", tool="write")
    prompt = await asyncio.to_thread(log.ask, run, call)
    if is_settled:
        answer = await asyncio.to_thread(call.check, TextAnswer("reject"))
        await asyncio.to_thread(log.settle, prompt, answer)
    await User.objects.filter(username="ann").aupdate(is_staff=True, is_superuser=True)
    page = f"/admin/sessions_app/interaction/{prompt.pk}/change/"
    for path in (reverse("chat:conversation", args=["c"]), page):
        response = await client.get(path, headers={"accept-language": "de"})
        html = response.content.decode()
        assert "„Write note“ erlauben?" in html
        assert "It is new." in html
        assert "May I" not in re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL)


def ask_each_kind(ann: User) -> None:
    options = [Option(value="yes", label="Ship it"), Option(value="no", label="Wait")]
    risky = [Option(value="yes", label="Burn it", destructive=True), Option(value="no")]
    described = BinaryPrompt(text="b?", options=options, details={"Euro": 5})
    prompts: list[AnyPrompt] = [
        BinaryPrompt(text="a?", options=options),
        described,
        ToolCallPrompt(text="c?", tool="pay", arguments={"euro": 5}),
        BinaryPrompt(text="d?", options=risky),
        BinaryPrompt(text="e?\nRead this.", options=options),
        BinaryPrompt(text="f?", options=[options[0], Option(value="no", needs_note=True)]),
    ]
    for number, prompt in enumerate(prompts):
        log = StoredLog(ann, f"c{number}")
        log.ask(log.message(), prompt)


async def test_a_question_is_answered_where_a_conversation_begins_if_it_is_read_there(
    client: AsyncClient, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_views, "MOST_WAITING", 6)
    await asyncio.to_thread(ask_each_kind, ann)
    path = reverse("chat:conversation", args=["new"])
    html = (await client.get(path)).content.decode()
    plain = PlainPage(html)
    forms = {one.form for one in plain.controls if one.attributes.get("name") == "value"}
    assert [plain.forms[form]["action"].startswith("/p/") for form in forms] == [True]
    links = [one.label for one in plain.controls if one.label.startswith("Open: ")]
    assert links == [f"Open: {name}?" for name in "bcdef"]
    assert 'aria-label="Open: b?"' in await press(client, html, "Ship it")  # here again
    row = await Interaction.objects.aget(conversation__conversation_id="c0")
    assert row.response["value"] == "yes"


@pytest.mark.parametrize(
    ("door", "form", "typed"),
    [
        ("answer_prompt", {"value": "Only on Friday."}, "Only on Friday."),
        ("answer", {"value": "Only on Friday."}, "Only on Friday."),
        ("claim", NOTE, NOTE["note"]),
    ],
    ids=["in the inbox", "in the chat", "a note"],
)
@pytest.mark.usefixtures("ann")
async def test_what_is_sent_to_a_prompt_that_is_another_s_by_now_is_given_back(
    client: AsyncClient, door: str, form: dict[str, str], typed: str
) -> None:
    path = path_of(door, uuid4())
    response = await client.post(path, form)
    html = response.content.decode()
    assert (response.status_code, f"{typed}</textarea>" in html) == (404, True)
    if door != "claim":  # the script has it still, and says so there
        response = await client.post(path, form, headers={"Accept": "application/json"})
        assert response.json()["outcome"] == "not_found"


@pytest.mark.parametrize(
    ("next_url", "location"),
    [
        ("/inbox/?part=mine", "/inbox/?part=mine"),
        ("", "/inbox/"),
        ("mine", "/inbox/"),
        ("//evil.example/", "/inbox/"),
        ("/\\evil.example/", "/inbox/"),
        ("https://evil.example/", "/inbox/"),
    ],
)
@pytest.mark.usefixtures("ann")
async def test_a_form_leads_back_to_pages_of_this_site_only(
    client: AsyncClient, next_url: str, location: str
) -> None:
    form = {"next": next_url, "sent": "1"}
    response = await client.post(reverse("chat:answer_several"), form)
    assert (response.status_code, response["Location"]) == (303, location)
