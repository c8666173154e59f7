"""The page and its forms, as they work without the script. No runtime: messages are only stored."""

import asyncio
import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client, override_settings
from django.urls import reverse

from sessions_app.models import Conversation, Interaction, Run
from sessions_app.prompts import (
    AnyPrompt,
    BinaryPrompt,
    CheckboxPrompt,
    DropdownPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
)
from tests.page.plain_page import PlainPage, content_of, follow, page
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)


def answer_url(interaction: Interaction) -> str:
    return reverse("chat:answer", args=["c", interaction.pk])


async def test_the_start_leads_to_the_newest_conversation_or_to_a_new_one(
    client: AsyncClient, ann: User
) -> None:
    assert re.fullmatch("/c/[0-9a-f-]{36}/", (await client.get("/"))["Location"])
    await asyncio.to_thread(StoredLog, ann, "mine")
    assert (await client.get("/"))["Location"] == "/c/mine/"


@pytest.mark.slow
def test_a_conversation_may_have_any_name_that_is_not_too_long(ann: User) -> None:
    client = Client()  # as the asynchronous one reads no UTF-8 in a path
    client.force_login(ann)
    for name in ("a/b", "ü €", "x?y#z", "%2F..", "a" * 200):
        StoredLog(ann, name, title=f"About {name[:100]}")
        html = client.get(reverse("chat:conversation", args=[name])).content.decode()
        assert f"<title>About {name[:100]}</title>" in html, name
    assert client.get(reverse("chat:conversation", args=["a" * 201])).status_code == 404


async def test_a_new_conversation_offers_the_workflows(client: AsyncClient) -> None:
    html = await page(client, str(uuid4()))
    titles = ("Assistant", "Expense approval", "Calculator")
    places = [html.index(title) for title in titles]
    assert places == sorted(places)
    assert "Asks before writing or deleting" in html
    assert "Demo mode" not in html


async def test_an_operator_is_told_that_no_model_is_connected(
    client: AsyncClient, ann: User
) -> None:
    await User.objects.filter(pk=ann.pk).aupdate(is_staff=True)
    assert "Demo mode: no model connected" in await page(client, str(uuid4()))


async def test_a_message_is_stored_once_however_often_its_form_is_sent(client: AsyncClient) -> None:
    form = {"text": "hi\r\nyou", "message_id": "m1", "workflow": "calculator"}
    for _ in range(2):
        response = await client.post(reverse("chat:send", args=["new"]), form)
        assert (response.status_code, response["Location"]) == (303, "/c/new/")
    run = await Run.objects.select_related("conversation").aget()
    assert (run.text, run.conversation.workflow) == ("hi\nyou", "calculator")


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("x" * 78 + FAMILY, "x" * 78),
        ("x" * 79 + "\U0001f44d\U0001f3fd", "x" * 79),
        ("x" * 79 + "e\u0301", "x" * 79),
        ("x" * 75 + FAMILY + "y", "x" * 75 + FAMILY),
        ("a" + "\u0301" * 100, "a" + "\u0301" * 79),
        ("\u200b", "calculator"),
        ("\u3164 \u2800", "calculator"),
    ],
)
async def test_a_title_ends_with_a_whole_picture_and_is_always_seen(
    client: AsyncClient, text: str, title: str
) -> None:
    form = {"text": text, "message_id": "m1", "workflow": "calculator"}
    assert (await client.post(reverse("chat:send", args=["new"]), form)).status_code == 303
    assert await Conversation.objects.values_list("title", flat=True).aget() == title


async def test_a_starter_sends_its_own_words_to_its_own_workflow(client: AsyncClient) -> None:
    form = {"starter": "report:1", "workflow": "calculator", "text": ""}
    assert (await client.post(reverse("chat:send", args=["new"]), form)).status_code == 303
    run = await Run.objects.aget()
    assert (run.workflow, run.text) == ("report", "50 a month, 2 %, 10 years")


