"""The project's ASGI application, which also prints the output of `manage.py check`."""

from typing import Any

from django.core.management import call_command
from django.utils.module_loading import import_string

from chat_app.asgi import get_asgi_application
from tests.support.host_site import settings

application: Any = get_asgi_application()
if settings.ASGI_WRAPPER:
    application = import_string(settings.ASGI_WRAPPER)(application)
call_command("check")
