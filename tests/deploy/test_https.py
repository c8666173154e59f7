"""A site behind a proxy that ends TLS: nothing but HTTPS and `wss`."""

from http.cookies import SimpleCookie

import pytest
from websockets.exceptions import InvalidStatus

from natproject.settings import env
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
    cookies = SimpleCookie("; ".join(signed_in.headers.get_all("set-cookie") or []))
    assert set(cookies) == COOKIES

    session = {"Cookie": f"__Host-sessionid={cookies['__Host-sessionid'].value}"}
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


@pytest.mark.formless
@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"HOST": "::", "PORT": "9000"}, "http://[::1]:9000"),
        ({"HTTPS": "true", "ALLOWED_HOSTS": f".other.org,{NAME}"}, f"https://{NAME}"),
        ({"HTTPS": "true", "ALLOWED_HOSTS": NAME, "MAIL": "now"}, f"https://{NAME}"),
        ({"HTTPS": "true"}, "http://127.0.0.1:8000"),
        ({"HTTPS": "true", "PUBLIC_URL": f"https://{NAME}:8443/"}, f"https://{NAME}:8443"),
    ],
)
def test_links_lead_where_people_reach_the_site(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert env.load().public_url == url
