"""Who a connection is, and from where it comes."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.http import is_same_domain

from sessions_app.people import Person

Scope = dict[str, Any]

# What would let a reader of a run's metadata act for its user.
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
SECRET_PARAMETERS = frozenset({"session", "sesame"})


def person(scope: Scope) -> Person | None:
    """The signed-in user of the Django session; None if there is none."""
    user = scope.get("user")
    return Person.of(user) if user is not None and user.is_authenticated else None


def parameters(scope: Scope) -> dict[str, str]:
    """The query parameters, the last of each name."""
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {name: values[-1] for name, values in query.items()}


def metadata(scope: Scope) -> dict[str, Any]:
    """What a run may know of the request that its message came with."""
    client = scope.get("client")
    return {
        "method": "GET",
        "path": scope["path"],
        "headers": {name: value for name, value in _headers(scope) if name not in SECRET_HEADERS},
        "query": {
            name: value
            for name, value in parameters(scope).items()
            if name not in SECRET_PARAMETERS
        },
        "client": {"host": client[0], "port": client[1]} if client else None,
    }


def origin_allowed(scope: Scope) -> bool:
    """Whether the page that opens the socket, if it is one, is ours or a trusted one.

    Same scheme, host and port as this request, or listed in CSRF_TRUSTED_ORIGINS. What is not a
    browser sends no Origin.
    """
    origins = [value.lower() for name, value in _headers(scope) if name == "origin"]
    if not origins:
        return True
    if len(origins) > 1:
        return False
    origin = origins[0]
    return origin == _own_origin(scope) or any(
        _matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS
    )


def _headers(scope: Scope) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]


def _own_origin(scope: Scope) -> str | None:
    """As Django sees it: with ALLOWED_HOSTS and the headers of a trusted proxy."""
    request = HttpRequest()
    request.META = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in _headers(scope)
    }
    request.META["SERVER_NAME"], request.META["SERVER_PORT"] = scope.get("server") or ("", 0)
    try:
        host = request.get_host()
    except DisallowedHost:
        return None
    secure = request.is_secure() or scope.get("scheme") == "wss"
    return f"{'https' if secure else 'http'}://{host}".lower()


def _matches(origin: str, trusted: str) -> bool:
    if "*" not in trusted:
        return origin == trusted.lower()
    wanted, given = urlsplit(trusted.lower()), urlsplit(origin)
    return given.scheme == wanted.scheme and is_same_domain(
        given.netloc, wanted.netloc.removeprefix("*")
    )
