"""The ASGI application of a project with the chat."""

from typing import cast

from asgiref.typing import ASGI3Application
from django.core.asgi import get_asgi_application as get_django_application
from django.utils.module_loading import import_string


def get_asgi_application() -> ASGI3Application:
    """Set Django up, and return its application with the chat's socket and the runtime.

    Projects call this instead of Django's function of the same name.
    """
    return with_chat(cast(ASGI3Application, get_django_application()))


def with_chat(application: ASGI3Application) -> ASGI3Application:
    """Add the chat's socket to the application, and run the runtime while the server serves.

    Django must be set up. WebSockets of other paths go to the application.
    """
    # Import late: the module imports models, which need a configured Django.
    return cast(ASGI3Application, import_string("chat_app.application.serve")(application))
