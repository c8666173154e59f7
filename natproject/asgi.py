"""The ASGI application: pages, sockets and the runtime in one process."""

import os

from chat_app.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "natproject.settings")
application = get_asgi_application()
