"""In which language a page is."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from sessions_app.storage import reads

T = TypeVar("T")


class LanguageMiddleware(LocaleMiddleware):
    """Django's, without its two ways to a thread and back: it looks at a cookie and a header."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a request in its language."""
        self.process_request(request)
        response = await cast("Awaitable[HttpResponseBase]", self.get_response(request))
        return self.process_response(request, response)


async def read(function: Callable[[], T]) -> T:
    """As `reads.read`; the thread speaks the language of its caller."""
    language = translation.get_language()

    def speaking() -> T:
        with translation.override(language):
            return function()

    return await reads.read(speaking)
