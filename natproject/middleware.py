"""The middleware of the project: what may be kept of pages, and their compression."""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.decorators import async_only_middleware

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def no_store(get_response: GetResponse) -> GetResponse:
    """Wrap views in a middleware that forbids keeping responses that do not say what may be
    kept.
    """

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


@async_only_middleware
def compress_pages(get_response: GetResponse) -> GetResponse:
    """Wrap views in a middleware that compresses pages: not streams, which it would hold up.
    Static files are compressed once, when they are collected.

    Django's adds some random bytes to each, as their length would help who guesses at secrets.
    """
    gzip = GZipMiddleware(get_response)

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if is_page and isinstance(response, HttpResponse):
            return gzip.process_response(request, response)
        return response

    return middleware
