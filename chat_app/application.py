"""The wrapper that adds the chat's socket and the runtime to a project's ASGI application."""

import logging
import re
from typing import Any, cast

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.asgi import get_script_prefix as script_prefix_of
from django.urls import Resolver404, resolve, set_script_prefix
from django.utils import translation

from chat_app.consumers import ChatConsumer
from chat_app.feed.sweeper import sweeper
from chat_app.identity.request_facts import address_of, request_of
from chat_app.page.conversation import conversation_views
from chat_app.serving.runtime import WithRuntime
from chat_app.settings import ChatSettings
from chat_app.socket import flow_control
from sessions_app.interactions.audit import address
from sessions_app.lifecycle import startup

logger = logging.getLogger(__name__)

# A NUL character: as a raw byte, percent-encoded in a URL, or escaped in a quoted cookie.
NUL = re.compile(rb"\0|%00|\\000")
# A valid path prefix of the site. Daphne also takes the prefix from a header of the client.
PREFIX = re.compile(r"(/[\w.~-]+)*/?", re.ASCII)
# The ASGI extension by which `manage.py check` probes a connection, and the type of the answer: see
# `chat_app.checks.check_asgi`.
PROBE = "chat_app.probe"
REFUSAL_BODY = (
    b"The address or a cookie holds a NUL (U+0000), or the prefix that a header names is no path. "
    b"Remove it and try again.\n"
)


def serve(application: ASGI3Application) -> ASGI3Application:
    """Wrap the application with all layers of the chat, for `chat_app.asgi.with_chat`."""
    flow_control.install()
    # Tell clients to reconnect before the runtime stops.
    startup.before_stop.append(sweeper.close_all)
    return Entrance(WithRuntime(WithSocket(application)))


class Entrance:
    """An ASGI application behind checks of the URL, the cookies and the path prefix.

    Requests with a NUL character in the URL or a cookie are refused, because PostgreSQL rejects
    such values; so are requests with a malformed path prefix. A NUL in a socket's query is allowed:
    the socket ignores the value, and reports it.

    `manage.py check` sends a probe to learn whether connections reach the chat; the class answers
    it.
    """

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection, or refuse it: a request with 400, a handshake with 403."""
        extensions: Any = scope.get("extensions") or {}
        if PROBE in extensions:
            await cast(Any, send)({"type": PROBE})
        elif scope["type"] not in ("http", "websocket") or not _is_hostile(scope):
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await _refuse(scope, receive, send)
        else:
            headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"x-content-type-options", b"nosniff"),
                (b"cache-control", b"no-store"),
            ]
            await send(
                {
                    "type": "http.response.start",
                    "status": 400,
                    "headers": headers,
                    "trailers": False,
                }
            )
            await send({"type": "http.response.body", "body": REFUSAL_BODY, "more_body": False})


def _is_hostile(scope: Any) -> bool:
    cookies = (value for name, value in scope["headers"] if name == b"cookie")
    query = scope["query_string"] if scope["type"] == "http" else b""
    return (
        "\0" in scope["path"]
        or any(NUL.search(part) for part in (query, *cookies))
        or PREFIX.fullmatch(scope.get("root_path") or "") is None
    )


class WithSocket:
    """An application with the chat's WebSockets at the URL named `chat:socket`."""

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application
        self._chat: Any = ChatConsumer.as_asgi()
        self._has_told_of_prefix = False

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection; record the client's address for audit entries of actions in it."""
        if scope["type"] in ("http", "websocket"):
            address.set(lambda: address_of(request_of(scope)))
            prefix = script_prefix_of(scope).rstrip("/")
            self._check_prefix(prefix)
            if not f"{scope['path']}/".startswith(f"{prefix}/"):
                # Put the prefix before the path, as ASGI and Django expect. Daphne leaves out a
                # prefix that a proxy has removed.
                scope = cast(Scope, {**scope, "path": prefix + scope["path"]})
        if scope["type"] != "websocket":
            await self._application(scope, receive, send)
            return
        # Links in WebSocket frames need the URL prefix, which Django sets for HTTP requests only.
        set_script_prefix(script_prefix_of(scope))
        if _is_of_chat(request_of(scope).path_info):
            await self._chat(scope, receive, send)
        elif isinstance(self._application, ASGIHandler):
            await _refuse(scope, receive, send)  # refuse: Django's handler raises for WebSockets
        else:
            await self._application(scope, receive, send)

    def _check_prefix(self, prefix: str) -> None:
        """Log once that PUBLIC_URL lacks the path prefix, which only requests reveal."""
        if not self._has_told_of_prefix and (problem := ChatSettings.load().prefix_problem(prefix)):
            self._has_told_of_prefix = True
            logger.error(problem)


def _is_of_chat(path: str) -> bool:
    """Return whether the URL configuration has the chat's socket at this path, in any language."""
    language = translation.get_language_from_path(path) or settings.LANGUAGE_CODE
    with translation.override(language):
        try:
            return resolve(path).func is conversation_views.socket
        except Resolver404:
            return False


async def _refuse(_: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": None})
