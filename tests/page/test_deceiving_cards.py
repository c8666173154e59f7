"""Cards of tool calls that an agent has built to mislead: the person sees what will run."""

import asyncio
import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils.html import strip_tags
from playwright.sync_api import Page, expect

from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction, Run
from sessions_app.prompts.hidden_characters import IGNORABLE, is_hidden
from sessions_app.workflows import FormPrompt, ToolCallPrompt
from tests.browser.chat_page import begin, card, open_new, say
from tests.http.client import Http
from tests.support.database.stored_log import StoredLog
from tests.support.server import Server

LINE = {"type": "string", "maxLength": 200}
BEFORE = "\n".join(f"line {number}" for number in range(60))
CARDS: dict[str, dict[str, Any]] = {
    "reordered": {"pay": "pay \u202e0001"},
    "behind-spaces": {"command": "ls -la" + " " * 120 + "; rm -rf /srv"},
    "line-ends": {
        "command": "ls -la\r\nrm -rf /srv\rsync\u2028reboot",
        "lines": "a\nb",
        "tab": "a\tb ",
    },
    "diff": {
        "change": {"before": BEFORE, "after": BEFORE.replace("line 59", "rm -rf /srv")},
        "code": {"code": "ls -la"},
        "rows": [{"to": "ann", "euro": "5"}, {"to": "bob", "euro": 5}],
    },
    "types": {
        "sure": "yes",
        "force": True,
        "text": "5",
        "number": 5,
        "word": "null",
        "nothing": None,
        "empty": "",
        "list": [],
        "object": {},
    },
    "names": {
        "amount": 1,
        "Amount": 2,
        "amount ": 3,
        "amo\u200bunt": 4,
        "__proto__": "a",
        "constructor": "b",
        "a\nb": "c",
    },
    "ignorable": {
        "pay": "".join(f"1{chr(code)}0" for code in sorted(IGNORABLE)[:60]),
        "to": "bob\ufe0f\U000e0041\U000e0100\u3164\u115f\u2800\u00a0\ue000\x7f",
    },
}
HIDING = [
    name for name in CARDS if any(map(is_hidden, json.dumps(CARDS[name], ensure_ascii=False)))
]
# What must be read of each card that has no fields.
READ: dict[str, list[str]] = {
    "reordered": ['pay text "pay U+202E0001"'],
    "behind-spaces": [f'command text "ls -la{" " * 120}; rm -rf /srv"'],
    "line-ends": ['command text "ls -laU+000D\nrm -rf /srvU+000DsyncU+2028reboot"'],
    "diff": [json.dumps(CARDS["diff"]["change"]["after"]), 'code object { "code": "ls -la" }'],
    "types": [
        'sure text "yes"',
        "force true or false true",
        'text text "5"',
        "number number 5",
        'word text "null"',
        "nothing null null",
        'empty text ""',
        "list list []",
        "object object {}",
    ],
    "names": [
        "amount number 1",
        "Amount number 2",
        '"amount " number 3',
        '"amoU+200Bunt" number 4',
        '"a b" text "c"',
    ],
    "ignorable": ['to text "bobU+FE0FU+E0041U+E0100U+3164U+115FU+2800U+00A0U+E000U+007F"'],
}


def call(name: str, *, editable: bool) -> dict[str, Any]:
    arguments = CARDS[name]
    texts = {one: LINE for one, value in arguments.items() if isinstance(value, str)}
    schema = {"type": "object", "properties": texts}
    return {"arguments": arguments, "input_schema": schema, "editable": editable}


def words(html: str) -> str:
    return " ".join(unescape(strip_tags(html)).split())


def ask(ann: User, name: str, *, editable: bool) -> Interaction:
    log = StoredLog(ann, "c")
    prompt = ToolCallPrompt(text="May I?", tool="run", **call(name, editable=editable))
    return log.ask(log.message(), prompt)


