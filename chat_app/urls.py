"""URLs of the chat. A conversation's name is the client's own: any text, also with slashes."""

from django.urls import path

from chat_app.api.app import api
from chat_app.api.health import health
from chat_app.page import views

app_name = "chat"
urlpatterns = [
    path("health", health, name="health"),
    path("websocket", views.socket, name="socket"),
    path("", views.home, name="home"),
    path("conversations/", views.side, name="conversations"),
    path("c/", views.new, name="new"),
    path("c/<path:conversation_id>/items/", views.items, name="items"),
    path("c/<path:conversation_id>/messages/", views.send, name="send"),
    path("c/<path:conversation_id>/stop/", views.stop, name="stop"),
    path(
        "c/<path:conversation_id>/prompts/<uuid:interaction>/",
        views.answer,
        name="answer",
    ),
    path("c/<path:conversation_id>/", views.conversation, name="conversation"),
    path("", api.urls),
]
