"""Tests of settings in a browser: theme, size, Enter key; languages, also from the right."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, card, state, until_connected
from tests.browser.look import assert_accessible
from tests.support.browser import OpenPage

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are

JAPANESE = pytest.mark.beyond("a question is walked through in Japanese")
DARK, LIGHT = "rgb(18, 21, 20)", "rgb(252, 252, 251)"


def assert_look(page: Page, colour: str, size: str) -> None:
    expect(page.locator("body")).to_have_css("background-color", colour)
    expect(page.locator("body")).to_have_css("font-size", size)


def choose(page: Page, *labels: str) -> None:
    page.get_by_role("link", name="Settings").click()
    for label in labels:
        page.get_by_label(label, exact=True).check()
        group = page.locator("fieldset", has=page.get_by_label(label, exact=True))
        expect(group.get_by_role("status")).to_have_text("Saved")
    page.get_by_role("link", name="Back to the chat").click()


@pytest.mark.beyond("a chosen theme and size hold against the system")
@pytest.mark.slow
def test_theme_and_size_are_chosen_and_hold_against_the_system(open_page: OpenPage) -> None:
    page = open_page("/c/", color_scheme="light", viewport={"width": 320, "height": 640})
    assert_look(page, LIGHT, "16px")
    here = page.url
    choose(page, "Dark", "Larger")
    page.wait_for_url(here)  # with all its styles
    assert_look(page, DARK, "20px")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    until_connected(page)
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    choose(page, "Light", "Normal")
    assert_look(page, LIGHT, "16px")
    choose(page, "System")
    assert_look(page, DARK, "16px")


@pytest.mark.slow
def test_the_enter_key_breaks_the_line_where_that_is_chosen(open_page: OpenPage) -> None:
    page = open_page("/c/")
    until_connected(page)
    choose(page, "Ctrl+Enter sends, Enter adds a line")
    until_connected(page)
    field = page.locator("#text")
    field.fill("echo(")
    field.press("Enter")
    field.press_sequentially('"one")')
    expect(field).to_have_value('echo(\n"one")')
    field.press("Control+Enter")
    expect(page.locator(".user .bubble")).to_have_text('echo(\n"one")')
    expect(field).to_have_value("")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locale", "waits", "answered", "stop"),
    [
        ("de-DE", "Wartet auf Sie", "aus dem Chat", "Anhalten"),
        pytest.param("ja-JP", "回答待ち", "チャットから", "停止", marks=JAPANESE),
    ],
)
def test_a_question_is_walked_through_in_a_language(
    open_page: OpenPage, locale: str, waits: str, answered: str, stop: str
) -> None:
    page = open_page("/c/", locale=locale)
    assert page.locator("html").get_attribute("lang") == locale[:2]
    begin(page, "approve(count=1)", cards=1)
    expect(page.locator("#state .words")).to_have_text(waits)
    expect(page.locator("#state button")).to_have_text(stop)
    expect(page).to_have_title(f"(1) {waits} – approve(count=1)")
    expect(page.locator("#list .state")).to_contain_text(waits[1:])
    assert_accessible(page)
    card(page).locator("button.primary").first.click()
    expect(page.locator(".question .via")).to_contain_text(answered)
    state(page, "completed")
    expect(page.locator("#state .words")).to_have_count(0)
    page.locator("#text").fill("x" * 32_001)
    page.locator("#text").press("Enter")
    expect(page.locator("#composer-error")).to_contain_text("32.001" if locale < "j" else "32,001")
