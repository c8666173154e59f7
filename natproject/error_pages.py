"""The page for a request that failed here."""

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

from chat_app.protocol.parsing import TRY_AGAIN
from sessions_app.storage.faults import is_fault


def server_error(request: HttpRequest) -> HttpResponse:
    """That the database is away or full, and it is worth to try again; else that it is our fault.

    Django calls it while it handles the error.
    """
    if is_fault(sys.exc_info()[1]):
        return HttpResponse(render_to_string("503.html"), status=503, headers=TRY_AGAIN)
    return defaults.server_error(request)
