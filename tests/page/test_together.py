"""Prompts that one card has: one button answers all of them, or none."""

import asyncio
import re
from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from playwright.sync_api import Locator, Page, expect

from chat_app.inbox.inbox_query import on_card
from chat_app.inbox.pending_counts import count_waiting
from chat_app.page.inbox.inbox_entries import make_entries
from chat_app.page.sidebar.sidebar_entries import sidebar
from sessions_app import runs
from sessions_app.models import Interaction
from sessions_app.prompts import AnyPrompt, BinaryPrompt, Option, TextPrompt, on_one_card
from sessions_app.workflows import user
from tests.browser.chat_page import assert_page_is_log, begin, card, state
from tests.page.plain_page import PlainPage, post, text_of
from tests.support.browser import OpenPage
from tests.support.database.stored_log import StoredLog
from tests.support.server import Server

pytestmark = pytest.mark.formless  # the views and the socket have tests in both

SETTLED = "SELECT status FROM sessions_app_interaction ORDER BY position"


def ask_together(
    log: StoredLog, prompts: Sequence[AnyPrompt], title: str = "All"
) -> list[Interaction]:
    run = log.message()
    return [log.ask(run, prompt) for prompt in on_one_card(prompts, title, 0)]


def questions(texts: str) -> list[TextPrompt]:
    return [TextPrompt(text=text) for text in texts]


def fill(form: Locator) -> None:
    """Fill all fields, the day with a wrong one."""
    form.get_by_label("Name?").fill("Ada\nLovelace")
    form.get_by_label("Blue").first.check()
    form.get_by_role("combobox").select_option("red")
    form.get_by_role("checkbox", name="Red").check()
    form.get_by_label("First day").fill("2026-11-22")
    form.get_by_label("Days").fill("2")


