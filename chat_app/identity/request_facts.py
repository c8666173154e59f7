"""The facts of a request: credentials, language, address and origin."""

from collections.abc import Mapping
from io import BytesIO
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils.http import is_same_domain
from django.utils.translation import get_language_from_request

from chat_app.settings import ChatSettings
from sessions_app.json_types import JsonObject
from sessions_app.workflows.request_context import AsgiScope, RequestMetadata, user_of_request

# Cookies with a guest's token: our own, and that of NAT's web UI, which also sends the token to a
# socket as a query parameter.
GUEST_COOKIES = ("nat-session", "nemo-agent-toolkit-session")
GUEST_PARAMETER = "session"
# Headers with secrets, left out of a run's metadata: a reader could act for the run's user.
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
# A header by which a page's script names the person for whom the page was made.
PERSON_HEADER = "X-For"
STORED_FIELDS = ("method", "url_path", "url_port", "url_scheme", "client_host", "client_port")
SECRET_PARAMETERS = frozenset({GUEST_PARAMETER, "sesame"})


def metadata(scope: AsgiScope) -> JsonObject:
    """Return the facts that a run stores about its message's request or socket, without secrets."""
    request = RequestMetadata.of_scope(scope)
    parts = (("headers", SECRET_HEADERS), ("query_params", SECRET_PARAMETERS))
    public_parts = {
        part: {name: text for name, text in getattr(request, part).items() if name not in secret}
        for part, secret in parts
    }
    return {name: getattr(request, name) for name in STORED_FIELDS} | public_parts


def guest_token(cookies: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the token of a guest's client, if the request has one."""
    tokens = [*(cookies.get(name) for name in GUEST_COOKIES), query.get(GUEST_PARAMETER)]
    return next(filter(None, tokens), None)


async def user_of(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    """Return the request's user, also one whom a middleware of the project put into `request.user`.

    From then on `request.auser` returns the same user, for Django's decorators of async views.
    """
    user: AbstractBaseUser | AnonymousUser = await user_of_request(request)

    async def auser() -> Any:
        return user

    request.auser = auser
    return user


def is_for_another(request: HttpRequest, person: object, *, field: str = "") -> bool:
    """Return whether the requesting page was made for another person than `person`, a primary key.

    A page's script names the person in a header, its forms in a `field`; API clients name nobody.
    """
    named = request.headers.get(PERSON_HEADER) or field
    return named not in ("", str(person))


def request_of(scope: AsgiScope) -> ASGIRequest:
    """Build a Django request from a socket's handshake.

    Django needs a method, and a query that can be decoded; the query is left out.
    """
    return ASGIRequest({**scope, "method": "GET", "query_string": b""}, BytesIO())


def language_of(scope: AsgiScope) -> str:
    """Return the language of a socket's user.

    The path below `i18n_patterns` decides, then the user's choice, then the browser's preference.
    """
    return get_language_from_request(request_of(scope), check_path=True)


def address_of(request: HttpRequest) -> str:
    """Return the address of a request as rate limits count it; "" if the request has none.

    Behind as many proxies as PROXIES says, each of which appends to X-Forwarded-For, the result is
    the address that the first proxy saw; earlier entries are the client's own claims. An IPv6
    address counts as its network (/64), because a client gets a whole network.
    """
    address_text: str = request.META.get("REMOTE_ADDR") or ""
    proxies = ChatSettings.load().PROXIES
    forwarded_addresses = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < proxies <= len(forwarded_addresses):
        address_text = forwarded_addresses[-proxies].strip() or address_text
    # Strip the client's port, which some proxies add: 192.0.2.1:5678, [2001:db8::1]:5678.
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
    """Return whether a socket is opened by our own page or a trusted one, or by no browser.

    Allowed are: the scheme, host and port of this request; the origins in ALLOWED_ORIGINS or
    CSRF_TRUSTED_ORIGINS; a guest's page on this machine. Clients other than browsers send no
    Origin.
    """
    headers = RequestMetadata.of_scope(scope).headers
    if "origin" not in headers:
        return True
    origin = headers["origin"].lower()
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if "," in origin:  # refuse a header with several origins
        return False
    settings_origins = (*ChatSettings.load().ALLOWED_ORIGINS, *settings.CSRF_TRUSTED_ORIGINS)
    trusted_origins = {trusted_origin.lower() for trusted_origin in settings_origins}
    return (
        origin in {own_origin(scope), *trusted_origins}
        or any(_matches(parts, pattern) for pattern in trusted_origins if "*" in pattern)
        or _is_guests_of_this_machine(parts, scope)
    )


def is_encrypted_enough(scope: AsgiScope) -> bool:
    """Return whether a socket uses TLS, if SECURE_SSL_REDIRECT demands TLS.

    The handshake of a socket cannot be redirected, so it is refused without TLS.
    """
    return not settings.SECURE_SSL_REDIRECT or _is_secure(scope)


def own_origin(scope: AsgiScope) -> str | None:
    """Return the site's own origin as Django sees it; None for a host that is not allowed.

    Django checks the host by ALLOWED_HOSTS, and respects the headers of a trusted proxy.
    """
    try:
        host = request_of(scope).get_host()
    except DisallowedHost:
        return None
    return f"{'https' if _is_secure(scope) else 'http'}://{host}".lower()


def _is_guests_of_this_machine(origin: SplitResult, scope: AsgiScope) -> bool:
    """Return whether page, browser and server are all on the loopback host, without a proxy.

    A guest may use such a page. Without the session's cookie, the page cannot act for a user who is
    signed in here.
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
    # Traefik writes wss instead of https into the header, for a socket.
    is_wss = secure_value == "https" and request.META.get(header) == "wss"
    return is_wss or request.is_secure() or scope.get("scheme") in ("wss", "https")


def _matches(origin: SplitResult, pattern: str) -> bool:
    trusted = urlsplit(pattern)
    return origin.scheme == trusted.scheme and is_same_domain(
        origin.netloc, trusted.netloc.removeprefix("*")
    )
