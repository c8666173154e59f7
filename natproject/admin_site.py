"""The admin of the project: Django's, with an error page for lookups that the database refuses."""

from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.db import DataError, OperationalError
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.utils.translation import pgettext_lazy

# Longest query string, in characters: each word of a search nests the SQL expression deeper.
MAX_QUERY = 1000
TEXT = "text/plain; charset=utf-8"
TOO_LONG = f"The address is too long: at most {MAX_QUERY:,} characters may follow its path.\n"
NO_PATTERNS = (
    "Lists cannot be filtered by a regular expression. Use their filters or their search.\n"
)
# Lookups that evaluate a regular expression, on SQLite in this process, where it could block all.
PATTERNS = {"regex", "iregex"}
REFUSAL_TEXT = "The database cannot look that up: a value is too large, or no valid pattern.\n"


# Models that operators need most, in the order of the index.
FIRST_APP = "sessions_app"
FIRST_MODELS = (
    "HostLease",
    "Run",
    "Interaction",
    "Conversation",
    "AuditEntry",
    "PendingSignal",
    "Process",
)


class Site(AdminSite):
    """The admin site, which replies 400, not 500, to an address with an impossible lookup."""

    site_header = site_title = pgettext_lazy("hitl", "Operations")
    index_title = pgettext_lazy("hitl", "Overview")

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap a view in Django's checks, and then in checks of the query string."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def checked_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if len(request.META.get("QUERY_STRING", "")) > MAX_QUERY:
                return HttpResponse(TOO_LONG, status=414, content_type=TEXT)
            if any(PATTERNS & set(name.split(LOOKUP_SEP)) for name in request.GET):
                return HttpResponse(NO_PATTERNS, status=400, content_type=TEXT)
            try:
                answer: HttpResponse = inner(request, *args, **kwargs)
            except (DataError, OverflowError, OperationalError) as error:
                if not _is_of_the_query(error):
                    raise
                return HttpResponse(REFUSAL_TEXT, status=400, content_type=TEXT)
            return answer

        return checked_view

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the applications and models, with the ones that operators need most first."""
        apps: list[Any] = super().get_app_list(request, app_label)
        places = {name: place for place, name in enumerate(FIRST_MODELS)}
        for app in apps:
            app["models"].sort(key=lambda model: places.get(model["object_name"], len(places)))
        return sorted(apps, key=lambda app: app["app_label"] != FIRST_APP)


class Config(AdminConfig):
    """The admin's configuration, in place of `django.contrib.admin`."""

    default_site = "natproject.admin_site.Site"


def _is_of_the_query(error: Exception) -> bool:
    """Return whether the query string caused a database error.

    On SQLite, patterns are matched by a Python function, whose errors have no type of their own.
    """
    return not isinstance(error, OperationalError) or "user-defined function" in str(error)
