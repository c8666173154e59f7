"""Projects behind a real nginx: below a path, and where it says who somebody is."""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chat_page import answer, card, say, state, until_connected
from tests.support.host_site import parts
from tests.support.host_site.lines import TLS, Line, backends, behind, text
from tests.support.host_site.site import NAME as ANN
from tests.support.host_site.site import PASSWORD, prepare, serve
from tests.support.nginx import NAME, URL, Nginx, documented, nginx
from tests.support.processes.environment import HOST, ROOT
from tests.support.server import free_port

pytestmark = [
    pytest.mark.beyond("a project has a path or the sign-in of a proxy before it"),
    pytest.mark.formless,
]
AT_ROOT = text(TLS, 'CHAT_PATH = ""', f'HITL["PUBLIC_URL"] = "{URL}"')
BELOW_PATH = text(TLS, 'CHAT_PATH = ""', f'HITL["PUBLIC_URL"] = "{URL}/chat"')
NAMED_PATH = text(BELOW_PATH, 'FORCE_SCRIPT_NAME = "/chat"')
SIGNED_IN_BY_PROXY = text(
    AT_ROOT,
    behind("tests.support.host_site.parts.ProxyUser"),
    backends("django.contrib.auth.backends.RemoteUserBackend"),
)


class Oauth2Proxy(ThreadingHTTPServer):
    """A stand-in for oauth2-proxy, which nginx asks who somebody is.

    `user` is whom it names; empty if the sign-in has ended.
    """

    daemon_threads = True
    user = ANN


class _Handler(BaseHTTPRequestHandler):
    server: Oauth2Proxy

    def do_GET(self) -> None:
        """Name the user, or show the page where people sign in."""
        if self.path != "/oauth2/auth":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"Sign in at the proxy")
            return
        self.send_response(202 if self.server.user else 401)
        if self.server.user:
            self.send_header("X-Auth-Request-User", self.server.user)
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def oauth2_proxy() -> Iterator[Oauth2Proxy]:
    with Oauth2Proxy((HOST, free_port()), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def behind_nginx(
    line: Line, directory: Path, browser: Browser, part: str, **ports: int
) -> Iterator[tuple[Nginx, Callable[[], Page]]]:
    """Serve the project behind a part of the document; give what opens a tab of one profile."""
    for name in ("template", "site"):
        (directory / name).mkdir()
    key = prepare(Line(""), directory / "template")
    with (
        serve(line, directory / "template", key, directory / "site") as site,
        nginx(
            directory / "nginx",
            {"8000": site.port, "8001": free_port(), **ports},
            documented(part),
        ) as proxy,
        proxy.browse(browser) as own_browser,
    ):
        yield proxy, own_browser.new_context().new_page


def converse(page: Page) -> None:
    until_connected(page)
    page.locator("input[name=workflow][value=greeting]").check()
    say(page, "Good morning")
    answer(card(page).locator("form"))
    state(page, "completed")
    expect(page.locator("#items .text").last).to_have_text("Hello, 236!")


@pytest.mark.parametrize(
    "line",
    [
        Line("", NAMED_PATH),
        Line("", NAMED_PATH, server="uvicorn"),
        Line("", BELOW_PATH, options=("--root-path=/chat",)),
    ],
    ids=["FORCE_SCRIPT_NAME", "uvicorn", "--root-path"],
)
def test_a_project_below_a_path(browser: Browser, tmp_path: Path, line: Line) -> None:
    with behind_nginx(line, tmp_path, browser, "location /chat/") as (_, open_page):
        page = open_page()
        failed: list[str] = []
        page.on("response", lambda got: failed.append(got.url) if got.status >= 400 else None)
        page.goto(f"{URL}/chat/c/")
        page.locator("[name=username]").fill(ANN)
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=password]").press("Enter")
        page.wait_for_url(f"{URL}/chat/c/**")
        converse(page)
        assert page.url.startswith(f"{URL}/chat/c/")
        page.reload()
        expect(page.locator("#items .text").last).to_have_text("Hello, 236!")
        assert failed == []


def test_who_is_named_by_the_proxy_is_asked_and_answers(
    browser: Browser, tmp_path: Path, oauth2_proxy: Oauth2Proxy
) -> None:
    ports = {"4180": oauth2_proxy.server_port}
    line, part = Line("", SIGNED_IN_BY_PROXY), "auth_request /oauth2/auth"
    with behind_nginx(line, tmp_path, browser, part, **ports) as (proxy, open_page):
        page = open_page()
        page.goto(f"{URL}/c/")
        converse(page)
        nobody_else_can_be_named(proxy)
        another_person_comes(page, open_page(), oauth2_proxy)
        page.goto(f"{URL}/c/")
        until_connected(page)
        page.locator("#text").fill("kept")
        the_sign_in_ends(page, proxy, oauth2_proxy)


def nobody_else_can_be_named(proxy: Nginx) -> None:
    for header in ("X-Auth-Request-User", "X_Auth_Request_User"):
        connection = proxy.connect()
        connection.request("GET", "/c/c/", headers={"Host": NAME, header: "admin"})
        with connection.getresponse() as page:
            assert f"<span>{ANN}</span>" in page.read().decode()
        connection.close()


def another_person_comes(page: Page, other: Page, oauth2_proxy: Oauth2Proxy) -> None:
    oauth2_proxy.user = "ben"
    other.goto(f"{URL}/c/")
    until_connected(other)
    expect(other.locator("nav footer span")).to_have_text("ben")
    expect(page.locator("#connection")).to_contain_text("ben")
    oauth2_proxy.user = ANN


def the_sign_in_ends(page: Page, proxy: Nginx, oauth2_proxy: Oauth2Proxy) -> None:
    oauth2_proxy.user = ""
    proxy.stop()
    proxy.start()
    expect(page.locator("#connection")).to_contain_text("Signed out. Your draft is kept.")
    oauth2_proxy.user = ANN
    page.locator("#connection").get_by_role("link", name="Reload").click()
    until_connected(page)
    expect(page.locator("#text")).to_have_value("kept")


def test_the_document_has_the_middleware_that_was_tried() -> None:
    document = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    assert inspect.getsource(parts.ProxyUser) in document
