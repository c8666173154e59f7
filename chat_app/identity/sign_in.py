"""The sign-in, by a request's credentials or an `auth_message`; and limits on password guesses."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import authenticate, get_user, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_login_failed
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest

from chat_app.identity import audit
from chat_app.identity.api_keys import KEY_MARK, key_identity
from chat_app.identity.identities import BadCredentials, Identity
from chat_app.identity.jwt_tokens import jwt_identity
from chat_app.identity.request_facts import address_of, guest_token, request_of
from chat_app.identity.users import guest_user
from chat_app.rates import Rate, Reservation, rate_limits
from chat_app.settings import ChatSettings
from chat_app.wire.client_messages import ApiKeyLogin, BasicLogin, JwtLogin, Login
from sessions_app.errors import TooMany
from sessions_app.json_types import JsonObject
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.workflows.request_context import RequestMetadata

EMPTY: Mapping[str, str] = MappingProxyType({})
# Password hashing is slow on purpose. With one thread, guesses queue up and leave the other cores
# to everybody else.
_password_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="password")


async def find_identity(
    *,
    user: AbstractBaseUser | None = None,
    session: str | None = None,
    headers: Mapping[str, str] = EMPTY,
    cookies: Mapping[str, str] = EMPTY,
    query: Mapping[str, str] = EMPTY,
    request: HttpRequest | None = None,
) -> Identity | None:
    """Return the identity that a request names; None if the request has no credentials.

    `user` and `session` (its key) are those of the Django session; `headers` have lower-case names.
    All of these come from `request`, which also has the client's address.

    Raises:
        BadCredentials: the credentials are wrong. The message may be shown to the client.
        TooMany: too many new guests come from that address.
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
    """Return kind and secret of a request's credentials; of several, the first in precedence."""
    if "x-api-key" in headers:
        return "api_key", headers["x-api-key"].strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = token.strip()
        return ("api_key" if token.startswith(KEY_MARK) else "jwt"), token
    guest = guest_token(cookies, query)
    return ("guest", guest) if guest and ChatSettings.load().GUESTS else None


async def identity_of_scope(scope: JsonObject) -> Identity | None:
    """Return the identity of a socket, and set the session and user of its ASGI scope.

    Call this after the socket is accepted: the client of a rejected socket cannot learn that the
    database is unavailable.

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
    """Return the session with a key, and the session's user. Blocks, and stores nothing.

    Django's `get_user` ends a session with a wrong password hash, and gives a new key to a session
    with a fallback secret's hash, but a socket cannot send its browser a new key. So `get_user`
    gets a copy of the session that is stored nowhere.
    """
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request = HttpRequest()
    request.session = signed_cookies.SessionStore()
    request.session.update(session.items())
    return session, get_user(request)


class _Try(NamedTuple):
    tries: list[tuple[Rate, str]]
    reservation: Reservation

    def is_of(self, tries: list[tuple[Rate, str]]) -> bool:
        """Return whether this attempt counts under the same rates and keys, and is not finished."""
        return self.tries == tries and self.reservation.refund.alive


# The password attempt under way in this context. An attempt counts as a failure in advance, because
# Django signals failures only; after a success, the count is taken back when another attempt starts
# or the context ends.
_current_try: ContextVar[_Try | None] = ContextVar("trying", default=None)
# Attribute of a request: the reason why its password was not checked.
REFUSAL_ATTRIBUTE = "refused_sign_in"


async def sign_in(login: Login, request: HttpRequest) -> Identity:
    """Return the identity that the credentials prove; `request` is the socket's handshake.

    Raises:
        BadCredentials: the credentials are wrong, or their owner has no access.
        TooMany: there were too many wrong passwords.
    """
    try:
        identity = await _identity(login, request)
    except BadCredentials as error:
        if not isinstance(login, BasicLogin):  # a signal receiver logs wrong passwords
            audit.log_refused_credentials(request, login.method, str(error))
        raise
    audit.log_sign_in(request, identity.person.username, login.method)
    return identity


async def _identity(login: Login, request: HttpRequest) -> Identity:
    match login:
        case JwtLogin():
            return await jwt_identity(login.token.get_secret_value())
        case ApiKeyLogin():
            return await key_identity(login.token.get_secret_value())
        case BasicLogin():
            return await _password_identity(login, request)


async def _password_identity(login: BasicLogin, request: HttpRequest) -> Identity:
    loop = asyncio.get_running_loop()
    user = await loop.run_in_executor(_password_executor, _authenticate, login, request)
    if user is None:
        raise BadCredentials("The user name or the password is wrong.")
    return Identity.of(user)


def _authenticate(login: BasicLogin, request: HttpRequest) -> AbstractBaseUser | None:
    _begin_try(request, login.username)  # counts attempts even without PasswordThrottle
    try:
        password = login.password.get_secret_value()
        return authenticate(request, username=login.username, password=password)
    finally:
        _current_try.set(None)
        connection.close()


class PasswordThrottle:
    """An authentication backend, the first in the list, that limits wrong passwords.

    Wrong passwords are counted for a user from one address, for a user, and for an address. Above a
    limit, the backend refuses the check. The class has no users and no other methods.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: object,
    ) -> None:
        """Authenticate nobody; count the attempt, and refuse it if there were too many.

        Raises:
            PermissionDenied: Django must not ask another backend.
        """
        username = username or _name_in(credentials)
        if username is None or password is None:
            return
        try:
            _begin_try(request, username)
        except TooMany as error:
            raise PermissionDenied from error

    async def aauthenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Call `authenticate`, which never blocks, without a thread."""
        self.authenticate(request, **credentials)


def refused_sign_in(request: HttpRequest) -> TooMany | None:
    """Return why this request's password was not checked; None if it was."""
    return getattr(request, REFUSAL_ATTRIBUTE, None)


def connect() -> None:
    """Connect to Django's signal of wrong passwords, so that all sign-in forms are counted."""
    user_login_failed.connect(_count_failure, dispatch_uid="sign_in.failed")


def _count_failure(
    credentials: JsonObject, request: HttpRequest | None = None, **_: object
) -> None:
    username = _name_in(credentials)
    refusal = refused_sign_in(request) if request is not None else None
    audit.log_failed_sign_in(request, username, str(refusal) if refusal else "wrong")
    if refusal is None and username is not None and "password" in credentials:
        tries, under_way = _tries(request, username), _current_try.get()
        if under_way is not None and under_way.is_of(tries):
            under_way.reservation.keep()
        else:
            rate_limits.count(*tries)


def _name_in(credentials: Mapping[str, Any]) -> str | None:
    return credentials.get("username") or credentials.get(get_user_model().USERNAME_FIELD)


def _begin_try(request: HttpRequest | None, username: str) -> None:
    """Count an attempt before the slow check of its password, so that parallel attempts see it.

    Raises:
        TooMany: there were too many attempts; the request keeps the error, too.
    """
    tries, under_way = _tries(request, username), _current_try.get()
    if under_way is not None and under_way.is_of(tries):
        return
    try:
        _current_try.set(_Try(tries, rate_limits.reserve(*tries)))
    except TooMany as error:
        if request is not None:
            setattr(request, REFUSAL_ATTRIBUTE, error)
        raise


def _tries(request: HttpRequest | None, username: str) -> list[tuple[Rate, str]]:
    name = username.casefold()
    address = address_of(request) if request is not None else ""
    return [
        (Rate.PASSWORDS, f"{address} {name}"),
        (Rate.PASSWORDS_USER, name),
        (Rate.PASSWORDS_ADDRESS, address),
    ]
