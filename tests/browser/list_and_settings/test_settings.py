"""Tests of settings in a browser: theme, size, Enter key; languages, also from the right."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, card, state, until_connected
from tests.browser.test_looks import assert_accessible
from tests.support.browser import OpenPage

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are

DARK, LIGHT = "rgb(18, 21, 20)", "rgb(252, 252, 251)"
# Those of the page's boxes that lie over another, or out of the screen.
OVERLAPS = """() => {
  const shown = (each) => each.checkVisibility() && each.getBoundingClientRect().width > 1;
  const rows = [...document.querySelectorAll(
    ".top > *, .top .heading > *, #composer .field > *, #state > *, #sidebar > *, #list li > *,"
    + " .buttons > *, prompt-card header > *",
  )].filter(shown);
  const faults = [];
  for (const each of rows) {
    const box = each.getBoundingClientRect();
    if (box.left < -1 || box.right > innerWidth + 1) faults.push(`out: ${each.outerHTML}`);
    for (const other of rows) {
      if (other.parentElement !== each.parentElement || other === each) continue;
      const its = other.getBoundingClientRect();
      const wide = Math.min(box.right, its.right) - Math.max(box.left, its.left);
      const high = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
      const isMenu = each.localName === "details" || other.localName === "details";
      if (wide > 1 && high > 1 && !isMenu) faults.push(`over: ${each.outerHTML}`);
    }
  }
  const wide = document.documentElement.scrollWidth;
  return wide > innerWidth ? [...faults, `wide: ${wide}`] : faults;
}"""


def assert_look(page: Page, colour: str, size: str) -> None:
    expect(page.locator("body")).to_have_css("background-color", colour)
    expect(page.locator("body")).to_have_css("font-size", size)


def choose(page: Page, *labels: str) -> None:
    page.get_by_role("link", name="Settings").click()
    for label in labels:
        page.get_by_label(label, exact=True).check()
    page.get_by_role("button", name="Save").click()


@pytest.mark.slow
def test_theme_and_size_are_chosen_and_hold_against_the_system(open_page: OpenPage) -> None:
    page = open_page("/c/", color_scheme="light", viewport={"width": 320, "height": 640})
    assert_look(page, LIGHT, "16px")
    here = page.url
    page.get_by_role("link", name="Settings").click()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.go_back()
    choose(page, "Dark", "Larger")
    page.wait_for_url(here)  # with all its styles
    assert_look(page, DARK, "20px")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    until_connected(page)
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    choose(page, "Light", "Normal")
    assert_look(page, LIGHT, "16px")
    choose(page, "Same as system")
    assert_look(page, DARK, "16px")


def test_the_enter_key_breaks_the_line_where_that_is_chosen(open_page: OpenPage) -> None:
    page = open_page("/c/")
    until_connected(page)
    choose(page, "starts a new line; Ctrl+Enter sends")
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
    ("locale", "waits", "answered", "done", "stop"),
    [
        ("de-DE", "Braucht Sie", "aus dem Chat", "Fertig", "Anhalten"),
        ("ja-JP", "回答待ち", "チャットから", "完了", "停止"),
    ],
)
def test_a_question_is_walked_through_in_a_language(
    open_page: OpenPage, locale: str, waits: str, answered: str, done: str, stop: str
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
    expect(page.locator("#state .words")).to_have_text(done)
    page.locator("#text").fill("x" * 32_001)
    page.locator("#text").press("Enter")
    expect(page.locator("#composer-error")).to_contain_text("32.001" if locale < "j" else "32,001")


def assert_in_its_place(page: Page) -> None:
    """Check that nothing lies over another, on a small and a large screen, in either direction."""
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        for direction in ("rtl", "ltr"):
            page.evaluate("direction => { document.dir = direction; }", direction)
            assert page.evaluate(OVERLAPS) == [], (width, direction)


@pytest.mark.slow
def test_nothing_lies_over_another_in_either_direction(page: Page) -> None:
    begin(page, "We publish the list", workflow="parallel_review", cards=3)
    assert_in_its_place(page)
    page.set_viewport_size({"width": 320, "height": 740})
    page.locator("button.menu").click()
    for direction in ("rtl", "ltr"):
        page.evaluate("direction => { document.dir = direction; }", direction)
        assert page.evaluate(OVERLAPS) == [], direction
    page.keyboard.press("Escape")
    begin(page, "200 a month at 3.5 % for 2 years", workflow="report", until="completed")
    assert_in_its_place(page)
    page.goto("/settings/")
    assert_in_its_place(page)
