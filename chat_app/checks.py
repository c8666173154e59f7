"""Django's system checks: whether the project serves the chat with its sockets and runs."""

from collections.abc import Sequence
from contextlib import closing
from contextvars import copy_context
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import storages
from django.core.management import get_commands, load_command_class
from django.core.management.commands.runserver import Command as WsgiRunserver
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from chat_app.settings import ChatSettings
from sessions_app.json_types import JsonObject


@register
def check_asgi(**_: object) -> Sequence[CheckMessage]:
    """Warn if the ASGI application does not pass sockets or lifespan events on to the chat.

    A page would still load, but its messages would reach no run.
    """
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        return []
    application = import_string(path)
    if not any(_is_kept(application, kind) for kind in ("websocket", "lifespan")):
        return []
    message = f"{path} does not serve the chat's sockets and runs."
    hint = (
        "At the end of its module import with_chat from chat_app.asgi, and write: "
        "application = with_chat(application)"
    )
    return [Warning(message, hint, id="chat_app.W001")]


def _is_kept(application: Any, kind: str) -> bool:
    """Return whether the ASGI application fails to pass a connection of this type on to the chat.

    The check has no server, so the application runs only until it first waits. An application that
    waits counts as passing the connection on.
    """
    # Import late, because the module imports models.
    probe = import_string("chat_app.application.PROBE")
    answers: list[JsonObject] = []

    async def receive() -> JsonObject:
        raise EOFError

    async def send(event: JsonObject) -> None:
        answers.append(event)

    scope = {"type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": {}}
    if kind == "websocket":
        scope |= _socket_scope()
    scope["extensions"] = {probe: {}}
    try:
        with closing(application(scope, receive, send)) as connection:
            copy_context().run(connection.send, None)
            return False  # no warning: the application waits, and may still pass the connection on
    except StopIteration:
        pass
    except RuntimeError as error:
        if "event loop" in str(error):
            return False
    except Exception:  # noqa: BLE001, S110 - the project's code may raise any error
        pass
    return {"type": probe} not in answers


def _socket_scope() -> JsonObject:
    """Return the ASGI scope of a socket that a page of the chat would open."""
    hosts = [host for host in settings.ALLOWED_HOSTS if host != "*"] or ["localhost"]
    host = hosts[0].lstrip(".").encode()
    try:
        path = reverse("chat:socket")
    except NoReverseMatch:
        path = "/"
    return {
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", host), (b"origin", b"http://" + host)],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
    }


@register
def check_runserver(**_: object) -> Sequence[CheckMessage]:
    """Warn that `runserver` will serve no sockets, if DEBUG suggests that a developer uses it."""
    if not settings.DEBUG:
        return []
    command = load_command_class(get_commands()["runserver"], "runserver")
    if getattr(type(command), "inner_run", None) is not WsgiRunserver.inner_run:
        return []
    message = "This project's runserver opens no sockets and runs no workflows: it serves WSGI."
    hint = (
        "Install django-durable-hitl[daphne], put daphne first into INSTALLED_APPS and name your "
        "asgi.py in ASGI_APPLICATION; or serve with uvicorn, and silence this."
    )
    return [Warning(message, hint, id="chat_app.W002")]


@register
def check_image_origins(**_: object) -> Sequence[CheckMessage]:
    """Warn of a content security policy that blocks images of IMAGE_ORIGINS."""
    policy = getattr(settings, "CONTENT_SECURITY_POLICY", None) or {}
    policy = policy.get("DIRECTIVES") or getattr(settings, "SECURE_CSP", None) or {}
    sources = policy.get("img-src") or policy.get("default-src")
    origins = ChatSettings.load().IMAGE_ORIGINS
    if sources is None or not (missing := [one for one in origins if one not in sources]):
        return []
    message = f"Browsers load no image of {missing[0]}, which IMAGE_ORIGINS allows."
    hint = "Add it to img-src of CONTENT_SECURITY_POLICY or SECURE_CSP, or remove it."
    return [Warning(message, hint, id="chat_app.W003")]


@register
def check_public_url(**_: object) -> Sequence[CheckMessage]:
    """Report a PUBLIC_URL without the site's path prefix, which would break links in mails."""
    problem = ChatSettings.load().prefix_problem((settings.FORCE_SCRIPT_NAME or "").rstrip("/"))
    return [Error(problem, id="chat_app.E002")] if problem else []


@register
def check_string_if_invalid(**_: object) -> Sequence[CheckMessage]:
    """Report the template option string_if_invalid: its text would be written into form fields."""
    engines: list[JsonObject] = settings.TEMPLATES
    if not any(engine.get("OPTIONS", {}).get("string_if_invalid") for engine in engines):
        return []
    message = "The option string_if_invalid of TEMPLATES writes into the fields of forms."
    return [Error(message, "Remove it; Django's admin does not work with it.", id="chat_app.E003")]


@register
def check_request_in_templates(**_: object) -> Sequence[CheckMessage]:
    """Report TEMPLATES without the context processor `request`, which gives pages their user."""
    processor = "django.template.context_processors.request"
    engines: list[JsonObject] = settings.TEMPLATES
    if any(processor in each.get("OPTIONS", {}).get("context_processors", ()) for each in engines):
        return []
    message = "The pages of the chat need the request in their templates."
    hint = f"Add {processor!r} to the option context_processors of TEMPLATES."
    return [Error(message, hint, id="chat_app.E004")]


@register
def check_modules(**_: object) -> Sequence[CheckMessage]:
    """Warn if static files are hashed, but the scripts' imports name the files without hashes.

    WhiteNoise may have deleted the unhashed files; otherwise each script is loaded twice, and a new
    script may import old ones from caches.
    """
    storage = storages["staticfiles"]
    adds_hashes = isinstance(storage, ManifestFilesMixin)
    if not adds_hashes or getattr(storage, "support_js_module_import_aggregation", False):
        return []
    message = "Scripts import each other by names without the hashes that collectstatic adds."
    hint = (
        "Set support_js_module_import_aggregation = True in a subclass of the storage of static "
        "files, as docs/install.md shows, and run collectstatic again."
    )
    return [Warning(message, hint, id="chat_app.W004")]


@register
def check_brand(**_: object) -> Sequence[CheckMessage]:
    """Report a logo in BRAND that is no static file, because every page would fail."""
    brand = ChatSettings.load().BRAND
    missing = [path for path in (brand.mark, brand.mark_needs_you) if path and not _is_file(path)]
    hint = "Put it into the folder static/ of an application, or name a file that is in one."
    return [
        Error(f"BRAND names {path!r}, which is no static file.", hint, id="chat_app.E001")
        for path in missing
    ]


def _is_file(path: str) -> bool:
    try:
        return finders.find(path) is not None
    except SuspiciousFileOperation:  # no static file: the path leads out of the folder
        return False
