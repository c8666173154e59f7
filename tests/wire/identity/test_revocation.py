"""A socket ends with the identity that it was opened by, whoever ended that and however."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
import time_machine
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django import Settings

from chat_app.identity import revocation
from chat_app.identity.jwt_tokens import LEEWAY
from chat_app.models import ApiKey
from tests.conftest import NewServer
from tests.support.hitl import set_hitl
from tests.support.received_frames import Frame
from tests.support.websocket import WsClient
from tests.wire.identity.tokens import token
from tests.wire.local_socket import LocalSocket, content

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_writer")]


@pytest.mark.slow
async def test_signing_out_closes_the_sockets_of_the_session_at_once(
    new_server: NewServer,
) -> None:
    server = new_server(SWEEP_SECONDS="30")  # every third looks at who has signed out
    async with (
        WsClient(server, "c") as one,
        WsClient(server, "d") as two,
        WsClient(server, "c", user="ben") as other,
    ):
        for client in (one, two, other):
            await client.send({"type": "ping_message"})
            await client.until("pong_message")
        await asyncio.to_thread(server.sign_out, "ann")
        assert await one.until_closed() == 4401
        assert await two.until_closed() == 4401
        await other.send({"type": "ping_message"})
        await other.until("pong_message")


def store_session(user: User) -> Any:
    session = import_module(project.SESSION_ENGINE).SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.create()
    return session


def change_password(user: User) -> None:
    user.set_password("other")
    user.save(update_fields=["password"])


def deactivate(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def deactivate_in_the_admin(user: User) -> None:
    user.is_active = False
    user.save()


ENDS: dict[str, Callable[[User], Any]] = {
    "the session is deleted": lambda user: Session.objects.all().delete(),
    "the user is deleted": lambda user: user.delete(),
    "the user is deactivated": deactivate,
    "the user is deactivated in the admin": deactivate_in_the_admin,
    "the password is changed": change_password,
}


@pytest.mark.parametrize("lost", [False, True], ids=["told", "message lost"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_ending_an_identity_closes_its_sockets(
    ann: User,
    end: Callable[[User], Any],
    lost: bool,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_hitl(settings, SWEEP_SECONDS=0.05 if lost else 30)
    if lost:
        monkeypatch.setattr(revocation, "_send", lambda user: None)
    socket = LocalSocket(ann)
    socket.scope["session"] = await sync_to_async(store_session)(ann)
    async with socket:
        await socket.until_settled()
        await sync_to_async(end)(ann)
        assert await socket.until_closed() == 4401


@pytest.mark.parametrize(
    "message",
    [
        {"type": "user_message", **content("Hello")},
        {"type": "user_interaction_message", "interaction_id": "i", **content("yes")},
        {"type": "claim_message", "interaction_id": "i"},
        {"type": "stop_message"},
    ],
    ids=lambda message: str(message["type"]),
)
async def test_nothing_is_done_for_an_identity_that_has_ended(ann: User, message: Frame) -> None:
    async with LocalSocket(ann, conversation_id="c") as socket:
        await socket.until_settled()
        await User.objects.aupdate(is_active=False)  # without a signal: no hint comes
        await socket.send({**message, "id": "m"})
        assert await socket.until_closed() == 4401
        assert [frame["type"] for frame in socket.frames] == ["pong_message"]


@pytest.mark.usefixtures("ann", "tokens")
async def test_a_token_that_expires_ends_its_socket_and_no_other(settings: Settings) -> None:
    set_hitl(settings, SWEEP_SECONDS=0.05)
    headers = {"authorization": f"Bearer {token()}"}  # for a minute
    async with (
        LocalSocket(AnonymousUser()) as nobody_yet,
        LocalSocket(AnonymousUser(), headers=headers) as socket,
    ):
        await socket.until_settled()
        with time_machine.travel(timezone.now() + timedelta(seconds=60 + LEEWAY), tick=True):
            assert await socket.until_closed() == 4401
        assert nobody_yet.close_code is None


@pytest.mark.parametrize("is_deleted", [False, True], ids=["revoked", "deleted"])
async def test_a_key_that_has_ended_ends_its_sockets_and_only_those(
    ann: User, key: str, is_deleted: bool, settings: Settings
) -> None:
    set_hitl(settings, SWEEP_SECONDS=30)
    row = await ApiKey.objects.aget()
    async with (
        LocalSocket(AnonymousUser(), headers={"x-api-key": key}) as by_key,
        LocalSocket(ann) as other,
    ):
        await by_key.until_settled()
        if is_deleted:
            await row.adelete()
        else:
            row.revoked_at = row.created_at
            await row.asave()
        assert await by_key.until_closed() == 4401
        await other.until_settled()


async def test_unrelated_changes_of_a_user_keep_the_socket_open(ann: User) -> None:
    async with LocalSocket(ann) as socket:
        await socket.until_settled()
        ann.first_name = "Ann"
        await ann.asave()
        await ann.asave(update_fields=["last_login"])
        await socket.until_settled()
