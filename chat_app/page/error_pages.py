"""The pages for requests that fail: `handler500` and CSRF_FAILURE_VIEW of a project."""

import sys

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import csrf, defaults

from chat_app.page.common import refuse_another
from chat_app.wire.parsing import TRY_AGAIN
from sessions_app.storage.faults import is_fault


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 with a retry time if the database is away or full; else as Django does.

    Django calls this handler while the error is being handled, so `sys.exc_info()` has the error.
    """
    if is_fault(sys.exc_info()[1]):
        page = render_to_string("chat_app/unavailable.html")
        return HttpResponse(page, status=503, headers=TRY_AGAIN)
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Show the typed text if somebody else has signed in since; else respond as Django does."""
    user = request.user
    refusal = refuse_another(request, user) if isinstance(user, AbstractBaseUser) else None
    return refusal or csrf.csrf_failure(request, reason)
