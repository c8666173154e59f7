"""The identity of a request or of a connection, from what came with it."""

from collections.abc import Mapping
from types import MappingProxyType

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser

from chat_app.identity.api_keys import MARK, key_identity
from chat_app.identity.errors import BadCredentials
from chat_app.identity.identities import Identity
from chat_app.identity.jwt_tokens import jwt_identity
from chat_app.identity.users import guest_user
from chat_app.settings import ChatSettings
from sessions_app.models.people import Person
from sessions_app.workflows.request_context import AsgiScope, RequestMetadata

GUEST_COOKIE = "nat-session"
GUEST_PARAMETER = "session"
NONE: Mapping[str, str] = MappingProxyType({})


async def find_identity(
    *,
    user: AbstractBaseUser | None = None,
    session: str | None = None,
    headers: Mapping[str, str] = NONE,
    cookies: Mapping[str, str] = NONE,
    query: Mapping[str, str] = NONE,
) -> Identity | None:
    """The identity that a request gives; None if it says nothing of that.

    `user` and `session` (its key) are those of the Django session; `headers` have lower-case names.

    Raises:
        BadCredentials: credentials are there, and they are wrong. Safe to be shown.
    """
    if user is not None and user.is_authenticated:
        return Identity.of(user, session=session)
    if "x-api-key" in headers:
        return await key_identity(headers["x-api-key"].strip())
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = token.strip()
        return await (key_identity(token) if token.startswith(MARK) else jwt_identity(token))
    guest = cookies.get(GUEST_COOKIE) or query.get(GUEST_PARAMETER)
    if guest and ChatSettings.load().GUESTS:
        return Identity(Person.of(await guest_user(guest)))
    return None


async def identity_of_scope(scope: AsgiScope) -> Identity | None:
    """The identity of a socket, from its ASGI scope.

    Raises:
        BadCredentials: as `find_identity`.
    """
    came = RequestMetadata.of_scope(scope)
    session = scope.get("session")
    found = await find_identity(
        user=scope.get("user"),
        headers=came.headers,
        cookies=came.cookies,
        query=came.query,
        session=session.session_key if session is not None else None,
    )
    if found is None and settings.SESSION_COOKIE_NAME in came.cookies:
        raise BadCredentials("not signed in any more")
    return found
