"""A site behind a proxy that ends TLS: nothing but HTTPS and `wss`."""

from http.cookies import SimpleCookie

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import NewServer
from tests.http.client import CSRF, Http
from tests.support.processes.command import run
from tests.support.server import HOST, Server
from tests.support.websocket import WsClient

NAME = "chat.example.org"
OF_PROXY = {"host": NAME, "x_forwarded_proto": "https"}
COOKIES = {"__Host-sessionid", "__Host-csrftoken"}


@pytest.fixture
def server(new_server: NewServer) -> Server:
    return new_server(HTTPS="true", ALLOWED_HOSTS=f"{NAME},{HOST}")


@pytest.mark.slow
async def test_everything_is_served_over_https_only(server: Server) -> None:
    http = Http(server, None, workflow=None)
    plain = http.get("/sign-in/?next=/c/x/", host=NAME)
    assert plain.status == 301
    assert plain.headers["location"] == f"https://{NAME}/sign-in/?next=/c/x/"
    hsts = http.get("/sign-in/", **OF_PROXY).headers["strict-transport-security"]
    assert hsts == "max-age=31536000; includeSubDomains"

    link = run("manage.py", "sign_in_link", "ann", env=server.environment).stdout.strip()
    assert link.startswith(f"https://{NAME}/sign-in/link/?sesame=")
    path = link.removeprefix(f"https://{NAME}")
    form = {"x_csrftoken": CSRF, "cookie": f"__Host-csrftoken={CSRF}", "referer": link}
    signed_in = http.post(path, "", **form, **OF_PROXY, x_forwarded_for="203.0.113.7")
    [line] = [line for line in server.web.log.splitlines() if "sign_in" in line]
    assert "address=203.0.113.7" in line
    cookies = [
        cookie
        for answer in (http.get("/sign-in/", **OF_PROXY), signed_in)
        for header in answer.headers.get_all("set-cookie", [])
        for cookie in SimpleCookie(header).values()
    ]
    assert {cookie.key for cookie in cookies} == COOKIES
    for cookie in cookies:
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
        assert (cookie["path"], cookie["domain"]) == ("/", "")
    # Probes come past the proxy, and follow no redirect to it.
    assert [http.get(path).status for path in ("/", "/health", "/live")] == [301, 200, 200]

    [value] = {cookie.value for cookie in cookies if cookie.key == "__Host-sessionid"}
    session = {"Cookie": f"__Host-sessionid={value}"}
    origin = server.url.replace("http:", "https:")
    for protocol in ("https", "wss"):
        headers = {"X-Forwarded-Proto": protocol} | session
        async with WsClient(server, "c", user=None, origin=origin, headers=headers) as socket:
            await socket.send({"type": "ping_message"})
            await socket.until("pong_message")
    for plainly in (origin, server.url, None):
        with pytest.raises(InvalidStatus):
            async with WsClient(server, "c", user=None, origin=plainly, headers=session):
                pass
