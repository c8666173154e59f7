"""Tests of how many questions wait: said by every tab, by the socket alone."""

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.browser.chat_page import begin, card, until_connected
from tests.support.browser import Console, OpenPage

pytestmark = pytest.mark.slow

HIDDEN = "Object.defineProperty(Document.prototype, 'hidden', { get: () => true })"

HEARD = """
window.heard = 0;
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", () => (heard += 1));
  }
};
"""


def test_another_tab_that_is_hidden_follows_the_count_as_the_settings_do(
    page: Page, console: Console
) -> None:
    console.allow("net::ERR_FAILED")  # the list is not to be had: it could tell too
    other, settings = page.context.new_page(), page.context.new_page()
    other.add_init_script(HIDDEN)
    other.route("**/conversations/**", lambda route: route.abort())
    other.goto("/c/new-one/")
    until_connected(other)
    expect(other).to_have_title("New conversation")
    plain = other.locator("link[rel=icon]").get_attribute("href")
    settings.goto("/settings/")
    expect(settings.locator("#count")).to_be_empty()
    begin(page, "ask()")
    expect(other).to_have_title("(1) Needs you – New conversation")
    expect(other.locator("link[rel=icon]")).not_to_have_attribute("href", plain or "")
    expect(settings.locator("#count")).to_have_text("1")
    card(page).locator("textarea").fill("x")
    card(page).get_by_role("button", name="Answer").click()
    expect(other).to_have_title("New conversation")
    expect(other.locator("link[rel=icon]")).to_have_attribute("href", plain or "")


def test_a_page_whose_timers_come_once_a_minute_stays_connected(open_page: OpenPage) -> None:
    """Browsers slow down the timers of a page that is hidden for a while."""
    sockets: list[WebSocket] = []
    page = open_page(None)
    page.on("websocket", lambda socket: sockets.append(socket))
    # What the page itself has heard: the browser has a frame before the page's script does.
    page.add_init_script(HEARD)
    page.clock.install()
    page.goto("/c/")
    until_connected(page)
    for _minute in range(3):
        before = page.evaluate("heard")
        page.clock.fast_forward(60_000)
        page.wait_for_function("before => heard > before", arg=before)  # the answer to its ping
    until_connected(page)
    assert len(sockets) == 1
