"""The limits of what browsers and proxies may keep."""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponseBase
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