async def test_a_message_that_is_refused_stays_in_its_field(client: AsyncClient) -> None:
    forms = {"at most 32,000": {"text": "x" * 40_000}}
    forms["no workflow"] = {"text": "Good day", "workflow": "nothing"}
    for reason, form in forms.items():
        response = await client.post(reverse("chat:send", args=["new"]), form)
        html = response.content.decode()
        assert (response.status_code, reason in html, form["text"] in html) == (422, True, True)


@pytest.mark.parametrize(
    ("prompt", "form", "stored_response"),
    [
        (TextPrompt(text="Q"), {"value": "a\r\nb"}, {"value": "a\nb"}),
        (
            BinaryPrompt(text="Q", options=[Option(value="yes"), Option(value="no")]),
            {"value": "no"},
            {"value": "no"},
        ),
        (
            CheckboxPrompt(text="Q", options=[Option(value=value) for value in "abc"]),
            {"several": "1", "value": ["c", "a"]},
            {"values": ["a", "c"]},
        ),
        (RadioPrompt(text="Q", options=[True, 3]), {"value": "true"}, {"value": True}),
        (
            CheckboxPrompt(text="Q", options=[True, 1, 0.5]),
            {"several": "1", "value": ["1", "0.5"]},
            {"values": [1, 0.5]},
        ),
        (
            CheckboxPrompt(text="Q", options=[Option(value=value) for value in "ab"]),
            {"several": "1"},
            {"values": []},
        ),
    ],
)
async def test_a_prompt_is_answered_by_its_form(
    client: AsyncClient,
    log: StoredLog,
    run: Run,
    prompt: AnyPrompt,
    form: dict[str, str | list[str]],
    stored_response: dict[str, str | list[str]],
) -> None:
    interaction = await asyncio.to_thread(log.ask, run, prompt)
    html = await page(client)
    assert f'action="{answer_url(interaction)}"' in html
    assert ('name="several"' in html) == ("several" in form)
    if not isinstance(prompt, TextPrompt):
        chosen = form.get("value", [])
        for one in chosen if isinstance(chosen, list) else [chosen]:
            assert f'value="{one}"' in html
    response = await client.post(answer_url(interaction), {**form, "version": 1, "answer_id": "a"})
    assert response.status_code == 303
    settled_row = await Interaction.objects.aget()
    assert (settled_row.status, settled_row.response) == ("answered", stored_response)
    assert settled_row.answered_via == "page"
    assert answer_url(interaction) not in await page(client)


async def test_an_answer_that_is_refused_stays_in_its_field(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    prompt = await asyncio.to_thread(log.ask, run, TextPrompt(text="Q", max_length=5))
    other = await asyncio.to_thread(log.ask, run, TextPrompt(text="Another"))
    response = await client.post(answer_url(prompt), {"value": "too <long>", "version": 1})
    assert response.status_code == 422
    html = response.content.decode()
    assert html.count("too &lt;long&gt;</textarea>") == 1
    assert "this prompt allows 5" in html
    assert answer_url(other) in html
    assert (await Interaction.objects.aget(pk=prompt.pk)).status == "pending"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("answered", "ann already answered this question."),
        ("expired", "This question expired before your answer arrived."),
        ("cancelled", "The run ended before your answer arrived."),
    ],
)
async def test_late_answer_has_the_same_reason_with_the_script_and_without(
    client: AsyncClient, log: StoredLog, run: Run, status: str, reason: str
) -> None:
    prompt = await asyncio.to_thread(log.ask, run, TextPrompt(text="Q"))
    by = log.conversation.owner if status == "answered" else None
    await asyncio.to_thread(log.settle, prompt, {"value": "first"}, status=status, by=by)
    form = {"value": "mine", "version": 1, "answer_id": "late"}
    told = await client.post(answer_url(prompt), form, headers={"accept": "application/json"})
    assert told.json()["reason"] == reason
    response = await client.post(answer_url(prompt), form, follow=True)
    html = response.content.decode()
    assert reason in html
    assert "Your answer was: mine" in html
    assert (await Interaction.objects.aget()).response == {"value": "first"}


