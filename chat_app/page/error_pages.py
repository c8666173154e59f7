"""The page for a request that failed here: `handler500` of a project that serves the chat."""

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

from chat_app.wire.parsing import TRY_AGAIN
from sessions_app.storage.faults import is_fault


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 where the database is away or full, with when to come again; else as Django does.

    Django calls it while it handles the error.
    """
    if is_fault(sys.exc_info()[1]):
        page = render_to_string("chat_app/unavailable.html")
        return HttpResponse(page, status=503, headers=TRY_AGAIN)
    return defaults.server_error(request)
