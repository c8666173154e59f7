"""The middleware of the project: caching and compression of pages."""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.decorators import async_only_middleware

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def no_store(get_response: GetResponse) -> GetResponse:
    """Wrap views in a middleware that sets `no-store` on responses without Cache-Control."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


@async_only_middleware
def compress_pages(get_response: GetResponse) -> GetResponse:
    """Wrap views in a middleware that compresses pages, but not streams, which would be delayed.

    Static files are compressed on collection. Django's middleware adds random bytes to each page,
    because the compressed length would help to guess secrets.
    """
    gzip = GZipMiddleware(get_response)

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if is_page and isinstance(response, HttpResponse):
            return gzip.process_response(request, response)
        return response

    return middleware
