"""Parts that projects write themselves: middlewares, a router, a storage, pages."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.contrib.auth.models import User
from django.core.files.storage import InMemoryStorage
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse, parse_cookie
from django.utils.translation import gettext


def sync_only(get_response: Callable[[HttpRequest], HttpResponse]) -> object:
    """Return a middleware that Django runs in a thread."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    return middleware


class ProxyUser(RemoteUserMiddleware):
    """A middleware that signs in the user whom a proxy names in each request."""

    header = "HTTP_X_AUTH_REQUEST_USER"

    async def aprocess_request(self, request: HttpRequest) -> None:
        """Call the synchronous method in a thread, so that views see the right user."""
        await sync_to_async(self.process_request)(request)


class CookieUser:
    """A middleware that sets the user whom a site-wide sign-in names, in no session of Django's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if name := request.COOKIES.get("sso"):
            request.user = user_named(name)
        return self._get_response(request)


class CookieSockets:
    """An ASGI application that gives sockets the user whom `CookieUser` gives requests."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        cookies = parse_cookie(dict(scope.get("headers", ())).get(b"cookie", b"").decode())
        if scope["type"] == "websocket" and "sso" in cookies:
            user = await sync_to_async(user_named)(cookies["sso"])
            scope = {**scope, "user": user}
        await self._application(scope, receive, send)


def user_named(name: str) -> User:
    return User.objects.get_or_create(username=name)[0]


class Router:
    """A router that creates content types and sessions in both databases, all else in one."""

    def db_for_read(self, _: object, **__: object) -> str:
        return "default"

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_: object) -> bool:
        return db == "default" or app_label == "sessions"


class ReplicaRouter:
    """A router that reads from a replica all but sessions, which a sign-in reads at once."""

    def db_for_read(self, model: type[Model], **_: object) -> str:
        return "default" if model._meta.app_label == "sessions" else "replica"

    def db_for_write(self, _: object, **__: object) -> str:
        return "default"

    def allow_relation(self, *_: object, **__: object) -> bool:
        return True

    def allow_migrate(self, db: str, *_: object, **__: object) -> bool:
        return db == "default"


class RemoteStorage(InMemoryStorage):
    """A storage like S3's: its files have no local path, and its URLs are signed."""

    def url(self, name: str | None) -> str:
        return f"https://bucket.example/{name}?signature=x"


def words(_: HttpRequest) -> HttpResponse:
    """Return the translations of some labels of the project."""
    return JsonResponse({word: gettext(word) for word in ("Answer", "Conversations", "Send")})


def not_found(_: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse("Nothing is here.", status=404)


def broken(_: HttpRequest) -> HttpResponse:
    return HttpResponse("It is broken.", status=500)
