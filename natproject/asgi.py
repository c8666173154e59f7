"""The ASGI application: pages, sockets and the runtime in one process."""

import os
import sys

from django.utils.module_loading import import_string

from chat_app.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "natproject.settings")
application = get_asgi_application()
if "daphne.server" in sys.modules:  # Daphne serves this process, and no sockets but the chat's
    import_string("chat_app.socket.daphne_direct.install")()
