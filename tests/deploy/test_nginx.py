"""The site behind a real nginx, with the configuration of docs/deployment.md, in a browser."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chat_page import answer, begin, card, state, until_connected
from tests.conftest import NewServer
from tests.http.client import CSRF, Stream
from tests.support.browser import Console
from tests.support.nginx import NAME, SETTINGS, URL, Nginx, documented, nginx
from tests.support.polling import until
from tests.support.processes.command import run
from tests.support.server import HOST, Server, free_port

pytestmark = pytest.mark.slow
MIB = 1024 * 1024
OpenSite = Callable[..., Page]
SILENT = f"POST /sign-in/ HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 9\r\n\r\n{{"


@pytest.fixture
def server(new_server: NewServer) -> Server:
    return new_server(**SETTINGS)


@pytest.fixture
def proxy(server: Server, tmp_path: Path) -> Iterator[Nginx]:
    """Run nginx as documented. Nobody listens at the second of its web processes."""
    ports = {"8000": server.port, "8001": free_port()}
    with nginx(tmp_path / "nginx", ports, documented()) as proxy:
        yield proxy


@pytest.fixture
def open_site(browser: Browser, proxy: Nginx, console: Console) -> Iterator[OpenSite]:
    """Return a function that opens a page of the site, in a profile of its own."""
    with proxy.browse(browser) as own_browser:

        def open_site(path: str, **options: object) -> Page:
            context = own_browser.new_context(base_url=URL, **options)  # type: ignore[arg-type]
            console.watch(context)
            page = context.new_page()
            page.goto(path)
            return page

        yield open_site


def sign_in(page: Page, server: Server) -> None:
    """Sign ann in by the button of a link."""
    page.goto(run("manage.py", "sign_in_link", "ann", env=server.environment).stdout.strip())
    page.locator("form button").click()
    page.wait_for_url(f"{URL}/**")


@contextmanager
def ask(
    proxy: Nginx, path: str, body: str, *, session: str = "", address: str = HOST, **headers: str
) -> Iterator[HTTPResponse]:
    """POST a body through the proxy, as a page of the site would."""
    cookie = f"__Host-csrftoken={CSRF}; __Host-sessionid={session}"
    sent = {"Host": NAME, "Origin": URL, "Cookie": cookie, "X-CSRFToken": CSRF, **headers}
    connection = proxy.connect(address=address)
    try:
        connection.request("POST", path, body.encode(), sent)
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def test_a_person_is_asked_and_answers(open_site: OpenSite, proxy: Nginx, server: Server) -> None:
    page = open_site(f"http://{NAME}/sign-in/")
    assert page.url == f"{URL}/sign-in/"
    sign_in(page, server)
    begin(page, "ask()", cards=1)
    answer(card(page).locator("form"))
    state(page, "completed")
    expect(page.locator("#items .text").last).to_have_text("236")
    assert {cookie["name"] for cookie in page.context.cookies()} >= {"__Host-sessionid"}
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{URL}/sign-in/**")


@pytest.mark.beyond("a page outlives a reload of nginx")
def test_a_page_outlives_a_reload_of_nginx_and_its_end(
    open_site: OpenSite, proxy: Nginx, server: Server, console: Console
) -> None:
    console.allow("WebSocket connection|ERR_|Failed to load|dynamically imported module")
    page = open_site("/sign-in/")
    sign_in(page, server)
    begin(page, "ask_two()", cards=2)
    proxy.reload()
    answer(card(page).first.locator("form"))  # by the socket that the old process still has
    expect(card(page)).to_have_count(1)
    other = page.context.new_page()
    other.goto(page.url)
    until_connected(other)
    proxy.stop()
    expect(page.locator("#connection")).not_to_have_attribute("data-state", "connected")
    proxy.start()
    until_connected(page)
    answer(card(page).locator("form"))
    for tab in (page, other):
        until_connected(tab)
        state(tab, "completed")


@pytest.mark.parametrize("path", ["/generate/stream", "/chat/stream"])
def test_a_stream_is_not_held_back(proxy: Nginx, server: Server, path: str) -> None:
    said = {"input_message": "ask()", "messages": [{"role": "user", "content": "ask()"}]}
    reply = json.dumps({"response": {"type": "text", "text": "236"}})
    ann = {"session": server.cookies["ann"], "Content-Type": "application/json"}
    with ask(proxy, f"{path}?workflow=probe", json.dumps(said), **ann) as streamed:
        stream = Stream(streamed)
        prompt = next(one for one in iter(stream.next, None) if one.name == "interaction_required")
        with ask(proxy, prompt.json()["response_url"], reply, **ann) as answered:
            assert answered.status == 204
        assert "236" in "".join(event.data for event in stream.rest())


@pytest.mark.beyond("nginx takes files of the largest size")
def test_files_of_the_largest_size_are_taken_and_larger_ones_are_not(
    open_site: OpenSite, proxy: Nginx, server: Server, tmp_path: Path, console: Console
) -> None:
    console.allow("413|422")
    page = open_site("/sign-in/", java_script_enabled=False)
    sign_in(page, server)
    page.goto("/c/")
    files = [tmp_path / f"{number}.csv" for number in range(10)]
    for file in files:
        file.write_bytes(b"1," * (10 * MIB // 2))
    page.locator("input[name=workflow][value=probe]").check()
    page.get_by_label("Attach files").set_input_files(files)
    page.locator("#text").fill("describe_files()")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".user .files li")).to_have_count(10)
    # Without a script the whole message is one request, with it each file is.
    with files[0].open("ab") as large:
        large.truncate(111 * MIB)
    page = open_site("/sign-in/")
    sign_in(page, server)
    page.goto("/c/")
    until_connected(page)
    page.get_by_label("Attach files").set_input_files(files[0])
    expect(page.locator("#composer-error")).to_contain_text("Too large for the server")


def test_limits_count_the_address_of_the_client(proxy: Nginx, server: Server) -> None:
    wrong = "username=ann&password=wrong"
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}
    addresses = ["127.0.0.8", "127.0.0.9"]
    for address in addresses:
        form = {"address": address, "Content-Type": "application/x-www-form-urlencoded"}
        with ask(proxy, "/sign-in/", wrong, **form, **forged) as answer:
            assert answer.status == 200
    assert re.findall(r"sign_in.failed .*address=(\S+)", server.web.log) == addresses


@pytest.mark.timeout(300)
def test_a_request_that_is_slow_or_falls_silent_is_dropped(proxy: Nginx) -> None:
    with closing(proxy.connect()) as slow, closing(proxy.connect()) as silent:
        slow.sock.sendall(b"GET / HTTP/1.1\r\nX-A: ")
        silent.sock.sendall(SILENT.encode())

        def send_slowly() -> bool:
            slow.sock.sendall(b"a")
            return is_dropped(slow)

        until(send_slowly, 90)  # after a minute
        until(lambda: is_dropped(silent), 90)


def is_dropped(connection: HTTPConnection) -> bool:
    """Return whether the server has answered that it waited too long, or has hung up."""
    connection.sock.settimeout(0.5)
    try:
        return b" 408 " in (answer := connection.sock.recv(100)) or not answer
    except TimeoutError:
        return False
