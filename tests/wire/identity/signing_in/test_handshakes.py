"""A handshake looks a session up, and stores nothing of it."""

from collections.abc import AsyncIterator

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import AsyncClient
from pytest_django import Settings

from sessions_app.storage.writer import writer
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _writer() -> AsyncIterator[None]:
    yield
    writer.stop()


@pytest.fixture
async def socket(async_client: AsyncClient) -> LocalSocket:
    """Return the socket of a browser in which ann has signed in, not connected."""
    await async_client.aforce_login(await User.objects.acreate(username="ann"))
    cookie = f"{site.SESSION_COOKIE_NAME}={(await Session.objects.aget()).session_key}"
    socket = LocalSocket(None, headers={"cookie": cookie})
    del socket.scope["user"], socket.scope["session"]
    return socket


async def stored() -> list[tuple[str, str]]:
    return [row async for row in Session.objects.values_list("session_key", "session_data")]


async def test_a_rotated_secret_signs_nobody_out(socket: LocalSocket, settings: Settings) -> None:
    before = await stored()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next secret of this site"
    async with socket:
        await socket.until_settled()
    assert await stored() == before


async def test_a_session_that_holds_no_more_is_refused_and_stays(socket: LocalSocket) -> None:
    before = await stored()
    await User.objects.aupdate(password="another")
    async with socket:
        assert await socket.until_closed() == 4401
    assert await stored() == before
