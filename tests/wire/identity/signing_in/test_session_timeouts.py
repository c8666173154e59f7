"""A session ends when its person was idle for long, and at the latest; what stands on it, too."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import AsyncClient
from django.utils import timezone
from django.utils.asyncio import async_unsafe
from pytest_django import Settings

from chat_app.identity.session_timeouts import LATEST
from sessions_app.storage.writer import writer
from tests.support.hitl import set_hitl
from tests.wire.local_socket import LocalSocket

IDLE, ABSOLUTE = 1000, 5000
PAGE = "/c/c1/"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _timeouts(settings: Settings) -> AsyncIterator[None]:
    set_hitl(settings, SESSION_IDLE_TIMEOUT=IDLE, SESSION_ABSOLUTE_TIMEOUT=ABSOLUTE)
    yield
    writer.stop()


@pytest.fixture
async def ann(async_client: AsyncClient) -> User:
    user = await User.objects.acreate(username="ann")
    await async_client.aforce_login(user)
    await async_client.get(PAGE)
    return user


async def seconds_left() -> float:
    row = await Session.objects.aget()
    return (row.expire_date - timezone.now()).total_seconds()


async def load_session() -> SessionStore:
    store = SessionStore((await Session.objects.aget()).session_key)
    await store.ahas_key(LATEST)
    return store


async def change(action: Callable[[SessionBase], Any]) -> None:
    store = await load_session()
    action(store)
    await store.asave()


def ending_in(seconds: float) -> Callable[[SessionBase], Any]:
    return lambda session: session.set_expiry(timedelta(seconds=seconds))


@pytest.mark.usefixtures("ann")
async def test_a_session_ends_when_its_person_is_idle(async_client: AsyncClient) -> None:
    assert await seconds_left() == pytest.approx(IDLE, abs=30)
    cookie = async_client.cookies["sessionid"]
    assert int(cookie["max-age"]) == pytest.approx(IDLE, abs=30)
    await change(ending_in(-1))
    assert (await async_client.get(PAGE)).status_code == 302


def signed_in_long_ago(session: SessionBase) -> None:
    session[LATEST] = datetime.now(UTC).timestamp() + 200
    session.set_expiry(timedelta(seconds=100))


BY_SCRIPT = {"x-background": "1"}
FOR_BEN = {"x-for": "0"}
OFF = {"SESSION_IDLE_TIMEOUT": 0, "SESSION_ABSOLUTE_TIMEOUT": 0}


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("timeouts", "session", "request_", "left"),
    [
        ({}, ending_in(100), (PAGE, {}), IDLE),
        ({}, ending_in(100), (f"{PAGE}items/", BY_SCRIPT), 100),
        ({}, ending_in(100), ("/conversations/", BY_SCRIPT), 100),
        ({}, ending_in(100), (f"{PAGE}items/", FOR_BEN), 100),
        ({}, signed_in_long_ago, (PAGE, {}), 200),
        (OFF, ending_in(100), (PAGE, {}), 100),
    ],
    ids=[
        "a page is activity",
        "news is none",
        "a list is none",
        "another person's page is none",
        "not for ever",
        "switched off",
    ],
)
async def test_a_session_lasts_from_its_last_activity_and_not_for_ever(
    async_client: AsyncClient,
    settings: Settings,
    timeouts: dict[str, int],
    session: Callable[[SessionBase], Any],
    request_: tuple[str, dict[str, str]],
    left: int,
) -> None:
    latest = (await Session.objects.aget()).get_decoded()[LATEST]
    assert latest - datetime.now(UTC).timestamp() == pytest.approx(ABSOLUTE, abs=30)
    set_hitl(settings, **timeouts)
    await change(session)
    path, headers = request_
    response = await async_client.get(path, headers=headers)
    assert response.status_code == (409 if headers == FOR_BEN else 200)
    assert not (headers and response.cookies)
    assert await seconds_left() == pytest.approx(left, abs=30)


async def socket_of(user: User) -> LocalSocket:
    socket = LocalSocket(user)
    socket.scope["session"] = await load_session()
    return socket


async def test_a_message_on_a_socket_is_something_that_a_person_does(
    ann: User, async_client: AsyncClient
) -> None:
    await change(ending_in(100))
    async with await socket_of(ann) as socket:
        await socket.until_settled()
        assert await seconds_left() <= 100
        await socket.send({"type": "stop_message", "conversation_id": "c1", "id": "s"})
        await socket.until("ack_message")
    assert await seconds_left() == pytest.approx(IDLE, abs=30)
    # The cookie's end is put off by the next answer over HTTP, whatever asks for that.
    for is_next in (True, False):
        answer = await async_client.get(f"{PAGE}items/", headers={"x-background": "1"})
        ends = [int(cookie["max-age"]) for cookie in answer.cookies.values()]
        assert ends == ([pytest.approx(IDLE, abs=30)] if is_next else [])
    assert await seconds_left() == pytest.approx(IDLE, abs=30)


async def test_a_socket_ends_with_the_session(ann: User, settings: Settings) -> None:
    set_hitl(settings, SWEEP_SECONDS=0.05)
    async with await socket_of(ann) as socket:
        await socket.until_settled()
        await change(ending_in(-1))
        assert await socket.until_closed() == 4401


@pytest.mark.usefixtures("ann")
async def test_requests_in_a_row_store_the_session_once(async_client: AsyncClient) -> None:
    before = (await Session.objects.aget()).expire_date
    await async_client.get(PAGE)
    assert (await Session.objects.aget()).expire_date == before


@pytest.mark.parametrize("idle", [0, IDLE])
async def test_a_session_from_before_there_was_a_latest_end_gets_one(
    async_client: AsyncClient, settings: Settings, idle: int
) -> None:
    set_hitl(settings, SESSION_IDLE_TIMEOUT=IDLE, SESSION_ABSOLUTE_TIMEOUT=0)
    await async_client.aforce_login(await User.objects.acreate(username="ann"))
    await async_client.get(PAGE)
    set_hitl(settings, SESSION_IDLE_TIMEOUT=idle, SESSION_ABSOLUTE_TIMEOUT=300)
    assert (await async_client.get(PAGE)).status_code == 200
    assert await seconds_left() == pytest.approx(300, abs=30)


async def test_a_session_that_cannot_be_read_is_not_read_again_in_the_event_loop(
    ann: User, async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: SessionStore) -> None:
        raise OperationalError("too many connections")

    monkeypatch.setattr(SessionStore, "_get_session_from_db", async_unsafe(fails))
    monkeypatch.setattr(SessionStore, "_aget_session_from_db", fails)
    with pytest.raises(OperationalError):  # as the test's client has it, in the place of a page
        await async_client.get(PAGE)
