"""The ASGI application of a project that has the chat."""

from typing import cast

from asgiref.typing import ASGI3Application
from django.core.asgi import get_asgi_application as get_django_application
from django.utils.module_loading import import_string


def get_asgi_application() -> ASGI3Application:
    """Set Django up; its pages, the chat's socket, and the runtime beside them.

    In the place of Django's function of this name.
    """
    return with_chat(cast(ASGI3Application, get_django_application()))


def with_chat(application: ASGI3Application) -> ASGI3Application:
    """Add the chat's socket to the application, and run the runtime while it serves.

    Django is set up by then. A WebSocket of another path is the application's own.
    """
    # It imports models, which Django must have set up.
    return cast(ASGI3Application, import_string("chat_app.application.serve")(application))
