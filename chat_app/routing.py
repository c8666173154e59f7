"""The URL pattern of the chat's socket, for the `URLRouter` of channels in a project."""

from typing import Any

from django.urls import path

from chat_app.consumers import ChatConsumer

# Typed as Any: channels and Django declare different types for applications and routes.
_socket: Any = ChatConsumer.as_asgi()
websocket_urlpatterns: list[Any] = [path("websocket", _socket, name="socket")]
