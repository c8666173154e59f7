"""Thumbs and a line at each answer: without a reload, without the script, by keys."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import assert_page_is_log, begin, say
from tests.browser.look import assert_accessible
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how it looks does not depend on where its rows are


def stored_feedback(server: Server) -> list[tuple[str, str]]:
    rows = server.rows("SELECT reaction, comment FROM sessions_app_feedback")
    return [(row["reaction"], row["comment"]) for row in rows]


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    page = open_page(None)
    begin(page, 'echo("hello")', until="completed")
    return page


@pytest.mark.slow
def test_feedback_is_given_changed_and_withdrawn_without_a_reload(
    page: Page, server: Server
) -> None:
    page.evaluate("window.isSame = true")
    good, bad = (page.get_by_role("button", name=name) for name in ("Good answer", "Bad answer"))
    good.focus()
    page.keyboard.press("Enter")
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(good).to_be_focused()
    assert stored_feedback(server) == [("👍", "")]
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    page.get_by_label("Comment").fill("Too short.\nMuch.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".feedback .said")).to_have_text("Too short. Much.")
    assert stored_feedback(server) == [("👎", "Too short. Much.")]
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    assert stored_feedback(server) == [("", "Too short. Much.")]
    assert page.evaluate("window.isSame")
    page.reload()
    expect(page.locator(".feedback .said")).to_have_text("Too short. Much.")
    say(page, 'echo("again")')
    expect(page.locator(".feedback")).to_have_count(2)
    assert_page_is_log(page, server)
    assert_accessible(page)


@pytest.mark.slow
def test_a_refused_comment_shows_its_error_beside_the_answer(
    page: Page, console: Console, server: Server
) -> None:
    console.allow("422|502")
    page.route("**/feedback/", lambda route: route.fulfill(status=502, body="nginx"), times=1)
    page.get_by_role("button", name="Bad answer").click()
    expect(page.locator(".feedback .error")).to_contain_text("Server error 502. Try again.")
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_label("Comment").evaluate("field => field.removeAttribute('maxlength')")
    page.get_by_label("Comment").fill("x" * 1025)
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".feedback .error")).to_contain_text("at most 1,024 are allowed")
    assert stored_feedback(server) == [("👎", "")]
