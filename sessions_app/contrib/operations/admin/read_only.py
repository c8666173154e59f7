"""The base classes of the admin pages: rows are read, and changed by actions, but never edited."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import pgettext

from sessions_app.admin_lists import GuardedList
from sessions_app.errors import SessionsError
from sessions_app.json_types import JsonObject
from sessions_app.questions.outcomes import VIA, via_words
from sessions_app.storage import atomic_requests
from sessions_app.workflows import registry

# Name of the user model's username field, for lookups such as f"owner__{USERNAME}".
USERNAME = get_user_model().USERNAME_FIELD
INLINE_ROWS = 100
# Django's own action to delete rows; not offered on a row's page, which has a delete button.
DELETE = "delete_selected"


if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class _ReadOnly:
    """A mixin that forbids to add and change rows by hand."""

    def _refuse(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    has_add_permission = has_change_permission = _refuse


class ReadOnlyAdmin(_ReadOnly, GuardedList):
    """A ModelAdmin for rows that are never edited. Actions require the model's change permission,
    for which there is no form.
    """

    change_form_template = "admin/sessions_app/operate.html"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    # Columns with an index; a sort of 200,000 rows without one takes seconds.
    sortable_by: ClassVar[tuple[Any, ...]] = ()
    # Typed as Any, because Django's stubs do not allow functions as fields.
    readonly_fields: ClassVar[Any] = ()
    fieldsets: ClassVar[Any] = None
    empty_value_display = ""
    pages: tuple[str, ...] = ()
    # Relations to prefetch: in a join, SQLite would read the users first, and sort all rows.
    related: tuple[str, ...] = ()

    class Media:
        css: ClassVar = {"all": ["sessions_app/css/operations.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows, with one query to prefetch each relation in `related`."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.prefetch_related(*self.related)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Filter the rows by the whole search term; each row appears once.

        `search_fields` are ids and names, each with an index.
        """
        if not (search_term and self.search_fields):
            return queryset, False
        first_keys, *other_keys = self.named(search_term)
        return queryset.filter(pk__in=first_keys.union(*other_keys)), False

    def named(self, term: str) -> list[QuerySet[Any]]:
        """Return the keys of the rows that match the term, as one query for each search field."""
        return keys_by(self.model, self.search_fields, term)

    def read_beside(self, rows: Sequence[Any]) -> None:
        """Set attributes on the rows from other tables, in few queries for any number of rows."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return a page of the list, with rows completed by `read_beside`."""
        changes = super().get_changelist_instance(request)
        changes.result_list = list(changes.result_list)
        self.read_beside(changes.result_list)
        return changes

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any | None:
        """Return the row of a page, completed by `read_beside`."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.read_beside([row])
        return row

    def applies(self, action: str, row: Any) -> bool:
        """Return whether the action could change the row now; else the action is not offered."""
        return True

    def may_delete(self, request: HttpRequest) -> bool:
        """Refuse to delete rows by hand."""
        return False

    def title_of(self, row: Any) -> str:
        """Return the title of a row's page."""
        return str(row)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Allow staff with the model's view or change permission to read rows."""
        return super().has_view_permission(request, obj) or self.has_operate_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may use actions: the check behind `permissions=["operate"]`."""
        name = f"{self.opts.app_label}.change_{self.opts.model_name}"
        return bool(request.user.has_perm(name))

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> JsonObject:
        """Return the actions that apply to the one status that the list is filtered by."""
        # Django 6.1 and later pass `action_location`.
        location = {} if action_location is None else {"action_location": action_location}
        actions: JsonObject = super().get_actions(request, **location)
        status = request.GET.get("status__exact")
        if status is None or not hasattr(self.model, "status"):
            return actions
        row = self.model(status=status)
        return {name: action for name, action in actions.items() if self.applies(name, row)}

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Apply the action to all chosen rows, even to those that the filters no longer match."""
        if request.POST.get("select_across", "0") == "0":
            queryset = self.get_queryset(request)
        return super().response_action(request, queryset, *args, **kwargs)

    def action_checkbox(self, obj: object) -> SafeString:
        """Render the row's checkbox, or nothing where no action applies to the row."""
        any_applies = not self.actions or any(self.applies(str(name), obj) for name in self.actions)
        return super().action_checkbox(obj) if any_applies else SafeString()

    def render_change_form(
        self, request: HttpRequest, context: JsonObject, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Title the page by the row, and offer the actions that apply to the row."""
        row = context.get("original")
        if row is not None:
            context |= {"title": self.title_of(row), "subtitle": None}
            choices = self.get_action_choices(request, default_choices=[])
            context["operations"] = [
                (name, label)
                for name, label in choices
                if name != DELETE and self.applies(name, row)
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        """Add the form pages in `pages`, each rendered by `<name>_view(request, row)`.

        Actions wait for the writer, so no view runs in a request's transaction.
        """
        page_urls = [
            path(
                f"<uuid:pk>/{page}/",
                self.admin_site.admin_view(partial(self._ask, page)),
                name=f"sessions_app_{self.opts.model_name}_{page}",
            )
            for page in self.pages
        ]
        urls = [*page_urls, *super().get_urls()]
        atomic_requests.leave_out(urls)
        return urls

    def _ask(self, page: str, request: HttpRequest, pk: UUID) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        view: Callable[[HttpRequest, Any], HttpResponse] = getattr(self, f"{page}_view")
        return view(request, get_object_or_404(self.model, pk=pk))

    def link(self, page: str, pk: object) -> str:
        """Return the address of a page of a row."""
        return reverse(f"admin:sessions_app_{self.opts.model_name}_{page}", args=[pk])

    def go_to(
        self, request: HttpRequest, page: str, queryset: QuerySet[Any], refusal: "StrOrPromise"
    ) -> HttpResponse | None:
        """Redirect to a form page of the chosen row; warn if not exactly one row is chosen."""
        rows = list(queryset[:2])
        if len(rows) == 1:
            return HttpResponseRedirect(self.link(page, rows[0].pk))
        self.message_user(request, refusal, messages.WARNING)
        return None

    def form_page(
        self, request: HttpRequest, page: str, title: str, **context: object
    ) -> HttpResponse:
        """Render a page with a form."""
        context |= {**self.admin_site.each_context(request), "title": title, "opts": self.opts}
        return TemplateResponse(request, f"admin/sessions_app/{page}.html", context)


def keys_by(model: type[Model], fields: Iterable[str], term: str) -> list[QuerySet[Any]]:
    """Return the keys of a model's rows that match the term, as one query for each field.

    Each query reads an index. Django's own search joins the fields by OR, which reads all rows.
    """
    queries = []
    for field in fields:
        with suppress(ValidationError):  # skip the field: the term cannot be an id
            queries.append(model._default_manager.filter(**{field: term}).values("pk"))  # noqa: SLF001 - Django's documented API
    return queries


def operation(
    label: "StrOrPromise",
    change: Callable[[Any, AbstractBaseUser], bool],
    *,
    done: "StrOrPromise",
    refusal: "StrOrPromise",
) -> Callable[..., None]:
    """Make an action that changes each chosen row, logs the change and shows the outcome.

    Args:
        label: the name of the action.
        change: changes a row for a user; returns whether anything changed.
        done: the past participle, which the history of the row shows, too.
        refusal: the reason why a row may be left unchanged.
    """

    @admin.action(description=label, permissions=["operate"])
    def operate(page: ReadOnlyAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        by = cast(AbstractBaseUser, request.user)  # never anonymous: staff-only page
        for row in queryset:
            try:
                is_changed = change(row, by)
            except SessionsError as error:  # report the error, and go on with the other rows
                page.message_user(request, f"{row}: {error}", messages.ERROR)
                continue
            if is_changed:
                page.log_change(
                    request, row, pgettext("hitl", "%(done)s by an operator") % {"done": done}
                )
                text = pgettext("hitl", "%(row)s: %(done)s.") % {"row": row, "done": done}
                page.message_user(request, text, messages.SUCCESS)
            else:
                text = pgettext("hitl", "%(row)s: not %(done)s. %(refusal)s")
                about = {"row": row, "done": done, "refusal": refusal}
                page.message_user(request, text % about, messages.WARNING)

    return operate


def column(words: "StrOrPromise", show: Callable[[Any], object], **options: Any) -> Any:
    """Make a column for a list, or for a row's page, from the function `show` of a row.

    The options are those of Django's `display`.
    """
    return staticmethod(admin.display(show, description=words, **options))


class ConditionFilter(admin.SimpleListFilter):
    """A filter of a list with a choice between named conditions."""

    # The choices by value in the query string: a label, and a function that builds the condition.
    conditions: ClassVar[dict[str, tuple[Any, Callable[[], Q]]]]

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(value, words) for value, (words, _) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = self.conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition[1]())


class KnownValues(admin.AllValuesFieldListFilter):
    """A filter with values that the code knows, as a query for a column's values reads all rows."""

    known: Callable[[], Iterable[object]]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the known values, and the selected one."""
        values = (*self.known(), *(self.lookup_val or ()))
        cast(Any, self).lookup_choices = list(dict.fromkeys(map(str, values)))
        return super().choices(changelist)


class DeclaredWorkflow(KnownValues):
    """A list filter by workflow, with the declared workflows as choices."""

    known = staticmethod(lambda: sorted(registry.declared_workflows()))


class Via(KnownValues):
    """A list filter by the front end that was used, with a label for each front end."""

    known = staticmethod(lambda: VIA)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the choices, each front end with its label."""
        for choice in super().choices(changelist):
            yield {**choice, "display": via_words(str(choice["display"])) or choice["display"]}


class LastRows(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg] # generic only in stubs
    """A table with the last rows of a long list, on the parent's page; sorted by `order`."""

    template = "admin/sessions_app/last_rows.html"
    order = "position"
    extra = 0
    fields: ClassVar[Any] = None
    readonly_fields: ClassVar[Any] = ()
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the last rows only: a run may have a hundred thousand events."""
        rows: QuerySet[Any] = super().get_queryset(request)
        page: Any = request.resolver_match
        parent = {f"{self.fk_name}_id": page.kwargs.get("object_id")}
        last = rows.filter(**parent).order_by(f"-{self.order}").values("pk")[:INLINE_ROWS]
        return rows.filter(pk__in=last).order_by(self.order)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return True: access to the parent's page is access to these rows."""
        return True
