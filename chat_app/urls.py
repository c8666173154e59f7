"""URLs of the chat, with those of other applications.

An application adds pages below the chat's if its AppConfig names the module of its URL patterns:
`chat_urls = "desk.chat_urls"`. URL names are in the namespace `chat`, unless the module has an
`app_name`; paths must not begin like one of the HTTP API.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from django.apps import apps
from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, URLResolver, include, path, register_converter
from django.urls.converters import StringConverter

from chat_app.api import problems
from chat_app.api.app import api
from chat_app.api.health import health, live
from chat_app.page import brand
from chat_app.page.conversation import conversation_views, file_views
from chat_app.page.inbox import inbox_views as inbox
from chat_app.page.settings import preferences
from sessions_app.storage import atomic_requests
from sessions_app.storage.storable import is_storable


class NameConverter:
    """A path converter for a conversation's name, which is any text of the client.

    Characters that would divide the segment, or change the path, are escaped once more than Django
    does, so that no proxy and no browser interprets them: `a/b` becomes `a%252Fb`.
    """

    regex = "[^/]+"
    _escaped_characters = re.compile(r"[%/\x00-\x1f\x7f]|^\.+$")

    def to_python(self, value: str) -> str:
        """Read a name from a path segment; refuse a text that cannot name a conversation."""
        name = unquote(value)
        if not is_storable(name):
            raise ValueError
        return name

    def to_url(self, value: object) -> str:
        """Format a name as a path segment; the name of a new conversation is passed as a UUID."""
        return self._escaped_characters.sub(
            lambda match: "".join(f"%{ord(character):02X}" for character in match[0]), str(value)
        )


api_urls, app_of_api, namespace_of_api = api.urls
for route in api_urls:
    if isinstance(route, URLPattern):
        route.callback = problems.for_programs(route.callback)


class ApiConverter(StringConverter):
    """A path converter that matches the paths which begin like a path of the HTTP API.

    There are no pages below such a path.
    """

    _beginnings = {str(route.pattern).partition("/")[0] for route in api_urls} - {""}
    regex = f"(?:{'|'.join(map(re.escape, sorted(_beginnings)))})(?:/.*)?"


def _of_applications() -> Iterator[URLResolver]:
    """Yield the URL patterns of applications whose AppConfig names a module in `chat_urls`."""
    for config in apps.get_app_configs():
        if module := getattr(config, "chat_urls", ""):
            yield path("", include(module))


register_converter(NameConverter, "name")
register_converter(ApiConverter, "of_api")

app_name = "chat"
urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health, name="health"),
    path("live", live, name="live"),
    path("websocket", conversation_views.socket, name="socket"),
    path("", conversation_views.home, name="home"),
    path("conversations/", conversation_views.side, name="conversations"),
    path("c/", conversation_views.new, name="new"),
    path("c/<name:conversation_id>/items/", conversation_views.items, name="items"),
    path(
        "c/<name:conversation_id>/texts/<uuid:run>/<int:first>/",
        conversation_views.text,
        name="text",
    ),
    path("c/<name:conversation_id>/messages/", conversation_views.send, name="send"),
    path("c/<name:conversation_id>/files/", file_views.upload, name="upload"),
    path("c/<name:conversation_id>/files/<uuid:file>/", file_views.file, name="file"),
    path("c/<name:conversation_id>/export.<str:form>", conversation_views.export, name="export"),
    path("inbox/", inbox.show, name="inbox"),
    path("inbox/answers/", inbox.answer_several, name="answer_several"),
    path("p/<uuid:interaction>/", inbox.prompt, name="prompt"),
    path("p/<uuid:interaction>/answer/", inbox.answer, name="answer_prompt"),
    path("p/<uuid:interaction>/claim/", inbox.claim, name="claim"),
    path("p/linked/<str:token>/", inbox.show_linked_prompt, name="linked"),
    path("brand.css", brand.style_sheet, name="brand"),
    path("settings/", preferences.show, name="settings"),
    path("c/<name:conversation_id>/title/", conversation_views.rename, name="rename"),
    path("c/<name:conversation_id>/delete/", conversation_views.delete, name="delete"),
    path("c/<name:conversation_id>/restore/", conversation_views.restore, name="restore"),
    path(
        "c/<name:conversation_id>/runs/<uuid:run>/feedback/", file_views.feedback, name="feedback"
    ),
    path("c/<name:conversation_id>/stop/", conversation_views.stop, name="stop"),
    path(
        "c/<name:conversation_id>/prompts/<uuid:interaction>/",
        conversation_views.answer,
        name="answer",
    ),
    path("c/<name:conversation_id>/", conversation_views.conversation, name="conversation"),
    *_of_applications(),
    path("", (api_urls, app_of_api, namespace_of_api)),
    path("<of_api:path>", problems.unknown),
]

atomic_requests.leave_out(urlpatterns)
for view in atomic_requests.views_of(urlpatterns):
    # Exempt the view from Django's LoginRequiredMiddleware: the view itself requires a sign-in, a
    # key, the token of a link, or nothing.
    login_not_required(view)
