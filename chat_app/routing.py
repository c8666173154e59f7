"""The chat's socket, for channels' `URLRouter`: the package's own, or one of the project."""

from typing import Any

from django.urls import path

from chat_app.consumers import ChatConsumer

# Each library has separate types for these.
_socket: Any = ChatConsumer.as_asgi()
websocket_urlpatterns: list[Any] = [path("websocket", _socket, name="socket")]
