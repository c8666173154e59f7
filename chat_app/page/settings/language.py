"""The language of a page."""

from collections.abc import Awaitable
from typing import cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware


class LanguageMiddleware(LocaleMiddleware):
    """Django's LocaleMiddleware as a coroutine: reading a cookie and a header needs no thread."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a request in its language."""
        self.process_request(request)
        response = await cast("Awaitable[HttpResponseBase]", self.get_response(request))
        return self.process_response(request, response)
