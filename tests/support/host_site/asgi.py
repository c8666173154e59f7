"""The ASGI application of the project. It shows what `manage.py check` shows, in one start."""

from django.core.management import call_command

from chat_app.asgi import get_asgi_application

application = get_asgi_application()
call_command("check")
