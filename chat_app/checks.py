"""Django's system checks: whether the project serves the chat, and not only its pages."""

from collections.abc import Sequence

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.management import get_commands
from django.utils.module_loading import import_string

from chat_app.asgi import mounted_applications

# Those of Django, which serve WSGI.
RUNSERVERS = ("django.core", "django.contrib.staticfiles")


def check_asgi(**_: object) -> Sequence[CheckMessage]:
    """Warn of an ASGI application without the chat: no socket would open, and no run go on."""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return []
    import_string(settings.ASGI_APPLICATION)
    if mounted_applications:
        return []
    message = f"{settings.ASGI_APPLICATION} does not serve the chat's sockets and runs."
    hint = (
        "In its module import get_asgi_application from chat_app.asgi, in the place of "
        "django.core.asgi, or end it with: application = with_chat(application)"
    )
    return [Warning(message, hint, id="chat_app.W001")]


def check_runserver(**_: object) -> Sequence[CheckMessage]:
    """Warn of a `runserver` that opens no sockets, where it may be used."""
    if not settings.DEBUG or get_commands().get("runserver") not in RUNSERVERS:
        return []
    message = "Django's own runserver opens no sockets and runs no workflows."
    hint = (
        "Install django-durable-hitl[daphne], put daphne first into INSTALLED_APPS and name your "
        "asgi.py in ASGI_APPLICATION; or serve with uvicorn, and silence this."
    )
    return [Warning(message, hint, id="chat_app.W002")]
