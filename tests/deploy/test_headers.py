"""Tests of what each kind of response tells browsers and proxies, whatever it is a response to."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.http.client import Http
from tests.support.hitl import set_hitl
from tests.support.server import Response, Server

UNKNOWN = "00000000-0000-4000-8000-000000000000"
STREAM = '{"input_message": "echo(\'1\')"}'
# What is sent, by whom; and the status of what comes back.
RESPONSES = {
    "a page": ("GET", "/c/c1/", "ann", 200),
    "part of a page": ("GET", "/c/c1/items/", "ann", 200),
    "the list": ("GET", "/conversations/", "ann", 200),
    "a redirect": ("GET", "/", "ann", 302),
    "a redirect to the sign-in": ("GET", "/", None, 302),
    "the sign-in": ("GET", "/sign-in/", None, 200),
    "the password": ("GET", "/password/", "ann", 200),
    "a link that does not work": ("GET", "/sign-in/link/?sesame=x", None, 302),
    "a refused form": ("POST", "/c/c1/messages/", "ann", 422),
    "a form of another site": ("POST", "/c/c1/messages/", None, 403),
    "the admin": ("GET", "/admin/", "admin", 200),
    "JSON": ("GET", "/monitor/users", "admin", 200),
    "a problem": ("GET", f"/executions/{UNKNOWN}", "ann", 404),
    "a stream": ("POST", "/generate/stream?workflow=probe", "ann", 200),
    "the API's page": ("GET", "/docs", "ann", 200),
    "health": ("GET", "/health", None, 200),
    "nothing": ("GET", "/nothing", "ann", 404),
    "a NUL": ("GET", "/c/%00/", "ann", 400),
    "a static file": ("GET", "/static/chat_app/css/base.css", None, 200),
}
# What all of them say.
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = {
    "default-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
}
# Of what is no page.
OF_FILES = {"default-src 'none'", "frame-ancestors 'none'"}
# It comes before Django, and is plain text.
BARE = "a NUL"


def ask(server: Server, method: str, path: str, user: str | None) -> Response:
    http = Http(server, user, workflow=None)
    if method == "GET":
        return http.get(path)
    return http.post(path, STREAM) if path.startswith("/generate") else http.form(path, {})


def test_each_response_has_the_headers_that_keep_it_safe(shared: Server) -> None:
    for name, (method, path, user, status) in RESPONSES.items():
        answer = ask(shared, method, path, user)
        headers = answer.headers
        assert answer.status == status, name
        cache_directives = headers["Cache-Control"].split(", ")
        assert ("public" if name == "a static file" else "no-store") in cache_directives, name
        assert "Server" not in headers, name
        if name == BARE:
            assert headers["X-Content-Type-Options"] == "nosniff"
            continue
        assert {each: headers[each] for each in ALWAYS} == ALWAYS, name
        policy = OF_FILES if name == "a static file" else POLICY
        assert set(headers["Content-Security-Policy"].split("; ")) == policy, name
        for cookie in headers.get_all("Set-Cookie") or []:
            assert "SameSite=Lax" in cookie, name
            assert "HttpOnly" in cookie, name


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_api_is_described_to_whom_the_site_knows(settings: Settings, client: Client) -> None:
    paths = ("/docs", "/openapi.json")
    browser = {"accept": "text/html"}
    assert [client.get(path, headers=browser)["Location"] for path in paths] == [
        f"/sign-in/?next={path}" for path in paths
    ]
    set_hitl(settings, API_DOCS_PUBLIC=True)
    assert [client.get(path).status_code for path in paths] == [200, 200]
    set_hitl(settings, API_DOCS_PUBLIC=False)
    client.force_login(User.objects.create_user("ann"))
    assert [client.get(path).status_code for path in paths] == [200, 200]
