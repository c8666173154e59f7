"""URLs of the chat."""

import re
from urllib.parse import unquote

from django.urls import path, register_converter

from chat_app.api.app import api
from chat_app.api.health import health, live
from chat_app.page import views
from chat_app.page.sidebar import views as menu
from sessions_app.storage.storable import is_storable


class NameConverter:
    """A conversation's name, which is the client's own: any text, as one segment of a path.

    What would divide it, or lead elsewhere, is escaped once more than Django does, so that no proxy
    and no browser sees it: `a/b` is `a%252Fb`.
    """

    regex = "[^/]+"
    _escaped = re.compile(r"[%/\x00-\x1f\x7f]|^\.+$")

    def to_python(self, value: str) -> str:
        """From a segment; a name that no conversation can have is none."""
        name = unquote(value)
        if not is_storable(name):
            raise ValueError
        return name

    def to_url(self, value: object) -> str:
        """To a segment. A new conversation's name is a UUID."""
        return self._escaped.sub(_escape, str(value))


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{ord(character):02X}" for character in found[0])


register_converter(NameConverter, "name")

app_name = "chat"
urlpatterns = [
    path("health", health, name="health"),
    path("live", live, name="live"),
    path("websocket", views.socket, name="socket"),
    path("", views.home, name="home"),
    path("conversations/", views.side, name="conversations"),
    path("c/", views.new, name="new"),
    path("c/<name:conversation_id>/items/", views.items, name="items"),
    path("c/<name:conversation_id>/messages/", views.send, name="send"),
    path("c/<name:conversation_id>/export.<str:form>", views.export, name="export"),
    path("c/<name:conversation_id>/title/", menu.rename, name="rename"),
    path("c/<name:conversation_id>/stop/", views.stop, name="stop"),
    path(
        "c/<name:conversation_id>/prompts/<uuid:interaction>/",
        views.answer,
        name="answer",
    ),
    path("c/<name:conversation_id>/", views.conversation, name="conversation"),
    path("", api.urls),
]
