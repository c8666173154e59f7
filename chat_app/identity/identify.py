"""The identity of a request or of a connection, from what came with it."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from chat_app.identity import audit
from chat_app.identity.api_keys import MARK, key_identity
from chat_app.identity.identities import BadCredentials, Identity
from chat_app.identity.jwt_tokens import jwt_identity
from chat_app.identity.request_facts import address_of, guest_token, request_of
from chat_app.identity.users import guest_user
from chat_app.settings import ChatSettings
from sessions_app.json_types import JsonObject
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.workflows.request_context import RequestMetadata

EMPTY: Mapping[str, str] = MappingProxyType({})


async def find_identity(
    *,
    user: AbstractBaseUser | None = None,
    session: str | None = None,
    headers: Mapping[str, str] = EMPTY,
    cookies: Mapping[str, str] = EMPTY,
    query: Mapping[str, str] = EMPTY,
    request: HttpRequest | None = None,
) -> Identity | None:
    """Return the identity that a request names; None if it names none.

    `user` and `session` (its key) are those of the Django session; `headers` have lower-case names.
    `request` is what all that came with: it says from where.

    Raises:
        BadCredentials: credentials are there, and they are wrong. Safe to be shown.
        TooMany: new guests come from that address.
    """
    if user is not None and user.is_authenticated:
        return Identity.of(user, session=session)
    credentials = _first_credentials(headers, cookies, query)
    if credentials is None:
        return None
    method, secret = credentials
    try:
        match method:
            case "api_key":
                return await key_identity(secret)
            case "jwt":
                return await jwt_identity(secret)
        address = address_of(request) if request is not None else ""
        return Identity(Person.of(await guest_user(secret, address=address)))
    except BadCredentials as error:
        audit.log_refused_credentials(request, method, str(error))
        raise


def _first_credentials(
    headers: Mapping[str, str], cookies: Mapping[str, str], query: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the first credentials that are there: their kind, and the secret."""
    if "x-api-key" in headers:
        return "api_key", headers["x-api-key"].strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = token.strip()
        return ("api_key" if token.startswith(MARK) else "jwt"), token
    guest = guest_token(cookies, query)
    return ("guest", guest) if guest and ChatSettings.load().GUESTS else None


async def identity_of_scope(scope: JsonObject) -> Identity | None:
    """Return the identity of a socket from its ASGI scope, which gets its session and its user.

    Call it only once the socket is accepted: a client of a rejected socket cannot be told that the
    database is away.

    Raises:
        BadCredentials, TooMany: as `find_identity`.
    """
    request = RequestMetadata.of_scope(scope)
    session_key = request.cookies.get(settings.SESSION_COOKIE_NAME)
    if "user" not in scope and session_key:
        scope["session"], scope["user"] = await reads.read(_read_session, session_key)
    session = scope.get("session")
    identity = await find_identity(
        user=scope.get("user"),
        headers=request.headers,
        cookies=request.cookies,
        query=request.query_params,
        session=session.session_key if session is not None else None,
        request=request_of(scope),
    )
    if identity is None and settings.SESSION_COOKIE_NAME in request.cookies:
        audit.log_missing_identity(request_of(scope), guest=False)
        raise BadCredentials("not signed in any more")
    return identity


def _read_session(key: str) -> tuple[SessionBase, AbstractBaseUser | AnonymousUser]:
    """Return the session of a key, and its user. Blocks, and stores nothing.

    Django's `get_user` ends a session that fails, and gives another key to one that holds by a
    fallback secret, which a socket cannot tell its browser. So it gets a copy that has no store.
    """
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request = HttpRequest()
    request.session = signed_cookies.SessionStore()
    request.session.update(session.items())
    return session, get_user(request)
