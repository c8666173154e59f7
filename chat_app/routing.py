"""Where the sockets are."""

from typing import Any

from django.urls import path

from chat_app.consumers import ChatConsumer

# Django's `path` is typed for views.
chat_socket: Any = ChatConsumer.application

websocket_urlpatterns = [path("websocket", chat_socket)]