async def test_a_question_older_than_the_part_shown_is_in_the_dock(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    prompt = await asyncio.to_thread(log.ask, run, TextPrompt(text="Very old question"))
    for _ in range(20):
        await asyncio.to_thread(lambda: log.end(log.message()))
    html = await page(client)
    assert f'id="i{prompt.sequence}"' not in html
    assert answer_url(prompt) in html


@pytest.mark.parametrize("kind", [BinaryPrompt, RadioPrompt, DropdownPrompt, CheckboxPrompt])
async def test_a_character_that_reorders_an_option_is_shown_by_its_code(
    client: AsyncClient, log: StoredLog, run: Run, kind: Any
) -> None:
    reordering = Option(value="a", label="Pay \u202e001 <b>", description="\u202e!")
    prompt = kind(text="?", options=[reordering, Option(value="b")])
    await asyncio.to_thread(log.ask, run, prompt)
    html = await page(client)
    assert "\u202e" not in html
    assert html.count(">U+202E<" if kind is not DropdownPrompt else "U+202E") == 2
    assert "001 &lt;b&gt;" in html


async def test_text_of_people_is_escaped_everywhere(client: AsyncClient, ann: User) -> None:
    attack = "</textarea></script><script>alert(1)</script>"

    def fill() -> None:
        log = StoredLog(ann, "c", title=attack)
        run = log.message(attack)
        log.text(run, attack[:12], attack[12:])
        log.step(run, attack, payload=attack)
        options = [Option(value=attack, label=attack, description=attack), Option(value="b")]
        details: dict[str, Any] = {attack: attack, "nested": [attack]}
        prompt = BinaryPrompt(text=attack + "\n" + attack, options=options, details=details)
        log.ask(run, prompt)
        log.settle(log.ask(run, prompt), {"value": attack}, by=ann)
        log.ask(run, TextPrompt(text=attack, placeholder=attack))
        log.end(log.message(attack), "failed", attack)

    await asyncio.to_thread(fill)
    html = await page(client)
    assert html.count("<script") == 2  # the module, and its words
    assert "<script>alert" not in html
    part = (await client.get(reverse("chat:items", args=["c"]), {"from": 1})).content.decode()
    assert "<script" not in part


@pytest.mark.usefixtures("run")
async def test_invalid_numbers_in_the_query_are_ignored(client: AsyncClient) -> None:
    for value in ("x", "-1", "9" * 400, "1e9", ""):
        query = {"from": value, "before": value}
        response = await client.get(reverse("chat:items", args=["c"]), query)
        assert response.status_code == 200
        await page(client, before=value)


async def test_a_page_shows_a_bounded_part(client: AsyncClient, log: StoredLog, run: Run) -> None:
    for _ in range(100):
        await asyncio.to_thread(log.step, run, "look")
    await asyncio.to_thread(log.end, run)
    html = await page(client)
    assert html.count('class="item ') <= 50
    earlier = await follow(client, html, "Show earlier messages", "/c/c/")
    assert "You are viewing earlier messages." in earlier
    assert ["hello</div>" in one for one in (html, earlier)] == [False, True]
    assert (await Conversation.objects.aget()).last_sequence == 103


async def test_a_page_shows_the_beginning_of_a_huge_text_and_links_the_rest(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    size = 5_000_000
    await asyncio.to_thread(log.text, run, "x" * size)
    await asyncio.to_thread(log.end, run)
    html = await page(client)
    assert len(html) < 500_000
    assert "… and 4737856 more characters." in html
    rest = await client.get(reverse("chat:chat_api:execution", args=[run.pk]))
    whole = json.loads(await content_of(rest))
    assert len(whole["result"]["choices"][0]["message"]["content"]) == size


async def test_an_answer_is_to_be_had_as_its_markdown(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    async def read() -> list[str]:
        texts = re.findall(r'class="copy" action="(/c/c/texts/[^"]+)"', await page(client))
        answers = [await client.get(url) for url in texts]
        for answer in answers:
            assert answer["Content-Type"] == "text/plain; charset=utf-8"
            assert answer["X-Content-Type-Options"] == "nosniff"
        return [(await content_of(answer)).decode() for answer in answers]

    await asyncio.to_thread(log.text, run, "# One\n\n", "- [ ] <b>\n")
    await asyncio.to_thread(log.step, run, "look")
    await asyncio.to_thread(log.text, run, "Two")
    assert await read() == ["# One\n\n- [ ] <b>\n", "Two"]
    await asyncio.to_thread(log.end, run)  # its text is folded
    assert await read() == ["# One\n\n- [ ] <b>\n", "Two"]


async def test_nobody_else_gets_an_answer(client: AsyncClient, log: StoredLog, run: Run) -> None:
    first = await asyncio.to_thread(log.text, run, "One")
    eve = await User.objects.acreate_user("eve")
    hers = await asyncio.to_thread(StoredLog, eve)
    other = await asyncio.to_thread(hers.message)
    await asyncio.to_thread(hers.text, other, "One")
    wrong = [(other, first), *((run, at) for at in (first + 1, 0, 10**40))]
    answers = [
        await client.get(reverse("chat:text", args=["c", of.pk, at]))
        for of, at in [(run, first), *wrong]
    ]
    assert [answer.status_code for answer in answers] == [200, *(404 for _ in wrong)]
    assert await content_of(answers[0]) == b"One"


async def test_a_page_is_asked_for_by_its_methods(client: AsyncClient) -> None:
    urls = [reverse(f"chat:{name}", args=["c"]) for name in ("conversation", "items")]
    urls += [reverse(f"chat:{name}") for name in ("inbox", "conversations", "new", "settings")]
    for url in urls:
        head, whole = await client.head(url), await client.get(url)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert (await client.delete(url)).status_code == 405
    assert (await client.get(reverse("chat:send", args=["c"]))).status_code == 405
    assert (await client.post(urls[0])).status_code == 405


async def test_a_form_that_is_sent_signed_out_gives_back_what_was_typed(
    client: AsyncClient, run: Run
) -> None:
    path = reverse("chat:feedback", args=["c", run.pk])
    form, wanted = {"reaction": "", "comment": "Too <short>"}, {"referer": "http://testserver/c/c/"}
    response = await AsyncClient().post(path, form, headers=wanted)
    html = response.content.decode()
    assert (response.status_code, "Too &lt;short&gt;</textarea>" in html) == (403, True)
    signing_in = PlainPage(html).named("Sign in", "a").attributes["href"]
    assert signing_in == "/sign-in/?next=/c/c/"
    assert (await client.get("/c/c/")).status_code == 200


async def test_a_link_of_another_site_leads_to_its_page_though_the_cookie_is_strict(
    client: AsyncClient,
) -> None:
    from_elsewhere, path = {"Sec-Fetch-Site": "cross-site"}, "/c/c/?before=3"
    signed_out = AsyncClient()  # as a browser keeps such a cookie from that request
    assert (await signed_out.get(path, headers=from_elsewhere)).status_code == 302
    with override_settings(SESSION_COOKIE_SAMESITE="Strict"):
        between = await signed_out.get(path, headers=from_elsewhere)
    assert (between.status_code, between["Cache-Control"].count("no-store")) == (200, 1)
    html = between.content.decode()
    assert f'<meta http-equiv="refresh" content="0; url={path}">' in html
    assert PlainPage(html).named("Open", "a").attributes["href"] == path
    from_here = {"Sec-Fetch-Site": "same-origin"}
    with override_settings(SESSION_COOKIE_SAMESITE="Strict"):
        response = await signed_out.get(path, headers=from_here)
    assert response["Location"].startswith("/sign-in/?next=/c/c/")
    assert (await client.get(path, headers=from_here)).status_code == 200