def assert_reads(html: str, name: str) -> None:
    [table] = re.findall(r'<table class="details arguments".*?</table>', html, re.DOTALL)
    text = "".join(words(table).split())
    assert [piece for piece in READ[name] if "".join(piece.split()) not in text] == []
    if name == "behind-spaces":
        assert CARDS[name]["command"] in unescape(table)


def assert_marked(html: str, name: str) -> None:
    """Check that a line below each field has the characters that would not be seen in it."""
    assert 'class="changes"' not in html
    lines = re.findall(r'<p class="marked" >(.*?)</p>', html, re.DOTALL)
    for value in CARDS[name].values():
        hidden = {f"U+{ord(one):04X}" for one in str(value) if is_hidden(one) and one >= " "}
        shown = {code for code in hidden for line in lines if code in line}
        assert hidden == shown


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("editable", [True, False], ids=["editable", "fixed"])
@pytest.mark.parametrize("name", CARDS)
async def test_each_page_shows_what_is_hidden_in_arguments(
    client: AsyncClient, ann: User, name: str, editable: bool
) -> None:
    interaction = await asyncio.to_thread(ask, ann, name, editable=editable)
    for path in ("/c/c/", "/inbox/", reverse("chat:prompt", args=[interaction.pk])):
        html = (await client.get(path)).content.decode()
        assert_reads(html, name)
        if editable:
            assert_marked(html, name)


@pytest.mark.parametrize("editable", [True, False], ids=["editable", "fixed"])
@pytest.mark.parametrize("name", CARDS)
def test_the_admin_shows_arguments_as_they_are(
    admin_client: Client, ann: User, name: str, editable: bool
) -> None:
    row = f"/admin/sessions_app/interaction/{ask(ann, name, editable=editable).pk}"
    assert_reads(admin_client.get(f"{row}/change/").content.decode(), name)
    answer = admin_client.get(f"{row}/answer/").content.decode()
    (assert_marked if editable else assert_reads)(answer, name)


@pytest.mark.django_db(transaction=True)
async def test_types_of_arguments_stand_beside_their_names(client: AsyncClient, ann: User) -> None:
    await asyncio.to_thread(ask, ann, "types", editable=True)
    html = (await client.get("/c/c/")).content.decode()
    labels = [words(one) for one in re.findall(r"<label for.*?</label>", html, re.DOTALL)]
    assert {"sure text", "text text", "word text", "empty text", "number JSON"} <= set(labels)


