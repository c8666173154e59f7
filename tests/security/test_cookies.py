"""The cookies of a site behind HTTPS."""

from http.cookies import Morsel, SimpleCookie

import pytest

from tests.conftest import NewServer
from tests.http.client import CSRF, Http
from tests.support.processes.command import run

HTTPS = {"x_forwarded_proto": "https"}
FORM = {"x_csrftoken": CSRF, "cookie": f"__Host-csrftoken={CSRF}"}


@pytest.mark.slow
def test_behind_https_each_cookie_is_this_hosts_alone_and_no_scripts(new_server: NewServer) -> None:
    server = new_server(HTTPS="true")
    link = run("manage.py", "sign_in_link", "carla", env=server.environment).stdout.strip()
    http = Http(server, None, workflow=None)
    answers = [http.get("/sign-in/", **HTTPS)]
    path = f"/sign-in/{link.partition('/sign-in/')[2]}"
    site = server.url.replace("http:", "https:")
    answers.append(http.post(path, "", referer=site, **FORM, **HTTPS))
    cookies: list[Morsel[str]] = []
    for answer in answers:
        for header in answer.headers.get_all("set-cookie", []):
            cookies += SimpleCookie(header).values()
    assert {cookie.key for cookie in cookies} == {"__Host-sessionid", "__Host-csrftoken"}
    for cookie in cookies:
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
        assert (cookie["path"], cookie["domain"]) == ("/", "")
    (session,) = [cookie.value for cookie in cookies if cookie.key == "__Host-sessionid"]
    # Probes come past the proxy, and follow no redirect to it.
    assert [http.get(path).status for path in ("/", "/health", "/live")] == [301, 200, 200]
    signed_in = http.get("/c/", cookie=f"__Host-sessionid={session}", **HTTPS)
    assert "/sign-in/" not in signed_in.headers["location"]
