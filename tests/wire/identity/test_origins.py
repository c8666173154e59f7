"""Tests of where a connection comes from."""

from typing import Any

import pytest
from pytest_django import Settings

from chat_app.identity import is_encrypted_enough, metadata, origin_allowed
from tests.support.hitl import set_hitl


def scope(*origins: str, host: str = "chat.example:8000", scheme: str = "ws") -> dict[str, Any]:
    return {
        "type": "websocket",
        "scheme": scheme,
        "path": "/websocket",
        "query_string": b"conversation_id=c&session=secret&sesame=secret",
        "headers": [
            (b"host", host.encode()),
            (b"cookie", b"sessionid=secret"),
            (b"authorization", b"Bearer secret"),
            (b"proxy-authorization", b"Basic secret"),
            (b"x-api-key", b"secret"),
            (b"x-tenant", b"t1"),
            *((b"origin", origin.encode()) for origin in origins),
        ],
        "client": ["10.0.0.1", 5],
        "server": ["10.0.0.2", 8000],
    }


@pytest.fixture(autouse=True)
def _hosts(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["chat.example"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://ui.example", "https://*.apps.example"]
    set_hitl(settings, ALLOWED_ORIGINS=["http://peer.example:3000/"])


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        ([], True),
        (["http://chat.example:8000"], True),
        (["HTTP://Chat.Example:8000"], True),
        (["https://chat.example:8000"], False),
        (["http://chat.example"], False),
        (["http://chat.example:8001"], False),
        (["http://chat.example:8000.evil.example"], False),
        (["http://evilchat.example:8000"], False),
        (["http://sub.chat.example:8000"], False),
        (["http://chat.example:8000@evil.example"], False),
        (["http://chat.example:8000\x0b"], False),
        (["null"], False),
        (["http://[::1"], False),
        ([""], False),
        (["http://chat.example:8000", "http://chat.example:8000"], False),
        (["https://ui.example"], True),
        (["https://ui.example.evil"], False),
        (["http://peer.example:3000"], True),
        (["http://peer.example"], False),
        (["http://ui.example"], False),
        (["https://one.apps.example"], True),
        (["http://one.apps.example"], False),
        (["https://one.apps.example.evil"], False),
    ],
)
def test_the_origin_is_ours_or_a_trusted_one(origins: list[str], allowed: bool) -> None:
    for host in ("chat.example:8000", "Chat.Example:8000"):
        assert origin_allowed(scope(*origins, host=host)) is allowed


@pytest.mark.parametrize(
    ("origin", "host", "browser"),
    [
        ("http://localhost:3000", "127.0.0.1:8000", "127.0.0.1"),
        ("http://[::1]:3000", "localhost:8000", "::1"),
    ],
)
def test_pages_of_this_machine_may_be_guests_where_guests_are_allowed(
    settings: Settings, origin: str, host: str, browser: str
) -> None:
    came = on_this_machine(settings, origin, host, browser)
    assert origin_allowed(came)
    came["headers"].append((b"cookie", b"sessionid=x"))  # but not whoever is signed in here
    assert not origin_allowed(came)
    came["headers"].pop()
    set_hitl(settings, GUESTS=True, PROXIES=1)  # where all seem to be of this machine
    assert not origin_allowed(came)
    set_hitl(settings, GUESTS=False)
    assert not origin_allowed(came)


@pytest.mark.parametrize(
    ("origin", "host", "browser"),
    [
        ("http://evil.example", "127.0.0.1:8000", "127.0.0.1"),
        ("http://localhost.evil.example", "127.0.0.1:8000", "127.0.0.1"),
        ("http://localhost:3000", "chat.example:8000", "127.0.0.1"),
        ("http://localhost:3000", "127.0.0.1:8000", "10.0.0.1"),
        ("http://localhost:3000", "evil.example", "127.0.0.1"),
        ("null", "127.0.0.1:8000", "127.0.0.1"),
    ],
)
def test_pages_of_other_machines_are_foreign_origins(
    settings: Settings, origin: str, host: str, browser: str
) -> None:
    assert not origin_allowed(on_this_machine(settings, origin, host, browser))


def on_this_machine(settings: Settings, origin: str, host: str, browser: str) -> dict[str, Any]:
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "chat.example"]
    set_hitl(settings, GUESTS=True)
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    return scope() | {"client": [browser, 5], "headers": headers}


def test_a_host_that_is_not_ours_is_no_origin_of_ours() -> None:
    assert not origin_allowed(scope("http://evil.example", host="evil.example"))


def test_behind_tls_the_origin_is_https(settings: Settings) -> None:
    assert origin_allowed(scope("https://chat.example:8000", scheme="wss"))
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_TENANT", "t1")
    assert origin_allowed(scope("https://chat.example:8000"))


@pytest.mark.parametrize(("protocol", "is_secure"), [("wss", True), ("ws", False)])
def test_a_proxy_may_say_wss_of_a_socket(
    settings: Settings, protocol: str, is_secure: bool
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    came = scope("https://chat.example:8000")
    came["headers"].append((b"x-forwarded-proto", protocol.encode()))
    assert (is_encrypted_enough(came), origin_allowed(came)) == (is_secure, is_secure)


def test_metadata_holds_no_secret() -> None:
    metadata_fields = metadata(scope())
    assert "secret" not in str(metadata_fields)
    assert metadata_fields["headers"]["x-tenant"] == "t1"
    assert metadata_fields["query_params"] == {"conversation_id": "c"}
    assert (metadata_fields["client_host"], metadata_fields["client_port"]) == ("10.0.0.1", 5)
