"""A socket that says who it is by an `auth_message`."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from pytest_django import Settings

from chat_app.socket import authentication
from tests.wire.conformance.conftest import CLIENT_MESSAGE, SERVER_MESSAGE
from tests.wire.identity.tokens import token
from tests.wire.local_socket import LocalSocket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_writer")]


@pytest.fixture
def payloads(ann: User, key: str, tokens: Settings) -> dict[str, dict[str, Any]]:
    return {
        "api_key": {"method": "api_key", "token": key},
        "jwt": {"method": "jwt", "token": token()},
        "basic": {"method": "basic", "username": "ann", "password": "right"},
    }


async def say(socket: LocalSocket, payload: dict[str, Any]) -> dict[str, Any]:
    message = {"type": "auth_message", "id": "a1", "payload": payload}
    CLIENT_MESSAGE.validate(message)
    await socket.send(message)
    answer = await socket.until("auth_response_message")
    SERVER_MESSAGE.validate(answer)
    return answer


@pytest.mark.parametrize("method", ["jwt", "api_key", "basic"])
async def test_each_method_lets_in_though_the_first_try_was_wrong(
    method: str, payloads: dict[str, dict[str, Any]], ann: User
) -> None:
    async with LocalSocket(AnonymousUser()) as socket:
        wrong = {**payloads[method], "password" if method == "basic" else "token": "wrong-secret"}
        answer = await say(socket, wrong)
        assert (answer["status"], answer["user_id"], answer["for"]) == ("error", None, "a1")
        assert answer["payload"]["code"] == "user_auth_error"
        assert "wrong-secret" not in str(answer)
        for _ in range(2):
            answer = await say(socket, payloads[method])
            assert (answer["status"], answer["user_id"]) == ("success", str(ann.pk))
            assert (answer["for"], answer["payload"]) == ("a1", None)
            await socket.until_settled()


@pytest.mark.parametrize(
    ("payload", "reply"),
    [
        ({"method": "api_key", "token": "nak_x_y"}, "auth_response_message"),
        ({"method": "magic"}, "error_message"),
        ({"method": "basic", "username": "ann", "password": "\ud800"}, "error_message"),
    ],
)
async def test_tries_are_limited(payload: dict[str, Any], reply: str) -> None:
    async with LocalSocket(AnonymousUser()) as socket:
        for _ in range(3):
            await socket.send({"type": "auth_message", "payload": payload})
            SERVER_MESSAGE.validate(await socket.until(reply))
        assert await socket.until_closed() == 4401


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", [{"type": "ping_message"}, {"type": "user_message", "content": "x"}, "{", b"\0"]
)
async def test_nothing_else_may_come_first(first: Any) -> None:
    async with LocalSocket(AnonymousUser()) as socket:
        await socket.send(first)
        assert await socket.until_closed() == 4401
        assert not socket.frames


async def test_a_socket_without_an_auth_message_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "AUTHENTICATION_TIMEOUT", 0.05)
    async with LocalSocket(AnonymousUser()) as socket:
        assert await socket.until_closed() == 4401
        assert socket.accepted


@pytest.mark.usefixtures("tokens")
async def test_invalid_credentials_in_the_handshake_close_the_socket() -> None:
    for name, value, code in (
        ("cookie", "sessionid=ended", 4401),
        ("x-api-key", "nak_a_b", 4401),
        ("authorization", f"Bearer {token(sub='nobody')}", 4403),  # known, and not allowed
    ):
        async with LocalSocket(AnonymousUser(), headers={name: value}) as socket:
            assert await socket.until_closed() == code, name


async def test_somebody_cannot_become_somebody_else(payloads: dict[str, dict[str, Any]]) -> None:
    ben = await User.objects.acreate(username="ben")
    async with LocalSocket(ben) as socket:
        answer = await say(socket, payloads["basic"])
        assert (answer["status"], answer["user_id"]) == ("error", None)
        await socket.until_settled()
