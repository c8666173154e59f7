"""The audit log, `hitl.audit`: each sign-in and refusal, with address and reason, without secrets.

Signals report sign-ins by Django's own views, so the log covers every login form of a project.
"""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from chat_app.identity.request_facts import address_of
from chat_app.settings import ChatSettings
from sessions_app.logs import Log

log = Log("hitl.audit")

MAX_INPUT_LENGTH = 150  # maximum characters of user input in a log entry


def connect() -> None:
    user_logged_in.connect(_log_django_sign_in, dispatch_uid="audit.signed_in")
    user_logged_out.connect(_log_django_sign_out, dispatch_uid="audit.signed_out")


def log_sign_in(request: HttpRequest, username: str, method: str) -> None:
    """Log that somebody signed in, with the method."""
    log.info("sign_in", user=username, method=method, **_where(request))


def log_failed_sign_in(request: HttpRequest | None, username: str | None, reason: str) -> None:
    """Log that a user name and a password, or a sign-in link, were refused."""
    log.warning("sign_in.failed", user=_shorten(username or ""), reason=reason, **_where(request))


def log_refused_credentials(request: HttpRequest | None, method: str, reason: str) -> None:
    """Log that a token, a key or a guest's secret was refused."""
    log.warning("credentials.refused", method=method, reason=reason, **_where(request))


def log_event(event: str, request: HttpRequest, **facts: object) -> None:
    """Log another application's event, such as `account.connected`, with the client's address."""
    log.info(event, **facts, **_where(request))


def log_refused_origin(request: HttpRequest) -> None:
    """Log a request with credentials from another site, and the setting that allows it."""
    origin = request.headers.get("Origin", "")
    setting = _setting_of_origin(origin, request)
    log.warning("origin.refused", origin=_shorten(origin), setting=setting, **_where(request))


def log_missing_identity(request: HttpRequest, *, guest: bool) -> None:
    """Log a client without an identity, or with only a guest's token, and the setting to change."""
    if guest and ChatSettings.load().GUESTS:  # only the page's origin can be the reason
        log_refused_origin(request)
        return
    setting = "GUESTS" if guest else "none: it must sign in, or send a token or a key"
    log.warning("identity.missing", setting=setting, **_where(request))


def _setting_of_origin(origin: str, request: HttpRequest) -> str:
    try:
        host = request.get_host()
    except DisallowedHost:
        return "ALLOWED_HOSTS"
    if origin.partition("://")[2] == host:
        return "HTTPS"  # only the scheme differs: a proxy ends TLS
    return "ALLOWED_ORIGINS"


def _log_django_sign_in(request: HttpRequest, user: AbstractBaseUser, **_: object) -> None:
    log_sign_in(request, user.get_username(), getattr(user, "backend", ""))


def _log_django_sign_out(request: HttpRequest, user: AbstractBaseUser | None, **_: object) -> None:
    if user is not None:
        log.info("sign_out", user=user.get_username(), **_where(request))


def _shorten(text: str) -> str:
    """Shorten a stranger's text to one line without terminal control characters."""
    return "".join(
        character if character.isprintable() else "?" for character in text[:MAX_INPUT_LENGTH]
    )


def _where(request: HttpRequest | None) -> dict[str, str]:
    if request is None:
        return {}
    return {"address": address_of(request), "path": _shorten(request.path)}
