"""The ASGI application: pages, sockets and the runtime in one process."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "natproject.settings")
pages = get_asgi_application()

# Only now: these import models, which Django must have set up.
from chat_app.routing import websocket_urlpatterns  # noqa: E402
from natproject.closing import allow_registered_codes  # noqa: E402
from natproject.lifecycle import WithRuntime  # noqa: E402

allow_registered_codes()

sockets = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
application = WithRuntime(ProtocolTypeRouter({"http": pages, "websocket": sockets}))
