"""The authentication methods of the HTTP API, in the order that `chat_app.identity` gives."""

from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from ninja.security.base import AuthBase
from ninja.throttling import BaseThrottle
from ninja.utils import check_csrf

from chat_app.api.problems import Failure
from chat_app.identity import Identity, find_identity, origin_allowed
from chat_app.identity.request_facts import GUEST_PARAMETER, address_of, is_for_another, user_of
from chat_app.rates import Rate, rate_limits
from sessions_app.errors import TooMany
from sessions_app.json_types import JsonObject


class AuthenticatedRequest(HttpRequest):
    """A request with an authenticated sender."""

    auth: Identity
    scope: JsonObject  # the connection's ASGI scope


class SessionAuth(AuthBase):
    """The authentication by session. Any page can send the cookie, so POST needs a CSRF token."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    csrf = True  # makes the page of the API documentation send a CSRF token

    async def __call__(self, request: HttpRequest) -> Identity | None:
        user = await user_of(request)
        if not isinstance(user, AbstractBaseUser):
            return None
        if is_for_another(request, user.pk):
            raise Failure(409, "user_auth_error", "The page was made for another person.")
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


class BearerAuth(_OfHeader):
    """The authentication by a JWT or an API key in the header `Authorization: Bearer`."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    header = "authorization"


class ApiKeyAuth(_OfHeader):
    """The authentication by an API key in the header `X-API-Key`."""

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_name = "X-API-Key"
    header = "x-api-key"


class GuestAuth(AuthBase):
    """The authentication by a guest's token, if allowed; never from another site's page."""

    openapi_type = "apiKey"
    openapi_in = "query"
    openapi_name = GUEST_PARAMETER

    async def __call__(self, request: HttpRequest) -> Identity | None:
        cookies = request.COOKIES
        if cookies and not origin_allowed(getattr(request, "scope", {})):
            cookies = {}
        return await find_identity(cookies=cookies, query=request.GET.dict(), request=request)


class Rates(BaseThrottle):
    """The rate limits of requests by user and by address."""

    def __init__(self) -> None:
        self._seconds = 0

    def allow_request(self, request: Any) -> bool:
        """Count a request and return True, or return False if a limit is reached."""
        rates = [(Rate.API_ADDRESS, address_of(request))]
        if hasattr(request, "auth"):  # count by user, except on callback URLs
            rates.insert(0, (Rate.API_USER, request.auth.person.id))
        try:
            rate_limits.take(*rates)
        except TooMany as error:
            self._seconds = error.seconds
            return False
        return True

    def wait(self) -> float:
        """Return the seconds until the next allowed request; call this after `allow_request`."""
        return self._seconds
