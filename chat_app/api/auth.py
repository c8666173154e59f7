"""Who a request is from. The order is that of `chat_app.identity`."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from chat_app.api.problems import Failure
from chat_app.identity import Identity, find_identity, origin_allowed
from chat_app.identity.identify import GUEST_COOKIE, GUEST_PARAMETER


class Known(HttpRequest):
    """A request whose sender is known."""

    auth: Identity
    scope: dict[str, Any]  # ASGI's


class Session(AuthBase):
    """The Django session. Browsers send its cookie along for any page, so a POST needs more."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    csrf = True  # the documentation's page sends a token along

    async def __call__(self, request: HttpRequest) -> Identity | None:
        """The signed-in user."""
        user = await request.auser()
        if not isinstance(user, AbstractBaseUser):
            return None
        if check_csrf(request) is not None:
            raise Failure(
                403,
                "user_auth_error",
                "With the session's cookie a POST needs a CSRF token (header X-CSRFToken) and must "
                "come from this site's own pages. Clients that are no page use a token instead.",
            )
        return await _identify(user=user, session=request.session.session_key)


class Bearer(AuthBase):
    """`Authorization: Bearer` with a JWT or an API key."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    async def __call__(self, request: HttpRequest) -> Identity | None:
        """The user whom the token names."""
        return await _of_header(request, "authorization")


class ApiKey(AuthBase):
    """An API key in `X-API-Key`."""

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_name = "X-API-Key"

    async def __call__(self, request: HttpRequest) -> Identity | None:
        """The user to whom the key belongs."""
        return await _of_header(request, "x-api-key")


class Guest(AuthBase):
    """A guest's token, where guests are allowed. No page of another site may use the cookie."""

    openapi_type = "apiKey"
    openapi_in = "query"
    openapi_name = GUEST_PARAMETER

    async def __call__(self, request: HttpRequest) -> Identity | None:
        """The guest."""
        cookies = {GUEST_COOKIE: request.COOKIES.get(GUEST_COOKIE, "")}
        query = {GUEST_PARAMETER: request.GET.get(GUEST_PARAMETER, "")}
        if not any(query.values()) and not origin_allowed(getattr(request, "scope", {})):
            return None
        return await _identify(
            cookies={name: value for name, value in cookies.items() if value},
            query={name: value for name, value in query.items() if value},
        )


async def _of_header(request: HttpRequest, name: str) -> Identity | None:
    value = request.headers.get(name)
    return None if value is None else await _identify(headers={name: value})


async def _identify(
    *,
    user: AbstractBaseUser | None = None,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    session: str | None = None,
) -> Identity | None:
    return await find_identity(
        user=user,
        headers=headers or {},
        cookies=cookies or {},
        query=query or {},
        session=session,
    )
