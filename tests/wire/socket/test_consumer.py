"""The socket as channels knows it: routed by a project's own router, without a server of ours."""

from collections.abc import Iterator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import path
from pytest_django import Settings

from chat_app.routing import websocket_urlpatterns
from sessions_app.models import Conversation, Run
from sessions_app.notify import groups
from sessions_app.storage import reads
from tests.wire.local_socket import content

pytestmark = pytest.mark.django_db(transaction=True)

ROUTER: Any = URLRouter


async def connected(ann: Any) -> WebsocketCommunicator:
    chat: Any = URLRouter(websocket_urlpatterns)
    router = ROUTER([path("ws/chat/", chat)])
    address = "/ws/chat/websocket?extended=true&conversation_id=c"
    socket = WebsocketCommunicator(router, address, [(b"host", b"testserver")])
    scope: Any = socket.scope
    scope |= {"user": ann, "session": None}
    accepted, _ = await socket.connect(timeout=5)
    assert accepted
    return socket


async def until(socket: WebsocketCommunicator, wanted: str) -> Any:
    while (frame := await socket.receive_json_from(timeout=10))["type"] != wanted:
        pass
    return frame


async def test_what_was_said_right_before_leaving_still_counts(ann: Any) -> None:
    socket = await connected(ann)
    for _ in range(3):
        await socket.send_json_to({"type": "user_message", **content("ask()")})
    await socket.disconnect(timeout=10)
    assert await Run.objects.acount() == 3


@pytest.fixture
def _own_layer(settings: Settings) -> Iterator[None]:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    groups.channel_layer.cache_clear()
    yield
    groups.channel_layer.cache_clear()


@pytest.mark.usefixtures("_own_layer")
async def test_a_socket_is_in_the_group_of_its_conversation(ann: Any) -> None:
    """No other message is passed on there."""
    socket = await connected(ann)
    await socket.send_json_to({"type": "user_message", **content("ask()")})
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
