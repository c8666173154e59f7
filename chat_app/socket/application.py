"""Puts the chat's socket beside a project's application, and the runtime below both."""

from typing import Any

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    Scope,
    WebSocketCloseEvent,
)
from channels.auth import AuthMiddlewareStack
from daphne.ws_protocol import WebSocketProtocol
from django.core.handlers.asgi import ASGIHandler
from django.urls import Resolver404, resolve

from chat_app.feed.sweeper import sweeper
from chat_app.socket.consumer import ChatConsumer
from sessions_app.operations import startup
from sessions_app.operations.server_lifecycle import WithRuntime


def serve(application: ASGI3Application) -> ASGI3Application:
    """See `chat_app.asgi.with_chat`."""
    WebSocketProtocol.serverClose = _server_close
    # Clients are told to come back before the runtime stops.
    startup.before_stop.append(sweeper.close_all)
    return WithRuntime(WithSocket(application))


class WithSocket:
    """An application whose WebSockets at the URL named `chat:socket` are the chat's."""

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application
        self._socket: Any = AuthMiddlewareStack(ChatConsumer.application)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection."""
        is_socket = scope["type"] == "websocket"
        if is_socket and _is_of_chat(scope):
            await self._socket(scope, receive, send)
        elif is_socket and isinstance(self._application, ASGIHandler):  # it would raise
            await receive()
            await send(WebSocketCloseEvent(type="websocket.close", code=1000, reason=None))
        else:
            await self._application(scope, receive, send)


def _is_of_chat(scope: Any) -> bool:
    try:
        match = resolve(scope["path"].removeprefix(scope.get("root_path", "")))
    except Resolver404:
        return False
    return match.app_names[-1:] == ["chat"] and match.url_name == "socket"


def _server_close(self: WebSocketProtocol, code: int | None = None) -> None:
    """Let Daphne close a socket with the code that the application gave.

    It closes by a method of Autobahn that takes only 1000 and the codes of applications; 1012, the
    code of a server that restarts, is registered for servers (RFC 6455, IANA), and tells clients to
    come back.
    """
    self.sendCloseFrame(code=1000 if code is None else code)
