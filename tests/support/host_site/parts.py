"""Parts that projects write themselves: middlewares, a router, a storage, error pages."""

from collections.abc import Callable

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.core.files.storage import InMemoryStorage
from django.http import HttpRequest, HttpResponse


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


class Router:
    """A router that creates content types and sessions in both databases, all else in one."""

    def db_for_read(self, _: object, **__: object) -> str:
        return "default"

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_: object) -> bool:
        return db == "default" or app_label == "sessions"


class RemoteStorage(InMemoryStorage):
    """A storage like S3's: its files have no local path, and its URLs are signed."""

    def url(self, name: str | None) -> str:
        return f"https://bucket.example/{name}?signature=x"


def not_found(_: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse("Nothing is here.", status=404)


def broken(_: HttpRequest) -> HttpResponse:
    return HttpResponse("It is broken.", status=500)
