"""The server is killed under a page in Firefox, which comes back by itself."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import assert_page_is_log, begin, card, state, until_connected
from tests.support.server import Server

pytestmark = pytest.mark.formless  # the page is the same


@pytest.mark.slow
def test_an_answer_that_is_given_while_the_server_is_away_is_sent_when_it_is_back(
    page: Page, server: Server
) -> None:
    begin(page, "ask()", cards=1)
    server.kill()
    expect(page.locator("#connection")).to_contain_text("Reconnecting")
    page.locator("#text").fill("given meanwhile")
    page.locator("#text").press("Enter")
    expect(card(page)).to_contain_text("Will be sent when connected")
    server.restart()
    until_connected(page)
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("given meanwhile")
    assert_page_is_log(page, server)
