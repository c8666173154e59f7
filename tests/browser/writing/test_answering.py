"""A question that waits while somebody writes: what Enter does, in words and in fact."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import (
    assert_page_is_log,
    begin,
    begin_called,
    card,
    say,
    state,
    until_connected,
)
from tests.browser.look import assert_accessible
from tests.support.browser import OpenPage
from tests.support.server import Server

FIRST = "Answer above, or queue a message"
INSTEAD = "Write a message instead"
# Somebody who writes an answer does not see at once that its question has gone.
TYPE_ON = """() => {
  const typeOn = () => {
    document.getElementById("text").value = "er";
    document.getElementById("composer").requestSubmit();
  };
  const words = document.querySelector("#answering span");
  new MutationObserver(typeOn).observe(words, { childList: true });
}"""


def field(page: Page) -> Locator:
    return page.locator("#text")


def mode(page: Page) -> Locator:
    """Return the line that says what Enter will do."""
    return page.locator("#answering")


def until_answering(page: Page, question: str) -> None:
    expect(mode(page)).to_contain_text(f"Answering: {question}")
    expect(field(page)).to_have_accessible_name(f"Answering: {question}")


@pytest.mark.slow
def test_the_composer_answers_the_only_question_if_that_takes_a_text(
    page: Page, server: Server
) -> None:
    begin(page, "ask()")
    until_answering(page, "prompt-1")
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_attribute("placeholder", "Your answer")
    field(page).press("Escape")
    expect(field(page)).to_have_attribute("placeholder", FIRST)
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_accessible_name("Message")
    page.get_by_role("button", name="Answer here").click()
    until_answering(page, "prompt-1")
    expect(field(page)).to_be_focused()
    field(page).press("Enter")  # of nothing, which is no answer
    field(page).press_sequentially("Eve")
    expect(card(page).locator("textarea")).to_have_value("Eve")
    assert_accessible(page)
    field(page).press("Enter")
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("Eve")
    expect(page.locator("#items .question > details > summary")).to_contain_text("by you")
    expect(page.locator(".user")).to_have_count(1)
    expect(field(page)).to_have_value("")
    expect(field(page)).to_have_accessible_name("Message")
    expect(field(page)).to_have_attribute("placeholder", "Write a message")
    expect(mode(page)).to_be_hidden()
    say(page, 'echo("again")')
    expect(page.locator("#items .text")).to_have_text(["Eve", "again"])
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_message_and_answer_are_two_drafts_and_a_begun_message_stays_one(page: Page) -> None:
    have_asked = begin_called(page)
    field(page).press_sequentially('echo("later")')
    have_asked()
    expect(mode(page)).to_contain_text(FIRST)
    page.get_by_role("button", name="Answer here").click()
    until_answering(page, "prompt-1")
    expect(field(page)).to_have_value("")
    field(page).press_sequentially("Ev")
    page.get_by_role("button", name=INSTEAD).click()
    expect(field(page)).to_have_value('echo("later")')
    expect(card(page).locator("textarea")).to_have_value("Ev")
    assert_accessible(page)
    page.reload()
    until_connected(page)
    expect(field(page)).to_have_value('echo("later")')
    expect(mode(page)).to_contain_text(FIRST)
    field(page).press("Enter")
    expect(page.locator(".user .bubble").last).to_have_text('echo("later")')
    expect(page.locator("#state")).to_contain_text("1 message queued")
    until_answering(page, "prompt-1")
    field(page).press("Escape")
    field(page).press_sequentially("a draft")
    page.get_by_role("button", name="Answer here").click()
    card(page).locator("textarea").press_sequentially("e")
    expect(field(page)).to_have_value("Eve")
    field(page).press("Enter")
    state(page, "completed")
    expect(page.locator("#items .text").nth(-2)).to_have_text("Eve")
    expect(page.locator("#items .text").last).to_have_text("later")
    expect(field(page)).to_have_value("a draft")


@pytest.mark.slow
def test_an_answer_whose_question_goes_meanwhile_is_sent_nowhere(
    page: Page, open_page: OpenPage
) -> None:
    begin(page, "ask()")
    until_answering(page, "prompt-1")
    other = open_page(page.url)
    expect(card(other)).to_have_count(1)
    field(page).press_sequentially("half of an answ")
    page.evaluate(TYPE_ON)
    card(other).locator("textarea").fill("first")
    card(other).get_by_role("button", name="Answer").click()
    state(page, "completed")
    expect(mode(page)).to_contain_text("“prompt-1” is closed. What you wrote is kept there.")
    expect(page.locator("#items .question .given")).to_have_text("half of an answ")
    expect(page.locator(".user")).to_have_count(1)
    expect(field(page)).to_have_value("er")
    page.get_by_role("button", name="Dismiss").click()
    expect(mode(page)).to_be_hidden()


@pytest.mark.slow
def test_an_answer_that_is_refused_stays_with_the_reason(page: Page) -> None:
    begin(page, "ask()")
    until_answering(page, "prompt-1")
    expect(field(page)).to_have_js_property("maxLength", 10_000)
    field(page).evaluate("field => field.removeAttribute('maxlength')")
    field(page).fill("x" * 20_000)
    field(page).press("Enter")
    for place in (page.locator("#composer-error"), card(page).locator(".error")):
        expect(place).to_contain_text("this prompt allows 10,000")
    expect(field(page)).to_have_value("x" * 20_000)
    expect(field(page)).to_be_editable()
    expect(card(page).get_by_role("button", name="Answer")).to_be_enabled()


@pytest.mark.slow
@pytest.mark.parametrize(("asks", "count"), [("ask_two()", 2), ("approve(count=1)", 1)])
def test_several_questions_or_one_that_takes_no_text_are_answered_above(
    page: Page, asks: str, count: int
) -> None:
    begin(page, asks, cards=count)
    expect(field(page)).to_have_attribute("placeholder", FIRST)
    expect(mode(page)).to_be_hidden()
    field(page).fill('echo("later")')
    expect(mode(page)).to_have_text(FIRST, use_inner_text=True)
    say(page, 'echo("later")')
    expect(page.locator("#state")).to_contain_text("1 message queued")
    expect(card(page)).to_have_count(count)
