"""The page behind a proxy that signs people in, and has them sign in again."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import SEEN_AGAIN, until_connected
from tests.support.browser import Console, OpenPage
from tests.support.expiring_proxy import expiring_proxy
from tests.support.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # what a page says of its proxy is the same
]
OTHER_PROXIES = pytest.mark.beyond("a page knows that each kind of proxy wants a new sign-in")


@pytest.fixture(autouse=True)
def _what_a_page_cannot_load(console: Console) -> None:
    console.allow(
        "WebSocket connection|Failed to load|ERR_|https://id.example/|dynamically imported module"
    )


@pytest.mark.parametrize(
    "status", [401, *(pytest.param(status, marks=OTHER_PROXIES) for status in (302, 403))]
)
def test_the_page_says_that_the_sign_in_has_expired(
    open_page: OpenPage, server: Server, status: int
) -> None:
    page = open_page(None)
    connection = page.locator("#connection")
    with expiring_proxy(server) as proxy:
        page.goto(f"{proxy.url}/c/")
        until_connected(page)
        page.locator("#text").fill("kept")
        proxy.expire(status)
        expect(connection).to_contain_text("Signed out. Your draft is kept.")
        expect(page.locator("#alert")).to_have_text("Signed out. Your draft is kept.")
        expect(connection.get_by_role("link", name="Reload")).to_have_js_property("href", page.url)
        expect(connection.get_by_role("link", name="Sign in")).to_be_hidden()
        expect(page.locator("#text")).to_have_value("kept")
        proxy.status = 0
        page.evaluate(SEEN_AGAIN)
        until_connected(page)
        expect(connection.get_by_role("link", name="Reload")).to_be_hidden()


def test_a_proxy_without_its_server_is_waited_for(open_page: OpenPage, server: Server) -> None:
    page = open_page(None)
    with expiring_proxy(server) as proxy:
        page.goto(f"{proxy.url}/inbox/")
        until_connected(page)
        proxy.expire(502)
        while proxy.refused < 8:  # three handshakes, and a request for the page with each later one
            page.wait_for_timeout(50)
        expect(page.locator("#connection")).to_contain_text("Reconnecting in")
        proxy.status = 0
        until_connected(page)
