"""The authentication of requests, in the order of `chat_app.identity`."""

from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from ninja.security.base import AuthBase
from ninja.throttling import BaseThrottle
from ninja.utils import check_csrf

from chat_app.api.problems import Failure
from chat_app.identity import Identity, find_identity, origin_allowed
from chat_app.identity.request_facts import GUEST_PARAMETER, address_of, is_for_another
from chat_app.rates import Rate, rate_limits
from sessions_app.errors import TooMany
from sessions_app.json_types import JsonObject


class AuthenticatedRequest(HttpRequest):
    """A request whose sender is known."""

    auth: Identity
    scope: JsonObject  # ASGI's


class Session(AuthBase):
    """The Django session. Browsers send its cookie along for any page, so a POST needs more."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    csrf = True  # the documentation's page sends a token along

    async def __call__(self, request: HttpRequest) -> Identity | None:
        user = await request.auser()
        if not isinstance(user, AbstractBaseUser):
            return None
        if is_for_another(request, user):
            raise Failure(409, "user_auth_error", "The page was made for another person.")
        request.user = user  # CSRF_FAILURE_VIEW may look at it, here in the event loop
        if check_csrf(request) is not None:
            raise Failure(
                403,
                "user_auth_error",
                "With the session's cookie a POST needs a CSRF token (header X-CSRFToken) and must "
                "come from this site's own pages. Clients other than pages use a token instead.",
            )
        return await find_identity(user=user, session=request.session.session_key)


class _OfHeader(AuthBase):
    header: str

    async def __call__(self, request: HttpRequest) -> Identity | None:
        value = request.headers.get(self.header)
        if value is None:
            return None
        return await find_identity(headers={self.header: value}, request=request)


class Bearer(_OfHeader):
    """The header `Authorization: Bearer` with a JWT or an API key."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    header = "authorization"


class ApiKey(_OfHeader):
    """An API key in `X-API-Key`."""

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_name = "X-API-Key"
    header = "x-api-key"


class Guest(AuthBase):
    """A guest's token, where guests are allowed. No page of another site may use the cookie."""

    openapi_type = "apiKey"
    openapi_in = "query"
    openapi_name = GUEST_PARAMETER

    async def __call__(self, request: HttpRequest) -> Identity | None:
        cookies = request.COOKIES
        if cookies and not origin_allowed(getattr(request, "scope", {})):
            cookies = {}
        return await find_identity(cookies=cookies, query=request.GET.dict(), request=request)


class Rates(BaseThrottle):
    """The limits of requests by user and by address."""

    def __init__(self) -> None:
        self._seconds = 0

    def allow_request(self, request: Any) -> bool:
        """Count a request, if there may be one more."""
        rates = [(Rate.API_ADDRESS, address_of(request))]
        if hasattr(request, "auth"):  # a callback needs none
            rates.insert(0, (Rate.API_USER, request.auth.person.id))
        try:
            rate_limits.take(*rates)
        except TooMany as error:
            self._seconds = error.seconds
            return False
        return True

    def wait(self) -> float:
        """Return the seconds to the next request; read them at once when one is not allowed."""
        return self._seconds
