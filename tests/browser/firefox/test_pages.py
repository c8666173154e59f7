"""Signing in, the conversation's page and the inbox, in Firefox."""

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import (
    assert_page_is_log,
    begin,
    card,
    open_new,
    state,
    until_connected,
)
from tests.inbox.people import ask_managers, make_group
from tests.support.browser import OpenPage
from tests.support.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # the pages are the same
]
MORE = pytest.mark.beyond("Firefox shows and takes what Chromium does")

CODE = "def f(x):\n    return x"
FORMULA = r"$$B_n = B_0 (1 + r)^n + d \sum_{k=0}^{n-1} (1 + r)^k$$"
TEXT = f"```python\n{CODE}\n```\n\n{FORMULA}"
HUGE = "line\n" * 30_000
PHONE = {"width": 390, "height": 844}
# A field that this page has for a moment, to copy a text out of.
SELECT_ALL = """text => {
  const field = document.createElement("textarea");
  field.id = "copied";
  field.value = text;
  document.body.append(field);
  field.select();
}"""


def height(page: Page) -> int:
    return int(page.locator("#text").evaluate("field => field.offsetHeight"))


def bars(box: Locator) -> list[int]:
    """Return how much of a box that has no edge its scroll bars take."""
    sizes: list[int] = box.evaluate(
        "each => [each.offsetWidth - each.clientWidth, each.offsetHeight - each.clientHeight]"
    )
    return sizes


def assert_fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_somebody_signs_in_by_the_form_and_reads_an_answer_as_it_comes(
    open_page: OpenPage, server: Server
) -> None:
    password = MD5PasswordHasher().encode("secret", "salt")
    server.execute("UPDATE auth_user SET password = ? WHERE username = ?", password, "user1")
    page = open_page("/", user=None)
    page.get_by_label("Username").fill("user1")
    page.get_by_label("Password").fill("secret")
    page.keyboard.press("Enter")
    until_connected(page)
    begin(page, "stream(tokens=100, delay=0.03)")
    answer = page.locator("#items .text")
    expect(answer).to_contain_text("t2 ")
    expect(answer).not_to_contain_text("t99")
    state(page, "completed")
    # What grew is in sight: the page has followed.
    expect(answer.get_by_text("t99")).to_be_in_viewport()
    assert_page_is_log(page, server)


@MORE
def test_a_draft_outlives_a_reload_and_is_sent_as_an_answer_when_the_server_is_back(
    page: Page, server: Server
) -> None:
    begin(page, "ask()", cards=1)
    expect(page.locator("#text")).to_have_attribute("placeholder", "Your answer")
    page.keyboard.type("half of")
    page.reload()
    until_connected(page)
    expect(card(page).locator("h2")).to_have_text("prompt-1")
    expect(page.locator("#text")).to_have_value("half of")
    server.kill()
    expect(page.locator("#connection")).to_contain_text("Reconnecting")
    page.locator("#text").press("End")
    page.keyboard.type(" it")
    page.keyboard.press("Enter")
    expect(card(page)).to_contain_text("Will be sent when connected")
    server.restart()
    until_connected(page)
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("half of it")
    assert_page_is_log(page, server)


def press(button: Locator) -> None:
    """Press a button by its key, once it takes one: in a card that has just come it does not."""
    expect(button).to_be_enabled()
    button.press("Enter")


@MORE
def test_a_form_is_filled_in_by_keys(page: Page) -> None:
    begin(page, 'prompt("form")')
    form = card(page)
    first = form.get_by_label("First day")
    form.get_by_label("Holiday").focus()
    page.keyboard.press("ArrowDown")
    first.focus()
    page.keyboard.type("11222026")  # a Sunday
    expect(first).to_have_value("2026-11-22")
    form.get_by_label("Days").fill("2.5")
    press(form.get_by_role("button", name="Answer"))
    expect(form.locator(".errorlist")).to_have_text(["That is a Sunday."])
    expect(first).to_be_focused()
    first.fill("2026-11-23")
    form.get_by_label("The team").press("Space")
    press(form.get_by_role("button", name="Answer"))
    state(page, "completed")
    expect(page.locator("#items .text")).to_contain_text("datetime.date(2026, 11, 23)")


@MORE
def test_what_is_copied_is_pasted_the_field_grows_and_a_formula_has_no_bar(page: Page) -> None:
    begin(page, f"echo({TEXT!r})", until="completed")
    formula = page.locator("#items [role=group]:has(math)")
    expect(formula).to_be_visible()
    assert bars(formula) == [0, 0]
    page.get_by_role("button", name="Copy code").click()
    expect(page.locator("#status")).to_have_text("Copied")
    low = height(page)
    page.locator("#text").press("Control+v")
    expect(page.locator("#text")).to_have_value(f"{CODE}\n")
    assert height(page) > low


@MORE
def test_a_huge_paste_becomes_a_file(page: Page) -> None:
    open_new(page)
    page.evaluate(SELECT_ALL, HUGE)
    page.keyboard.press("Control+c")
    page.locator("#copied").evaluate("field => field.remove()")
    page.locator("#text").press("Control+v")
    expect(page.locator("#files [name=file_ids]:enabled")).to_have_count(1)
    expect(page.locator("#composer-error")).to_contain_text("attached as a file")
    page.locator("#text").fill("describe_files()")
    page.locator("#text").press("Enter")
    expect(page.locator("#items .text")).to_contain_text("text.txt text/plain 150000")


@MORE
def test_the_list_opens_over_the_page_of_a_phone(open_page: OpenPage) -> None:
    page = open_page(None, viewport=PHONE)
    begin(page, "approve()", cards=1)
    assert_fits(page)
    assert bars(page.locator("#text")) == [0, 0]  # though its placeholder is longer than it
    page.get_by_role("button", name="Conversations").click()
    expect(page.locator("#sidebar")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#sidebar")).to_be_hidden()
    card(page).get_by_role("button", name="continue").click()
    state(page, "completed")


@MORE
def test_the_inbox_shows_a_question_as_it_comes_and_is_answered_by_keys(
    open_page: OpenPage, server: Server
) -> None:
    make_group(server)
    ask_managers(server, "days=1")
    page = open_page("/inbox/", user="ben")
    until_connected(page)
    expect(page.locator(".entry")).to_have_count(1)
    ask_managers(server, "days=2", name="other")
    expect(page.locator(".entry")).to_have_count(2)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("j")
    expect(page.locator(".pane:visible h2")).to_have_text("Give ann 2 days off?")
    press(page.locator(".pane:visible").get_by_role("button", name="Approve"))
    expect(page.locator(".entry")).to_have_count(1)
    assert_fits(page)
