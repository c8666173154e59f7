"""The base of lists in the admin: the lookups that they take, and the time of their statements."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin import ListFilter, ModelAdmin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.db import OperationalError
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse

from sessions_app.storage import sql

# Lookups that a filter may add to its field, and names of primary keys in them.
COMPARISONS = {"exact", "isnull", "isempty", "gt", "gte", "lt", "lte", "id", "pk"}
PLAIN = "text/plain; charset=utf-8"
NOT_A_FILTER = "This list cannot be filtered so. Use its filters or its search.\n"
TOO_SLOW = "This list took too long. Choose a filter, or search.\n"
LIST_SECONDS = 10  # maximum seconds of a statement of a list, on PostgreSQL

if TYPE_CHECKING:
    Base = ModelAdmin[Any]
else:
    Base = ModelAdmin


class GuardedList(Base):
    """A ModelAdmin whose list takes the query parameters of its own filters, nothing else.

    By default Django takes any lookup of any column. A regular expression in an address, on SQLite,
    would block the whole process for hours.
    """

    # Fields, besides those of `list_filter`, by which links of other pages filter the list.
    linked_by: ClassVar[tuple[str, ...]] = ()

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return whether the row may be deleted: by hand, or with the user to whom it belongs.

        Before Django's admin deletes a user, it asks the admin of each row that goes with the user.
        Permission to delete the user includes these rows.
        """
        return self._goes_with_another(request, obj) or self.may_delete(request)

    def may_delete(self, request: HttpRequest) -> bool:
        """Return whether the person may delete rows on the pages of this admin."""
        return super().has_delete_permission(request)

    def _goes_with_another(self, request: HttpRequest, row: object) -> bool:
        """Return whether Django asks about a row because another model's page deletes its owner."""
        page = request.resolver_match.url_name if request.resolver_match else None
        own_pages = f"{self.opts.app_label}_{self.opts.model_name}_"
        return row is not None and page is not None and not page.startswith(own_pages)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Return whether a query parameter is that of a filter, or of a link to the list."""
        for field in (*self._filtered(request), *self.linked_by):
            name, _, comparison = lookup.partition(field)
            if not name and set(comparison.split(LOOKUP_SEP)) - {""} <= COMPARISONS:
                return True
        return False

    def _filtered(self, request: HttpRequest) -> Iterator[str]:
        """Yield the fields and the parameters of the list's filters."""
        if self.date_hierarchy:
            yield self.date_hierarchy
        for one in self.get_list_filter(request):
            named = one[0] if isinstance(one, list | tuple) else one
            if isinstance(named, type) and issubclass(named, ListFilter):
                yield getattr(named, "parameter_name", "")
            else:
                yield str(named)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, within a time limit on PostgreSQL; a POST is an action, and has none."""
        try:
            if request.method != "GET":
                return super().changelist_view(request, extra_context)
            with sql.database().limited_statements(LIST_SECONDS):
                response = super().changelist_view(request, extra_context)
                if isinstance(response, SimpleTemplateResponse):
                    response.render()
        except DisallowedModelAdminLookup:
            return HttpResponse(NOT_A_FILTER, status=400, content_type=PLAIN)
        except OperationalError as error:
            if not sql.database().is_over_limit(error):
                raise
            return HttpResponse(TOO_SLOW, status=503, content_type=PLAIN)
        return response
