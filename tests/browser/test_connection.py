"""The state of the connection in words, also where the browser and the socket disagree."""

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.browser.chat_page import until_connected
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # what a page says of its socket is the same
]

FIRST_FRAMES = ("pong_message", "waiting_message")  # in any order


@pytest.fixture(autouse=True)
def _what_a_page_cannot_load(console: Console) -> None:
    console.allow("ERR_INTERNET_DISCONNECTED|dynamically imported module")


class Sockets(list[WebSocket]):
    """The sockets that a page opens, and all frames that come over them."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.frames: list[str] = []
        page.on("websocket", self._follow)

    def number_of(self, kind: str) -> int:
        return sum(kind in frame for frame in self.frames)

    def until_heard(self, kind: str, after: int = 0) -> None:
        """Wait until more than so many frames of a kind have come.

        A frame that comes once the browser is offline would show that the socket holds; and where
        Chromium cuts the network off in the middle of a frame, it never reads on.
        """
        while self.number_of(kind) <= after:
            self.page.wait_for_timeout(20)

    def _follow(self, socket: WebSocket) -> None:
        self.append(socket)
        socket.on("framereceived", lambda frame: self.frames.append(str(frame)))


def open_with_socket(open_page: OpenPage, path: str) -> tuple[Page, Sockets]:
    """Return a page that is connected, and the sockets that it opens."""
    page = open_page(None)
    sockets = Sockets(page)
    page.goto(path)
    until_connected(page)
    for first in FIRST_FRAMES:
        sockets.until_heard(first)
    return page, sockets


def go_offline(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("You’re offline. Your text is kept.")
    expect(page.locator("#alert")).to_have_text("Connection lost. Your text is kept.")


def go_online(page: Page, sockets: Sockets) -> None:
    """Go online, where the socket holds, and wait for the answer to the page's question."""
    answers = sockets.number_of("pong_message")
    page.context.set_offline(False)
    sockets.until_heard("pong_message", after=answers)
    until_connected(page)


@pytest.mark.parametrize("path", ["/c/", "/inbox/"])
def test_a_socket_that_outlives_a_blip_is_connected_again_which_is_only_read_aloud(
    open_page: OpenPage, path: str
) -> None:
    page, sockets = open_with_socket(open_page, path)
    for _ in range(2):
        go_offline(page)
        go_online(page, sockets)
        expect(page.locator("#connection")).to_be_hidden()
        expect(page.locator("#status")).to_have_text("Connected")
        expect(page.locator("#alert")).to_be_empty()
    assert len(sockets) == 1


def test_try_now_says_that_it_tries_and_believes_the_socket_before_the_browser(
    open_page: OpenPage,
) -> None:
    page, sockets = open_with_socket(open_page, "/inbox/")
    go_offline(page)
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#connection")).to_have_text("Connecting", use_inner_text=True)
    go_online(page, sockets)
    # As on a computer without a network, whose server is its own.
    page.evaluate("Object.defineProperty(navigator, 'onLine', { value: false })")
    page.evaluate("dispatchEvent(new Event('offline'))")
    expect(page.locator("#connection")).to_contain_text("You’re offline. Your text is kept.")
    opened = len(sockets)
    page.get_by_role("button", name="Try now").click()
    until_connected(page)
    expect(page.get_by_role("button", name="Try now")).to_be_hidden()
    assert len(sockets) == opened


def test_a_socket_that_was_lost_while_offline_is_opened_anew(
    open_page: OpenPage, server: Server
) -> None:
    page, sockets = open_with_socket(open_page, "/inbox/")
    go_offline(page)
    with sockets[0].expect_event("close"):
        server.kill()
    expect(page.locator("#connection")).to_contain_text("You’re offline. Your text is kept.")
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_contain_text("Reconnecting in")
    server.restart()
    until_connected(page)


def test_a_session_that_goes_on_under_another_key_is_no_sign_out(
    open_page: OpenPage, server: Server
) -> None:
    page, sockets = open_with_socket(open_page, "/c/")
    # As Django does where the session holds by an earlier SECRET_KEY.
    copy = "SELECT 'another-key', session_data, expire_date FROM django_session"
    columns = "(session_key, session_data, expire_date)"
    server.execute(
        f"INSERT INTO django_session {columns} {copy} WHERE session_key = ?", server.cookies["ann"]
    )
    cookie = {"name": "sessionid", "value": "another-key", "url": server.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item] # a TypedDict there
    with sockets[0].expect_event("close"):
        server.sign_out("ann")
    until_connected(page)
    assert len(sockets) == 2
