"""What a request brings along, and from where it comes."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.http import is_same_domain

# What would let a reader of a run's metadata act for its user.
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
SECRET_PARAMETERS = frozenset({"session", "sesame"})


def parameters(scope: Mapping[str, Any]) -> dict[str, str]:
    """The query parameters, the last of each name."""
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {name: values[-1] for name, values in query.items()}


def metadata(scope: Mapping[str, Any]) -> dict[str, Any]:
    """What a run may know of the socket that its message came by."""
    return safe_metadata(
        method="GET",
        path=scope["path"],
        headers=headers_of(scope),
        query=parameters(scope),
        client=scope.get("client"),
    )


def safe_metadata(
    *,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]],
    query: Mapping[str, str],
    client: Any = None,
) -> dict[str, Any]:
    """What a run may know of a request: no secret in it. `client` is a pair of host and port."""
    return {
        "method": method,
        "path": path,
        "headers": {name: value for name, value in headers if name not in SECRET_HEADERS},
        "query": {name: value for name, value in query.items() if name not in SECRET_PARAMETERS},
        "client": {"host": client[0], "port": client[1]} if client else None,
    }


def origin_allowed(scope: Mapping[str, Any]) -> bool:
    """Whether the page that opens the socket, if it is one, is ours or a trusted one.

    Same scheme, host and port as this request, or listed in ALLOWED_ORIGINS or
    CSRF_TRUSTED_ORIGINS. What is not a browser sends no Origin.
    """
    origins = [value.lower() for name, value in headers_of(scope) if name == "origin"]
    if not origins:
        return True
    if len(origins) > 1:
        return False
    origin = origins[0]
    return origin == _own_origin(scope) or any(
        _matches(origin, trusted)
        for trusted in (*settings.ALLOWED_ORIGINS, *settings.CSRF_TRUSTED_ORIGINS)
    )


def headers_of(scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headers, names in lower case."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]


def _own_origin(scope: Mapping[str, Any]) -> str | None:
    """As Django sees it: with ALLOWED_HOSTS and the headers of a trusted proxy."""
    request = HttpRequest()
    request.META = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers_of(scope)
    }
    request.META["SERVER_NAME"], request.META["SERVER_PORT"] = scope.get("server") or ("", 0)
    try:
        host = request.get_host()
    except DisallowedHost:
        return None
    secure = request.is_secure() or scope.get("scheme") in ("wss", "https")
    return f"{'https' if secure else 'http'}://{host}".lower()


def _matches(origin: str, trusted: str) -> bool:
    if "*" not in trusted:
        return origin == trusted.lower()
    wanted, given = urlsplit(trusted.lower()), urlsplit(origin)
    return given.scheme == wanted.scheme and is_same_domain(
        given.netloc, wanted.netloc.removeprefix("*")
    )
