"""Wrong passwords: counted by user and by address at every door, and told when to come back."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AnonymousUser, User
from django.test import AsyncClient, RequestFactory
from django.urls import reverse
from pytest_django import Settings
from structlog.testing import capture_logs

from chat_app.identity.sign_in import refused_sign_in
from chat_app.rates import rate_limits
from tests.support.hitl import set_hitl
from tests.support.hosting import until_true
from tests.wire.identity.tokens import SECRET, token
from tests.wire.local_socket import LocalSocket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_writer")]

SIGN_IN = "/sign-in/"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture(autouse=True)
def _none_counted(settings: Settings) -> Iterator[None]:
    """Clear the counts; a proxy says where pages are asked for from."""
    set_hitl(settings, PROXIES=1)
    rate_limits.clear()
    yield
    rate_limits.clear()


@pytest.fixture
def name() -> str:
    """Return a user of hers alone: Redis remembers over the tests."""
    return f"ann-{uuid4().hex[:8]}"


@pytest.fixture
def user(name: str) -> User:
    return User.objects.create_user(name, password="right")


@pytest.fixture
def three(settings: Settings) -> None:
    set_hitl(settings, RATE_PASSWORDS="3/hour")


async def on_page(
    name: str, password: str, *, address: str = "10.0.0.1", path: str = SIGN_IN
) -> Any:
    form = {"username": name, "password": password}
    return await AsyncClient().post(path, form, headers={"x-forwarded-for": address})


async def by_socket(name: str, password: str) -> dict[str, Any]:
    payload = {"method": "basic", "username": name, "password": password}
    async with LocalSocket(AnonymousUser()) as socket:
        await socket.send({"type": "auth_message", "payload": payload})
        answer: dict[str, Any] = await socket.until("auth_response_message")
        return answer


@pytest.mark.usefixtures("three")
async def test_the_page_says_when_to_come_back_and_keeps_the_name(user: User) -> None:
    for _ in range(3):
        assert (await on_page(user.username, "wrong")).status_code == 200
    response = await on_page(user.username, "right")
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 1200
    html = response.content.decode()
    assert "Too many wrong passwords. Try again in 20 minutes." in html
    assert f'value="{user.username}"' in html
    assert "right" not in html


@pytest.mark.usefixtures("three")
async def test_wrong_old_passwords_count_as_those_of_a_sign_in(user: User) -> None:
    client = AsyncClient()
    await client.aforce_login(user, MODEL_BACKEND)
    new = dict.fromkeys(("new_password1", "new_password2"), "another horse battery")
    answers = [
        await client.post("/password/", {"old_password": old, **new})
        for old in ("wrong", "wrong", "wrong", "right")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "Too many wrong passwords. Try again in 20 minutes." in answers[-1].content.decode()
    assert (await on_page(user.username, "right", address="127.0.0.1")).status_code == 429


class Waits(BaseBackend):
    """Looks at passwords for as long as hashing may take: until all have come."""

    looks = 0
    refused = 0
    all_have_come = threading.Event()

    def authenticate(self, request: Any, **credentials: Any) -> None:
        Waits.looks += 1
        Waits.all_have_come.wait(30)


@pytest.mark.usefixtures("three")
async def test_concurrent_wrong_passwords_are_all_counted(
    settings: Settings, name: str, rf: RequestFactory
) -> None:
    settings.AUTHENTICATION_BACKENDS = [
        "chat_app.identity.sign_in.PasswordThrottle",
        f"{__name__}.Waits",
    ]
    Waits.looks = Waits.refused = 0
    Waits.all_have_come.clear()

    def guess(number: int) -> None:
        request = rf.post(SIGN_IN)
        authenticate(request, username=name, password=f"wrong {number}")
        Waits.refused += refused_sign_in(request) is not None

    guesses = [threading.Thread(target=guess, args=[number]) for number in range(12)]
    for one in guesses:
        one.start()
    await until_true(lambda: Waits.looks + Waits.refused == 12)
    Waits.all_have_come.set()
    for one in guesses:
        await asyncio.to_thread(one.join)
    assert (Waits.looks, Waits.refused) == (3, 9)


BY_BOTH, BY_ADDRESS = {"RATE_PASSWORDS": "3/hour"}, {"RATE_PASSWORDS_ADDRESS": "3/hour"}
HERE = "10.0.0.1"
# Of three wrong tries: whose (of somebody else each, where it is nobody), from where; then those
# with the right password, and whether one is let in.
THROTTLED: list[tuple[dict[str, Any], str, list[str], list[tuple[str, str, int]]]] = [
    (BY_BOTH, "ann", [HERE], [("ann", HERE, 429), ("ben", HERE, 302), ("ann", "10.0.0.2", 302)]),
    ({"RATE_PASSWORDS_USER": "3/hour"}, "ANN", ["10.1.0.1", "10.1.0.2"], [("ann", HERE, 429)]),
    # Whoever has one address of a network has all.
    (BY_ADDRESS, "", ["2001:db8::1"], [("ann", "2001:db8::2", 429), ("ann", "2001:db8:1::1", 302)]),
    # As a server that listens on IPv6 for both has those of IPv4.
    (BY_ADDRESS, "", ["::ffff:10.0.0.1"], [("ann", HERE, 429), ("ann", "::ffff:10.0.0.2", 302)]),
    # As some proxies write them.
    (BY_ADDRESS, "", ["10.0.0.1:50"], [("ann", "10.0.0.1:60", 429), ("ann", "10.0.0.2:50", 302)]),
    (
        BY_ADDRESS,
        "",
        ["[2001:db8::1]:50"],
        [("ann", "[2001:db8::2]:60", 429), ("ann", "[2001:db8:1::1]:50", 302)],
    ),
    # Behind proxies the address is what they saw; no other counts.
    *(
        (BY_BOTH | {"PROXIES": proxies}, "ann", ["1.2.3.4, 10.2.0.1"], [("ann", next_, status)])
        for next_ in ["1.2.3.4, 10.2.0.2"]
        for proxies, status in ((0, 429), (1, 302), (2, 429))
    ),
]


@pytest.mark.parametrize(
    ("limits", "guessed", "addresses", "then"),
    THROTTLED,
    ids=[
        *("one user from one address", "one user from many addresses", "many users from a network"),
        *("IPv4 as IPv6", "a port", "a port behind IPv6", "no proxy", "one proxy", "two proxies"),
    ],
)
async def test_wrong_passwords_are_counted_by_user_and_by_address(
    settings: Settings,
    limits: dict[str, Any],
    guessed: str,
    addresses: list[str],
    then: list[tuple[str, str, int]],
) -> None:
    set_hitl(settings, **limits)
    unique = uuid4().hex[:8]  # Redis remembers over the tests
    for name in ("ann", "ben"):
        await User.objects.acreate(username=f"{name}-{unique}", password=make_password("right"))
    for number in range(3):
        name = f"{guessed}-{unique}" if guessed else uuid4().hex
        await on_page(name, "wrong", address=addresses[number % len(addresses)])
    statuses = [
        (name, address, (await on_page(f"{name}-{unique}", "right", address=address)).status_code)
        for name, address, _ in then
    ]
    assert statuses == then


@pytest.mark.usefixtures("three")
async def test_successful_sign_ins_are_not_counted(user: User) -> None:
    for _ in range(5):
        assert (await on_page(user.username, "right")).status_code == 302


@pytest.mark.usefixtures("three")
async def test_wrong_passwords_on_socket_and_page_count_together(user: User) -> None:
    assert (await by_socket(user.username, "wrong"))["payload"]["details"] == "user_auth_error"
    for _ in range(2):
        await on_page(user.username, "wrong", address="127.0.0.1")
    answer = await by_socket(user.username, "right")
    assert (answer["status"], answer["payload"]["code"]) == ("error", "user_auth_error")
    assert "Try again in 20 minutes." in answer["payload"]["message"]
    assert '"retry_after":1' in answer["payload"]["details"]


@pytest.mark.usefixtures("three")
async def test_the_admin_sends_to_the_same_page(user: User) -> None:
    answer = await on_page(user.username, "wrong", path=reverse("admin:login"))
    assert (answer.status_code, answer["Location"][:9]) == (302, "/sign-in/")


async def test_sign_ins_and_failures_are_in_the_audit(user: User) -> None:
    with capture_logs() as logs:
        await on_page(f"{user.username}\x1b[2J", "hush-hush")
        await on_page(user.username, "right")
        await by_socket(user.username, "right")
    entries = [entry for entry in logs if entry["event"].startswith("sign_in")]
    names = ("event", "log_level", "user", "address", "path")
    page, socket = (HERE, SIGN_IN), ("127.0.0.1", "/websocket")
    assert [tuple(entry[name] for name in names) for entry in entries] == [
        ("sign_in.failed", "warning", f"{user.username}?[2J", *page),
        ("sign_in", "info", user.username, *page),
        ("sign_in", "info", user.username, *socket),
    ]
    ways = [entry.get("method") or entry["reason"] for entry in entries]
    assert ways == ["wrong", MODEL_BACKEND, "basic"]
    assert "hush-hush" not in str(logs)
    assert "right" not in str(logs)


async def test_refused_tokens_and_origins_are_in_the_audit(tokens: Settings) -> None:
    late = token(exp=1)
    headers = {"authorization": f"Bearer {late}"}
    with capture_logs() as logs:
        async with LocalSocket(AnonymousUser(), headers=headers) as socket:
            assert await socket.until_closed() == 4401
        async with LocalSocket(AnonymousUser()) as socket:
            payload = {"method": "api_key", "token": "nak_hush_hush"}
            await socket.send({"type": "auth_message", "payload": payload})
            await socket.until("auth_response_message")
        await AsyncClient().post("/generate", headers={"x-api-key": "nak_hush_hush"})
        for origin in ("https://evil.example", "http://[::1"):
            async with LocalSocket(None, headers={"origin": origin}) as socket:
                await socket.until_closed()
    entries = [
        (entry["event"], entry.get("method") or entry.get("origin"), entry["path"])
        for entry in logs
        if entry["event"] in ("credentials.refused", "origin.refused")
    ]
    assert entries == [
        ("credentials.refused", "jwt", "/websocket"),
        ("credentials.refused", "api_key", "/websocket"),
        ("credentials.refused", "api_key", "/generate"),
        ("origin.refused", "https://evil.example", "/websocket"),
        ("origin.refused", "http://[::1", "/websocket"),
    ]
    for secret in (late, "hush", SECRET):
        assert secret not in str(logs)
