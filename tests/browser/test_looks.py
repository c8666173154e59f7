"""Tests for everyone: small screens, both colour schemes, keys, no script; and nothing that
runs.
"""

import pytest
from playwright.sync_api import Locator, Page, Route, expect

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
from tests.support.polling import until
from tests.support.processes.command import run
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are

ATTACKS = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "![x](https://evil.example/a.png)",
    "[x](javascript:document.title='owned')",
    "<prompt-card><form><button>Approve</button></form></prompt-card>",
    "</div></article><style>body{display:none}</style>",
]


@pytest.mark.slow
def test_the_button_of_a_sign_in_link_signs_in(open_page: OpenPage, server: Server) -> None:
    link = run("manage.py", "sign_in_link", "carla", env=server.environment).stdout.strip()
    page = open_page(f"{link}&next=/settings/", user=None)
    expect(page.get_by_text("carla")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("/settings/")


@pytest.mark.slow
def test_a_new_conversation_is_shown_from_its_top(open_page: OpenPage) -> None:
    page = open_page("/c/", user="admin", viewport={"width": 1280, "height": 500})
    until_connected(page)
    assert page.evaluate("document.getElementById('scroller').scrollTop") == 0
    name = page.locator("#sidebar > footer span")
    assert name.evaluate(
        "each => each.clientHeight < 2 * parseFloat(getComputedStyle(each).lineHeight)"
    )


@pytest.mark.slow
def test_texts_fit_on_one_line_of_the_smallest_screen(open_page: OpenPage) -> None:
    page = open_page(None, viewport={"width": 320, "height": 568})
    begin(page, "Taxi", workflow="expense_approval", cards=1)
    about, text = page.locator("#about"), page.locator("#text")
    expect(about).to_have_text("Expense approval")
    expect(text).to_have_attribute("placeholder", "84.50")  # it answers the card
    text.press("Escape")
    first = "Answer above, or queue a message"
    expect(text).to_have_attribute("placeholder", first)
    line = "each => each.scrollHeight < 2 * parseFloat(getComputedStyle(each).lineHeight)"
    assert about.evaluate(line)
    style = "each => getComputedStyle(each, '::placeholder').whiteSpace"
    assert text.evaluate(style) == "nowrap"


@pytest.mark.slow
def test_nothing_that_is_written_runs(page: Page, server: Server) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    begin(page, f"echo({ATTACKS[0]!r})")
    others = "\n\n".join(ATTACKS[1:])
    say(page, f"echo({others!r})")
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_count(2)
    for _ in range(2):  # as it comes, and of a page that has it
        assert page.locator("#items :is(script, img, style, prompt-card)").count() == 0
        assert page.locator("#items :is(.bubble, .body) button").count() == 0
        assert "owned" not in page.title().replace(ATTACKS[0], "")
        page.reload()
        until_connected(page)
    assert not [url for url in requests if "evil" in url]


def follow(button: Locator) -> None:
    """Click, and wait for the page that comes: to reload before that would call the request off."""
    with button.page.expect_navigation():
        button.click()


def reload_until(page: Page, selector: str) -> None:
    """Reload until it is on the page, which does nothing by itself."""

    def look() -> int:
        page.reload()
        return page.locator(selector).count()

    until(look, every=0.1)


@pytest.mark.slow
def test_everything_works_without_the_script(open_page: OpenPage, server: Server) -> None:
    page = open_page("/c/", java_script_enabled=False)
    page.locator("input[name=workflow][value=probe]").check()
    page.locator("#text").fill("approve(count=1)")
    follow(page.get_by_role("button", name="Send"))
    reload_until(page, "prompt-card")
    expect(card(page).locator("h2")).to_have_text("prompt-1")
    follow(card(page).get_by_role("button", name="continue"))
    reload_until(page, "#state [data-name=completed]")
    expect(page.locator("#items .text")).to_have_text("continue")
    expect(page.locator("#items .question")).to_contain_text("from the chat")
    assert_page_is_log(page, server)
    page.locator("#text").fill("stream(tokens=2000, delay=0.02)")
    follow(page.get_by_role("button", name="Send"))
    follow(page.get_by_role("button", name="Stop"))
    reload_until(page, "#state [data-name=cancelled]")
    expect(page.locator("#state")).to_contain_text("Stopped")


@pytest.mark.slow
def test_the_keyboard_leads_to_the_question_and_to_help(page: Page) -> None:
    begin(page, "approve(count=1)", cards=1)
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("Alt+q")
    expect(card(page).locator("h2")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.set_viewport_size({"width": 640, "height": 256})
    assert page.locator("#help").bounding_box()["y"] >= 0  # type: ignore[index] # it is visible
    page.keyboard.press("Escape")
    expect(page.locator("#help")).not_to_be_visible()
    page.locator("#text").press("?")
    expect(page.locator("#help")).not_to_be_visible()


@pytest.mark.slow
def test_a_question_is_announced_and_takes_no_focus(page: Page) -> None:
    have_asked = begin_called(page)
    page.locator("#text").press_sequentially("typing on")
    have_asked()
    expect(page.locator("#alert")).to_have_text("A question for you: prompt-1")
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#text")).to_have_value("typing on")


@pytest.mark.slow
def test_the_search_finds_a_conversation(page: Page) -> None:
    begin(page, 'echo("apples")')
    begin(page, 'echo("pears")')
    expect(page.locator("#list li")).to_have_count(2)
    search = page.get_by_role("searchbox")
    held: list[Route] = []
    page.route("**/conversations/?q=pear&*", lambda route: held.append(route), times=1)
    with page.expect_request("**/conversations/?q=pear&*"):
        search.fill("pear")
    # What an older search would still bring is given up.
    with page.expect_event("requestfailed"):
        search.fill("apple")
    expect(page.locator("#list li")).to_have_count(1)
    expect(page.locator("#list li")).to_contain_text('echo("apples")')
    held[0].abort()  # Playwright waits for an answer until then
