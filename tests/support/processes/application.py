"""The application in a fork server: imported and set up once; each forked process takes new
settings.
"""

import asyncio
import importlib
import sys
from typing import Any

import django
from django.conf import settings
from django.core.signals import setting_changed
from django.db import connections
from django.urls import get_resolver

REACTOR = "twisted.internet.reactor"
# Modules that the first request would import otherwise, and the module that forgets old settings.
MODULES = ("chat_app.application", "daphne.cli", "uvicorn.main", "django.test.signals")


def load() -> None:
    """Import the application, and everything that its pages and sockets need."""
    django.setup()
    for name in MODULES:
        importlib.import_module(name)
    get_resolver().url_patterns  # noqa: B018 - imports them


def renew() -> None:
    """Make this forked process like a freshly started one: new event loop, settings of its
    environment.
    """
    _renew_reactor()
    lazy: Any = settings  # type checkers see the wrapped settings object only
    before = vars(lazy._wrapped)
    for name in ("natproject.settings", "tests.support.settings"):
        importlib.reload(sys.modules[name])
    lazy._setup()
    vars(connections).clear()  # no connection is open
    connections.__init__()  # type: ignore[misc]
    for name, value in vars(lazy._wrapped).items():
        if name.isupper() and name != "DATABASES" and value != before.get(name):
            setting_changed.send(None, setting=name, value=value, enter=True)


def _renew_reactor() -> None:
    from twisted.internet import asyncioreactor  # noqa: PLC0415 - imports a reactor

    old = sys.modules.pop(REACTOR)
    asyncioreactor.install(asyncio.new_event_loop())
    new: Any = sys.modules[REACTOR]
    for module in list(sys.modules.values()):
        for name in [name for name, value in vars(module).items() if value is old]:
            setattr(module, name, new)
