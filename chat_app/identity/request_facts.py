"""The facts of a request: what it brings along, and where it comes from."""

from collections.abc import Mapping
from io import BytesIO
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils.http import is_same_domain
from django.utils.translation import get_language_from_request

from chat_app.settings import ChatSettings
from sessions_app.json_types import JsonObject
from sessions_app.workflows.request_context import AsgiScope, RequestMetadata

# Ours, and that of the peer's web UI, which sends the same token as the parameter on its socket.
GUEST_COOKIES = ("nat-session", "nemo-agent-toolkit-session")
GUEST_PARAMETER = "session"
# What would let a reader of a run's metadata act for its user.
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
# In the requests of a page's script: the person for whom the page was made.
PERSON_HEADER = "X-For"
STORED_FIELDS = ("method", "url_path", "url_port", "url_scheme", "client_host", "client_port")
SECRET_PARAMETERS = frozenset({GUEST_PARAMETER, "sesame"})


def metadata(scope: AsgiScope) -> JsonObject:
    """Return what a run may know of the request or socket of its message: no secrets."""
    request = RequestMetadata.of_scope(scope)
    parts = (("headers", SECRET_HEADERS), ("query_params", SECRET_PARAMETERS))
    public_parts = {
        part: {name: text for name, text in getattr(request, part).items() if name not in secret}
        for part, secret in parts
    }
    return {name: getattr(request, name) for name in STORED_FIELDS} | public_parts


def guest_token(cookies: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the token that a guest's client sends along, if there is one."""
    tokens = [*(cookies.get(name) for name in GUEST_COOKIES), query.get(GUEST_PARAMETER)]
    return next(filter(None, tokens), None)


def is_for_another(request: HttpRequest, user: AbstractBaseUser, *, field: str = "") -> bool:
    """Return whether the page that asks was made for another person than the signed-in `user`.

    The page's script names the person in a header, its forms in a `field`; programs name nobody.
    """
    named = request.headers.get(PERSON_HEADER) or field
    return named not in ("", str(user.pk))


def request_of(scope: AsgiScope) -> ASGIRequest:
    """Build a request from a handshake: Django wants a method, and a query that it can decode."""
    return ASGIRequest({**scope, "method": "GET", "query_string": b""}, BytesIO())


def language_of(scope: AsgiScope) -> str:
    """Return the language of who opens a socket: that of the path below `i18n_patterns`, else as
    they have chosen, or as their browser asks.
    """
    return get_language_from_request(request_of(scope), check_path=True)


def address_of(request: HttpRequest) -> str:
    """Return the address of a request as limits count it; "" if it does not say.

    Behind PROXIES each of which adds to X-Forwarded-For, that is what the first of them saw: what
    stands before it is the client's own. Of IPv6 it is the network (/64), as people get whole ones.
    """
    address_text: str = request.META.get("REMOTE_ADDR") or ""
    proxies = ChatSettings.load().PROXIES
    forwarded_addresses = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < proxies <= len(forwarded_addresses):
        address_text = forwarded_addresses[-proxies].strip() or address_text
    # Some proxies write the port of the client, too: 192.0.2.1:5678, [2001:db8::1]:5678.
    has_port = address_text.startswith("[") or address_text.count(":") == 1
    try:
        host = urlsplit(f"//{address_text}").hostname if has_port else address_text
        address = ip_address(host or "")
    except ValueError:
        return address_text
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


def origin_allowed(scope: AsgiScope) -> bool:
    """Return whether the page that opens the socket, if it is one, is ours or a trusted one.

    Same scheme, host and port as this request, or listed in ALLOWED_ORIGINS or
    CSRF_TRUSTED_ORIGINS; or a guest's of this machine. What is not a browser sends no Origin.
    """
    headers = RequestMetadata.of_scope(scope).headers
    if "origin" not in headers:
        return True
    origin = headers["origin"].lower()
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if "," in origin:  # more than one
        return False
    settings_origins = (*ChatSettings.load().ALLOWED_ORIGINS, *settings.CSRF_TRUSTED_ORIGINS)
    trusted_origins = {trusted_origin.lower() for trusted_origin in settings_origins}
    return (
        origin in {own_origin(scope), *trusted_origins}
        or any(_matches(parts, pattern) for pattern in trusted_origins if "*" in pattern)
        or _is_guests_of_this_machine(parts, scope)
    )


def is_encrypted_enough(scope: AsgiScope) -> bool:
    """Return whether a socket came over TLS, if it must: a handshake cannot be redirected."""
    return not settings.SECURE_SSL_REDIRECT or _is_secure(scope)


def own_origin(scope: AsgiScope) -> str | None:
    """Return the site's own origin as Django sees it; None for a host that is not allowed.

    ALLOWED_HOSTS and the headers of a trusted proxy count.
    """
    try:
        host = request_of(scope).get_host()
    except DisallowedHost:
        return None
    return f"{'https' if _is_secure(scope) else 'http'}://{host}".lower()


def _is_guests_of_this_machine(origin: SplitResult, scope: AsgiScope) -> bool:
    """Return whether page, browser and server are all on the loopback host, with no proxy between.

    Such a page may be a guest; it gets nothing of who is signed in here.
    """
    chat = ChatSettings.load()
    site_origin = own_origin(scope)
    if not chat.GUESTS or chat.PROXIES or site_origin is None:
        return False
    if settings.SESSION_COOKIE_NAME in RequestMetadata.of_scope(scope).cookies:
        return False
    browser, _ = scope.get("client") or ("", 0)
    hosts = (browser, origin.hostname, urlsplit(site_origin).hostname)
    return all(map(_is_loopback, hosts))


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _is_secure(scope: AsgiScope) -> bool:
    request = request_of(scope)
    header, secure_value = getattr(settings, "SECURE_PROXY_SSL_HEADER", None) or ("", "")
    # What Traefik writes for a socket, in the place of https.
    is_wss = secure_value == "https" and request.META.get(header) == "wss"
    return is_wss or request.is_secure() or scope.get("scheme") in ("wss", "https")


def _matches(origin: SplitResult, pattern: str) -> bool:
    trusted = urlsplit(pattern)
    return origin.scheme == trusted.scheme and is_same_domain(
        origin.netloc, trusted.netloc.removeprefix("*")
    )
