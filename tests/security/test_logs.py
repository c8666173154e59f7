"""Tests of what strangers send makes no line of the log, and no secret gets there."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from tests.http.client import Http
from tests.support.server import Server

HOSTILE = "/a\nsign_in user=admin\r\x1b[31m\u2028\u202e"
UPGRADE = {"upgrade": "websocket", "connection": "Upgrade", "sec_websocket_version": "13"}
UPGRADE |= {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="}
SHOWN = r"/a\nsign_in user=admin\r\x1b[31m\u2028\u202e"


@pytest.fixture
def formatter(settings: Any) -> logging.Formatter:
    config = dict(settings.LOGGING["formatters"]["console"])
    log_formatter: logging.Formatter = config.pop("()")(**config)
    return log_formatter


def test_an_entry_is_one_line_whatever_is_in_it(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "Forbidden: %s", (HOSTILE,), None)
    record.__dict__["user"] = HOSTILE + " ann"
    line = formatter.format(record)
    assert line.isprintable()
    assert SHOWN in line


@pytest.mark.parametrize("path", ["/callbacks/", "/chat/p/linked/", "/unsubscribe/"])
@pytest.mark.parametrize("query", ["", "?sesame=hush", "?session='hush'>hush&state=hush"])
def test_a_failed_request_is_logged_without_the_secrets_of_its_address(
    formatter: logging.Formatter, rf: RequestFactory, path: str, query: str
) -> None:
    request = rf.post(f"{path}hush.HUSH-hush_1/{query}")
    record = logging.LogRecord(
        *("django.request", logging.ERROR, "", 0, "%s: %s", ("Bad Gateway", request.path), None)
    )
    record.__dict__.update(request=request, path=request.path)
    line = formatter.format(record)
    assert "hush" not in line.lower()
    assert line.count(f"{path}***/") == 3


def test_an_entry_says_when_in_utc_how_grave_and_from_where(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("chat_app.x", logging.WARNING, "", 0, "Grüße", (), None)
    line = formatter.format(record)
    assert line[:4].isdigit()
    assert line.split()[0].endswith("Z")
    for part in ("warning", "Grüße", "chat_app.x"):
        assert part in line


@pytest.mark.django_db
def test_refused_requests_are_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    caplog.clear()
    client.get("/nothing/here")
    assert caplog.records == []
    client.get("/admin/sessions_app/run/")
    assert caplog.messages == ["Forbidden (Permission denied): /admin/sessions_app/run/"]
    caplog.clear()
    Client(enforce_csrf_checks=True).post("/sign-in/")
    assert any("CSRF" in line and "/sign-in/" in line for line in caplog.messages)


def test_a_wrong_host_and_an_unknown_socket_are_a_line_at_most(server: Server) -> None:
    before = server.web.log
    http = Http(server, None, workflow=None)
    assert http.get("/", host="evil.example").status == 400
    assert http.get("/nothing/here", **UPGRADE).status == 403
    lines = server.web.log.removeprefix(before).splitlines()
    assert len(lines) <= 2
    assert "evil.example" in "".join(lines)