@pytest.mark.django_db(transaction=True)
async def test_values_of_a_foreign_form_are_marked_too(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    schema = {"properties": {"pay": {"type": "string", "description": "in \u202eeuro"}}}
    asked = FormPrompt(schema, text="?", initial={"pay": "1\u202e0'\""}, proposal=True)
    await asyncio.to_thread(log.ask, run, asked)
    html = (await client.get("/c/c/")).content.decode()
    [line] = re.findall(r'<p class="marked" >(.*?)</p>', html, re.DOTALL)
    assert words(line) == 'Exactly: "1U+202E0\'""'
    assert "in U+202Eeuro" in words(html)


@pytest.mark.slow
@pytest.mark.formless  # the views and the socket have tests in both
@pytest.mark.parametrize("javascript", [True, False])
def test_unchanged_call_is_approved_to_the_letter(
    open_page: Any, server: Server, javascript: bool
) -> None:
    page = open_page(None, java_script_enabled=javascript)
    if javascript:
        open_new(page)
    for name in CARDS:
        words = f"ask_tool_call({call(name, editable=True)!r})"
        if javascript:
            say(page, words)
        else:
            Http(server).generate(words)
            page.goto("/inbox/")
        card(page).get_by_role("button", name="Approve").click()
        expect(card(page)).to_have_count(0)
    rows = server.rows("SELECT response FROM sessions_app_interaction ORDER BY created_at")
    responses = [json.loads(row["response"]) for row in rows]
    assert [response["arguments"] for response in responses] == [*CARDS.values()]
    assert [response["changed"] for response in responses] == [[]] * len(CARDS)


@pytest.mark.slow
@pytest.mark.formless
@pytest.mark.parametrize("name", ["behind-spaces", "line-ends"])
def test_long_command_is_seen_whole(page: Page, name: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    begin(page, f"ask_tool_call({call(name, editable=True)!r})", cards=1)
    card(page).get_by_text("Edit", exact=True).click()
    for field in card(page).locator("textarea:not([name=f-_note])").all():
        size = field.evaluate(
            "one => [one.scrollHeight - one.clientHeight, one.scrollWidth - one.clientWidth]"
        )
        assert size == [0, 0]
    assert card(page).locator("input[type=text]").count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("editable", [True, False], ids=["editable", "fixed"])
async def test_title_of_a_schema_stands_beside_the_name_and_hides_nothing(
    client: AsyncClient, ann: User, editable: bool
) -> None:
    properties: JsonObject = {
        "to": {"title": "Your\u202e own account" + "!" * 100},
        "order_id": {"title": "Order Id"},  # as a model's class has it
    }
    prompt = ToolCallPrompt(
        text="?",
        tool="pay",
        editable=editable,
        arguments={"to": "bob", "order_id": 7},
        input_schema={"properties": properties},
    )
    await asyncio.to_thread(lambda: (log := StoredLog(ann, "c")).ask(log.message(), prompt))
    html = (await client.get("/c/c/")).content.decode()
    shown = re.findall(r'<th scope="row">.*?</th>|<label for.*?</label>', html, re.DOTALL)
    titles = [words(one) for one in shown if "type" in one]
    title = f"YourU+202E own account{'!' * 43}… to"
    assert titles[:2] == [f"{title} text", "order_id number"]
    assert [one[: len(title)] for one in titles[2:]] == (
        [title, "order_id JSON"] if editable else []
    )


@pytest.mark.slow
@pytest.mark.formless
def test_line_of_hidden_characters_is_kept_in_step(page: Page) -> None:
    begin(page, f"ask_tool_call({call('reordered', editable=True)!r})", cards=1)
    card(page).get_by_text("Edit", exact=True).click()
    field, line = card(page).get_by_label("pay"), card(page).locator(".marked").first
    expect(line).to_have_text('Exactly: "pay U+202E0001"')
    field.fill("pay 10\u200b00")
    expect(line).to_have_text('Exactly: "pay 10U+200B00"')
    expect(line.locator(".hidden-character")).to_have_text("U+200B")
    field.fill("pay 1000")
    expect(line).to_be_hidden()
    field.fill("<b>'\"&\u3164")
    expect(line).to_have_text('Exactly: "<b>\'"&U+3164"')


@pytest.mark.slow
@pytest.mark.formless
def test_browser_and_server_mark_the_same_characters(page: Page) -> None:
    """Compare them with the browser's list of Unicode's properties, too."""
    script = page.request.get("/static/chat_app/js/elements/formcard.js").text()
    [pattern] = re.findall(r"const HIDDEN =\s*(/.*?/u);", script, re.DOTALL)
    marked_codes, ignorable_codes = page.evaluate(
        f"""() => [{pattern}, /[\\p{{Default_Ignorable_Code_Point}}\\p{{Bidi_Control}}]/u].map(
            (one) => [...Array(0x110000).keys()].filter(
                (code) => one.test(String.fromCodePoint(code)),
            ),
        )"""
    )
    plain = set(map(ord, " \n\t"))
    server_codes = {code for code in range(0x110000) if is_hidden(chr(code))}
    assert set(ignorable_codes) <= server_codes
    assert set(marked_codes) - plain <= server_codes
    # Unicode has given characters to codes since the version that Python knows.
    newer = server_codes - set(marked_codes)
    assert all(not chr(code).isprintable() for code in newer)
