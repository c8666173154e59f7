"""The project's ASGI application, which also prints the output of `manage.py check`."""

from django.core.management import call_command

from chat_app.asgi import get_asgi_application

application = get_asgi_application()
call_command("check")
