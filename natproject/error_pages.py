"""The page for a request that failed here."""

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

from sessions_app.errors import StorageUnavailable

UNAVAILABLE = (OperationalError, InterfaceError, StorageUnavailable)


def server_error(request: HttpRequest) -> HttpResponse:
    """That the database is away or full, and it is worth to try again; else that it is our fault.

    Django calls it while it handles the error.
    """
    if isinstance(sys.exc_info()[1], UNAVAILABLE):
        return HttpResponse(render_to_string("503.html"), status=503)
    return defaults.server_error(request)
