"""A question on the page: asked, kept, answered, in one tab and in several."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from tests.browser.chat_page import (
    answer,
    assert_page_is_log,
    begin,
    card,
    state,
    until_connected,
)
from tests.support.browser import Console
from tests.support.server import Server


@pytest.mark.slow
def test_a_question_survives_a_reload_and_is_answered(page: Page, server: Server) -> None:
    begin(page, "ask()")
    expect(card(page).locator("h2")).to_have_text("prompt-1")
    page.reload()
    expect(card(page).locator("h2")).to_have_text("prompt-1")
    entry = page.locator("#list [aria-current]")
    expect(entry).to_contain_text("needs you")
    card(page).locator("textarea").fill("Eve")
    card(page).locator("textarea").press("Enter")
    state(page, "completed")
    expect(entry).not_to_contain_text("needs you")
    expect(page.locator("#items .text")).to_have_text("Eve")
    expect(card(page)).to_have_count(0)
    expect(page.locator("#items .question > details > summary")).to_contain_text("by you")
    assert_page_is_log(page, server)
    before = page.locator("#items").inner_text()
    page.reload()
    assert page.locator("#items").inner_text() == before


@pytest.mark.slow
def test_an_answered_question_folds_to_a_row_that_says_so_with_its_note(page: Page) -> None:
    begin(page, "approve(count=2)")
    buttons = card(page).get_by_role("button")
    expect(buttons.get_by_text("continue")).to_have_class("primary")
    expect(buttons.get_by_text("cancel")).not_to_have_class("primary")
    buttons.get_by_text("continue").click()
    row = page.locator("#items .question > details > summary")
    expect(row).to_have_text("prompt-1 continue by you · just now", use_inner_text=True)
    expect(page.locator("#status")).to_contain_text("prompt-1 continue by you · just now")
    row.click()
    expect(page.locator("#items .question .via")).to_have_text("from the chat")
    card(page).get_by_text("Add a note").click()
    card(page).get_by_label("Note").fill("as agreed")
    page.reload()
    until_connected(page)
    expect(card(page).get_by_label("Note")).to_have_value("as agreed")
    card(page).get_by_role("button", name="continue").click()
    expect(row.last).to_contain_text("continue – as agreed")
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("continue|continue")


@pytest.mark.slow
def test_a_deadline_is_urgent_in_its_last_tenth(page: Page) -> None:
    begin(page, "Release 2.0", workflow="parallel_review")
    deadline = card(page).first.locator(".deadline")
    expect(deadline).to_have_text("Auto-answers Abstain in 7 days", use_inner_text=True)
    expect(deadline).to_have_attribute("title", re.compile(f"{timezone.now().year}.*:"))
    expect(deadline.locator("[urgent]")).to_have_count(0)
    asked = timezone.now() - timedelta(days=70)
    deadline.locator("count-down").evaluate(SET_SINCE, asked.isoformat())
    expect(deadline.locator("[urgent]")).to_have_count(1)


@pytest.mark.slow
def test_the_field_of_a_card_that_was_folded_is_as_high_as_the_first(page: Page) -> None:
    begin(page, "ask_two()")
    heights = []
    for text in ("first", "second"):
        field = card(page).locator("textarea").locator("visible=true")
        expect(field).to_have_count(1)
        heights.append(field.evaluate("field => field.clientHeight"))
        field.fill(text)
        card(page).locator("visible=true").get_by_role("button", name="Answer").click()
        expect(page.locator("#items .question > details > summary").last).to_contain_text(text)
    assert heights[0] == heights[1]


SET_SINCE = """(each, since) => each.setAttribute("since", since)"""
CLOSED_AT_FIRST = """() => {
  window.closedAtFirst = [];
  const isClosed = (card) =>
    [...card.querySelectorAll(".buttons button")].every((each) => each.ariaDisabled === "true");
  new MutationObserver((records) => {
    for (const { addedNodes } of records) {
      for (const card of addedNodes) {
        if (card.querySelector?.("prompt-card")) window.closedAtFirst.push(isClosed(card));
      }
    }
  }).observe(document.getElementById("items"), { childList: true });
}"""


@pytest.mark.slow
def test_a_question_that_appears_takes_no_click_meant_for_another(page: Page) -> None:
    begin(page, "approve(count=2)")
    button = card(page).get_by_role("button", name="continue")
    expect(button).to_be_enabled()
    page.evaluate(CLOSED_AT_FIRST)
    button.click()
    expect(card(page).locator("h2")).to_have_text("prompt-2")
    expect(button).to_be_enabled()
    assert page.evaluate("() => window.closedAtFirst") == [True]


@pytest.mark.slow
def test_a_page_from_before_a_sign_in_takes_the_new_token_and_its_answer_is_taken(
    page: Page, console: Console, server: Server
) -> None:
    console.allow("status of 403")
    begin(page, "ask()")
    token = {"name": "csrftoken", "value": "t" * 32, "url": server.url}
    page.context.add_cookies([token])  # type: ignore[list-item] # a TypedDict there
    card(page).locator("textarea").fill("Eve")
    card(page).get_by_role("button", name="Answer").click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("Eve")


@pytest.mark.slow
def test_an_answer_of_somebody_who_was_signed_out_stays_on_its_card(page: Page) -> None:
    begin(page, "ask()")
    page.context.clear_cookies(name="sessionid")
    card(page).locator("textarea").fill("Eve")
    card(page).get_by_role("button", name="Answer").click()
    expect(page.locator("#connection")).to_contain_text("Signed out. Your draft is kept.")
    expect(card(page)).to_contain_text("Signed out. Your draft is kept.")
    expect(card(page).locator("textarea")).to_have_value("Eve")


@pytest.mark.slow
@pytest.mark.parametrize("hangs", [False, True], ids=["took long", "hangs"])
def test_an_answer_is_seen_soon_also_after_a_load_that(page: Page, hangs: bool) -> None:
    page.clock.install()
    begin(page, "approve(count=2)")
    button = card(page).get_by_role("button", name="continue")
    expect(button).to_be_enabled()
    loads: list[Route] = []
    page.route("**/items/**", lambda route: loads.append(route), times=1)
    button.click()
    while not loads:
        page.wait_for_timeout(20)
    # As of a computer that was closed; or it is given up after ten seconds.
    page.clock.fast_forward(11_000 if hangs else 60_000)
    if not hangs:
        loads[0].continue_()
    expect(card(page).locator("h2")).to_have_text("prompt-2")
    button.click()
    expect(page.locator(".question .who")).to_have_count(2)
    if hangs:
        loads[0].abort()


@pytest.mark.slow
def test_questions_open_at_once_are_answered_in_any_order(page: Page) -> None:
    begin(page, "Release 2.0", workflow="parallel_review", cards=3)
    expect(page.locator("#items .question")).to_have_count(3)
    questions = card(page).locator("h2").all_inner_texts()
    for question in reversed(questions):
        one = page.locator("prompt-card", has=page.get_by_role("heading", name=question))
        one.locator("h2").click()
        one.get_by_role("radio").first.check()
        one.get_by_role("button", name="Answer").click()
        expect(one).to_have_count(0)
    state(page, "completed")


@pytest.mark.slow
def test_every_type_of_prompt_can_be_answered(page: Page) -> None:
    begin(page, "Dinner with a customer", workflow="expense_approval", cards=1)
    expect(page.locator("#text")).to_have_attribute("placeholder", "84.50")  # as its card's
    types = set()
    for _ in range(20):
        news = page.locator("prompt-card form:not([data-seen]), #state [data-name=completed]")
        expect(news.first).to_be_attached()
        if card(page).count() == 0:
            break
        form = card(page).locator("form")
        question = form.locator("h2").inner_text()
        kind = form.get_attribute("data-type")
        types.add(kind)
        form.evaluate("form => form.setAttribute('data-seen', '')")
        answer(form)
        expect(page.locator("#items .question > details > summary").last).to_contain_text(question)
    state(page, "completed")
    assert types == {"text", "dropdown", "radio", "checkbox", "notification", "binary_choice"}
