"""The socket as channels knows it: routed by a project's own router, without a server of ours."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import path
from pytest_django import Settings

from chat_app.routing import websocket_urlpatterns
from sessions_app.models import Conversation
from sessions_app.notify import groups
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import make_user
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import content

pytestmark = pytest.mark.django_db(transaction=True)

ROUTER: Any = URLRouter


@workflow(name="t_routed", title="Routed")
async def routed(_: Message, context: Context) -> AsyncGenerator[str, None]:
    yield f"Hello, {(await context.ask(TextPrompt(text='name?'))).text}!"


async def connected() -> WebsocketCommunicator:
    """Return a socket of `ann` on her conversation "c"."""
    chat: Any = URLRouter(websocket_urlpatterns)
    router = ROUTER([path("ws/chat/", chat)])
    address = "/ws/chat/websocket?extended=true&conversation_id=c"
    socket = WebsocketCommunicator(router, address, [(b"host", b"testserver")])
    scope: Any = socket.scope
    scope |= {"user": await reads.read(make_user, "ann"), "session": None}
    accepted, _ = await socket.connect(timeout=5)
    assert accepted
    return socket


async def until(socket: WebsocketCommunicator, wanted: str) -> Any:
    """Return the next frame of a type."""
    while (frame := await socket.receive_json_from(timeout=10))["type"] != wanted:
        pass
    return frame


async def test_a_message_is_prompted_for_and_answered() -> None:
    async with live_hosting("t_routed"):
        socket = await connected()
        await socket.send_json_to({"type": "user_message", **content("hi")})
        prompt = await until(socket, "system_interaction_message")
        answer = {"type": "user_interaction_message", "interaction_id": prompt["id"]}
        await socket.send_json_to({**answer, **content("Ann")})
        assert (await until(socket, "system_response_message"))["content"]["text"] == "Hello, Ann!"
        await socket.disconnect()


async def test_a_socket_is_in_the_group_of_its_conversation(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project reaches the group by its own channel layer: no other message is passed on."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    groups.channel_layer.cache_clear()
    try:
        async with live_hosting("t_routed"):
            socket = await connected()
            await socket.send_json_to({"type": "user_message", **content("hi")})
            await until(socket, "system_interaction_message")
            conversation = await reads.read(Conversation.objects.get)
            name = groups.group_name(conversation.pk)
            layer = get_channel_layer()
            assert layer is not None
            await layer.group_send(name, {"type": "of.the.project"})
            await reads.read(Conversation.objects.update, deleted_at=conversation.created_at)
            await layer.group_send(name, {"type": "conversation.look"})
            assert "deleted" in (await until(socket, "error_message"))["content"]["message"]
            await socket.disconnect()
    finally:
        groups.channel_layer.cache_clear()
