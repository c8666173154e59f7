"""What the admin pages share: rows are read, operated on by actions, and never edited."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.timesince import timesince

# The user's name in lookups, as in f"owner__{USERNAME}".
USERNAME = get_user_model().USERNAME_FIELD
SHOWN = 300
INLINE_ROWS = 100
MINUTE = 60
# Django's own action, whose button the page of a row has already.
DELETE = "delete_selected"


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic only in the stubs
    """Rows as they are. Actions need the model's change permission, which opens no form here."""

    change_form_template = "admin/sessions_app/operate.html"
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is made by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted by itself."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff with the model's view or change permission read it."""
        return super().has_view_permission(request, obj) or self.has_operate_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are there for this person: `permissions=["operate"]`."""
        name = f"{self.opts.app_label}.change_{self.opts.model_name}"
        return bool(request.user.has_perm(name))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer the actions on the page of one row too."""
        if context.get("original") is not None:
            choices = self.get_action_choices(request, default_choices=[])
            context["operations"] = [choice for choice in choices if choice[0] != DELETE]
        return super().render_change_form(request, context, *args, **kwargs)

    def operate(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        operation: Callable[[Any], bool],
        *,
        done: str,
        refused: str,
    ) -> None:
        """Do it to each row; record and say what came of it.

        Args:
            operation: returns whether it changed anything.
            done: the past participle, which is also what the history of the row says.
            refused: why a row may be left as it was.
        """
        for row in queryset:
            if operation(row):
                self.log_change(request, row, f"{done} by an operator")
                self.message_user(request, f"{row}: {done}.", messages.SUCCESS)
            else:
                self.message_user(request, f"{row}: not {done}. {refused}", messages.WARNING)


class LastRows(admin.TabularInline):  # type: ignore[type-arg] # generic only in the stubs
    """The last rows of a long list, in order. `order` names the column."""

    order = "position"
    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Bounded: a run may have a hundred thousand events."""
        rows: QuerySet[Any] = super().get_queryset(request)
        if request.resolver_match is None or self.fk_name is None:
            return rows.none()
        parent = {f"{self.fk_name}_id": request.resolver_match.kwargs.get("object_id")}
        last = rows.filter(**parent).order_by(f"-{self.order}").values("pk")[:INLINE_ROWS]
        return rows.filter(pk__in=last).order_by(self.order)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is made by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is edited."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may read the page may read what belongs to it."""
        return True


def short(value: Any) -> str:
    """JSON for a cell of a table."""
    text = "" if value is None else json.dumps(value, ensure_ascii=False)
    return Truncator(text).chars(SHOWN)


def ago(moment: datetime) -> str:
    """How long ago, in one or two units."""
    passed = (timezone.now() - moment).total_seconds()
    return f"{max(passed, 0):.0f} s ago" if passed < MINUTE else f"{timesince(moment)} ago"


def seconds(row: Any) -> str:
    """How long the row took."""
    if row.started_at is None or row.finished_at is None:
        return ""
    return f"{(row.finished_at - row.started_at).total_seconds():.3f} s"
