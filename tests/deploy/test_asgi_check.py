"""The check of the ASGI application: what a project wraps the chat in may keep it from clients."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.security.websocket import AllowedHostsOriginValidator
from pytest_django import Settings

from chat_app import checks
from chat_app.application import Entrance

pytestmark = pytest.mark.formless


async def plain(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("Django serves http only")


chat: Any = Entrance(plain)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Accept any socket, as projects' templates do."""
    await receive()
    await send({"type": "websocket.accept"})


async def own_sockets(scope: Any, receive: Any, send: Any) -> None:
    await (echo if scope["type"] == "websocket" else chat)(scope, receive, send)


async def own_start(scope: Any, receive: Any, send: Any) -> None:
    await (echo if scope["type"] == "lifespan" else chat)(scope, receive, send)


async def only_known(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await own_sockets(scope, receive, send)


async def middleware(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "lifespan" or scope["client"][0]
    await chat({**scope}, receive, send)


async def waiting(scope: Any, receive: Any, send: Any) -> None:
    await sync_to_async(int)()
    await chat(scope, receive, send)


async def timed(scope: Any, receive: Any, send: Any) -> None:
    async with asyncio.timeout(5):
        await chat(scope, receive, send)


async def same_origin(scope: Any, receive: Any, send: Any) -> None:
    guarded = AllowedHostsOriginValidator(chat) if scope["type"] == "websocket" else chat
    await guarded(scope, receive, send)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chat", []),
        ("middleware", []),
        ("waiting", []),
        ("timed", []),
        ("same_origin", []),
        ("plain", ["chat_app.W001"]),
        ("own_sockets", ["chat_app.W001"]),
        ("own_start", ["chat_app.W001"]),
        ("only_known", ["chat_app.W001"]),
    ],
)
def test_an_application_that_keeps_connections_from_the_chat_is_warned_of(
    name: str, expected: list[str], settings: Settings
) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.{name}"
    assert [each.id for each in checks.check_asgi()] == expected


def test_the_runserver_of_whitenoise_is_the_one_behind_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True
    command = {"runserver": "whitenoise.runserver_nostatic"}
    monkeypatch.setattr(checks, "get_commands", lambda: command)
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "daphne"]
    assert [each.id for each in checks.check_runserver()] == ["chat_app.W002"]