@pytest.mark.slow
def test_one_button_answers_all_or_none(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    begin(page, "ask_together()")
    form = card(page)
    expect(form).to_have_count(1)
    expect(form.get_by_role("heading")).to_have_text("About your trip")
    expect(page.locator(".question")).to_have_count(5)
    expect(page.get_by_text("is answered with the questions above")).to_have_count(4)
    expect(page.get_by_text("is answered with the questions above").last).to_be_hidden()
    expect(form.get_by_label("Name?")).to_have_attribute("placeholder", "a name")
    fill(form)
    form.get_by_role("button", name="Answer all").click()
    day = form.get_by_label("First day")
    expect(day).to_be_focused()
    expect(day).to_have_accessible_description("That is a Sunday.")
    expect(form.get_by_role("alert")).to_have_text("Check the marked fields.")
    assert {row["status"] for row in server.rows(SETTLED)} == {"pending"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    day.fill("2026-11-23")
    form.get_by_role("button", name="Answer all").click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_contain_text("Ada Lovelace|blue|red|red|{'kind'")
    expect(page.locator(".question .outcome")).to_have_count(5)
    expect(card(page)).to_have_count(0)
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_a_card_that_is_sent_signed_out_says_so_and_keeps_what_was_typed(page: Page) -> None:
    begin(page, "ask_together()", cards=1)
    fill(card(page))
    page.context.clear_cookies(name="sessionid")
    card(page).get_by_role("button", name="Answer all").click()
    expect(card(page).locator(".progress")).to_have_text("Signed out. Your draft is kept.")
    expect(card(page).get_by_label("Name?")).to_have_value("Ada\nLovelace")


@pytest.mark.beyond("one card of several questions is answered without the script")
@pytest.mark.slow
def test_without_the_script_what_is_refused_stays_and_what_another_tab_has_answered_too(
    page: Page, open_page: OpenPage, server: Server
) -> None:
    begin(page, "ask_together()", cards=1)
    plain = open_page(page.url, java_script_enabled=False)
    form = card(plain)
    fill(form)
    form.get_by_role("button", name="Answer all").click()
    expect(form.locator(".errorlist")).to_have_text(["That is a Sunday."])
    expect(form.get_by_label("Name?")).to_have_value("Ada\nLovelace")
    expect(form.get_by_label("Blue").first).to_be_checked()
    assert {row["status"] for row in server.rows(SETTLED)} == {"pending"}
    fill(card(page))
    for each in (card(page), form):
        each.get_by_label("First day").fill("2026-11-23")
    card(page).get_by_role("button", name="Answer all").click()
    state(page, "completed")
    form.get_by_role("button", name="Answer all").click()
    expect(plain.locator("#messages, .messages, [role=status]").first).to_be_attached()
    expect(plain.get_by_text("already answered this question")).to_be_visible()
    assert {row["status"] for row in server.rows(SETTLED)} == {"answered"}


@pytest.mark.slow
@pytest.mark.parametrize("script", [True, False])
def test_a_card_of_several_questions_is_one_in_the_inbox_and_its_counts(
    page: Page, open_page: OpenPage, server: Server, *, script: bool
) -> None:
    begin(page, "ask_together()")
    expect(page).to_have_title(re.compile(r"^\(1\) Needs you"))
    expect(page.locator("#inbox b")).to_have_text("1")
    viewport = {"width": 360, "height": 740}
    inbox = open_page("/inbox/", java_script_enabled=script, viewport=viewport)
    expect(inbox).to_have_title("(1) Inbox" if script else "Inbox")
    expect(inbox.locator("#count")).to_have_text("1")
    expect(inbox.locator("#parts [aria-current]")).to_have_text("All 1")
    if script:  # of rows on a phone none is open at first
        inbox.get_by_role("link", name="About your trip").click()
    expect(card(inbox).get_by_role("heading")).to_have_text("About your trip")
    fill(card(inbox))
    card(inbox).get_by_role("button", name="Answer all").click()
    expect(card(inbox).locator(".errorlist")).to_have_text("That is a Sunday.")
    card(inbox).get_by_label("First day").fill("2026-11-23")
    card(inbox).get_by_role("button", name="Answer all").click()
    state(page, "completed")
    inbox.goto("/inbox/")
    expect(inbox.locator(".empty")).to_be_visible()
    assert {row["status"] for row in server.rows(SETTLED)} == {"answered"}


@pytest.mark.django_db
def test_the_next_question_stands_for_a_card_whose_first_is_settled(
    ann: User, log: StoredLog
) -> None:
    first, *rest = ask_together(log, questions("abc"))
    assert count_waiting([ann.pk])[ann.pk].ids == {first.pk}
    assert [prompt.pk for prompt in on_card(rest[1])] == [prompt.pk for prompt in (first, *rest)]
    log.settle(first, {"value": "x"}, by=ann)
    assert count_waiting([ann.pk])[ann.pk].ids == {rest[0].pk}
    [entry] = make_entries(rest[:1], ann.pk)
    assert entry.card
    assert [part.interaction for part in entry.card.parts] == [prompt.pk for prompt in rest]
    assert sidebar(ann.pk).entries[0].other_count == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("reassigned", [0, 1])
def test_a_question_of_a_card_that_is_reassigned_leaves_the_others_to_their_owner(
    ann: User, log: StoredLog, reassigned: int
) -> None:
    ben = User.objects.create_user("ben")
    prompts = ask_together(log, questions("ab"))
    runs.reassign(prompts[reassigned].pk, to=[user("ben")], by=ann)
    [theirs, left] = (
        Interaction.objects.get(pk=prompts[one].pk) for one in (reassigned, ~reassigned)
    )
    for person, prompt in ((ann, left), (ben, theirs)):
        assert count_waiting([person.pk])[person.pk].ids == {prompt.pk}
        assert on_card(prompt) == [prompt]
    [entry] = sidebar(ann.pk).entries
    assert entry.state == "needs-you"


@pytest.mark.django_db(transaction=True)
async def test_questions_of_two_runs_are_on_two_cards(client: AsyncClient, log: StoredLog) -> None:
    for title in ("Trip", "Order"):
        await asyncio.to_thread(ask_together, log, questions("ab"), title)
    html = await text_of(client, "conversation", "c")
    labels = [one.label for one in PlainPage(html).controls if one.tag == "button"]
    assert labels.count("Answer all") == 2
    assert re.findall(r"<h2[^>]*>\s*(Trip|Order)", html) == ["Trip", "Order"]


@pytest.mark.django_db(transaction=True)
async def test_a_card_in_the_inbox_answers_no_question_of_another(
    client: AsyncClient, log: StoredLog
) -> None:
    texts = [TextPrompt(text="a"), TextPrompt(text="b", required=False)]
    together = await asyncio.to_thread(ask_together, log, texts)
    other = await asyncio.to_thread(log.ask, together[0].run, TextPrompt(text="other"))
    ids = [str(prompt.pk) for prompt in (*together, other)]
    inbox = (await client.get("/inbox/")).content.decode()
    fields_to_fill = re.findall(r'<textarea name="f-([\w-]+)"[^>]* required', inbox)
    assert fields_to_fill == ids[:1]
    fields = {f"f-{name}": "x" for name in ids}
    refused = await post(client, "answer_prompt", ids[0], together=ids, **fields)
    assert refused.status_code == 404
    taken = await post(client, "answer_prompt", ids[1], together=ids[:2], **fields)
    assert taken.status_code == 303
    left = [prompt async for prompt in Interaction.objects.filter(status="pending")]
    assert [str(prompt.pk) for prompt in left] == ids[2:]


@pytest.mark.django_db(transaction=True)
async def test_an_option_that_needs_a_note_can_be_chosen_on_a_card_of_several(
    client: AsyncClient, log: StoredLog
) -> None:
    options = [Option(value="pay"), Option(value="refuse", needs_note=True)]
    asked = [BinaryPrompt(text="a", options=options), TextPrompt(text="b", required=False)]
    ids = [str(prompt.pk) for prompt in await asyncio.to_thread(ask_together, log, asked)]
    html = await text_of(client, "conversation", "c")
    assert re.findall(r'<textarea name="f-([\w-]+)"', html) == [f"note-{ids[0]}", ids[1]]
    assert "Reason (required for: refuse)" in html
    fields = {f"f-{ids[0]}": "refuse", f"f-{ids[1]}": ""}
    noted = fields | {f"f-note-{ids[0]}": "too dear"}
    refused, taken = [
        await post(client, "answer", "c", ids[0], **form, together=ids) for form in (fields, noted)
    ]
    assert "Give a reason for “" in refused.content.decode()
    assert taken.status_code == 303
    settled = await Interaction.objects.aget(pk=ids[0])
    assert settled.response == {"value": "refuse", "note": "too dear"}
