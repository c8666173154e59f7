"""Where the sockets are."""

from django.urls import path

from chat_app.consumers import ChatConsumer

websocket_urlpatterns = [path("websocket", ChatConsumer.as_asgi())]
