"""What the admin pages share: rows are read, operated on by actions, and never edited."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

# The user's name in lookups, as in f"owner__{USERNAME}".
USERNAME = get_user_model().USERNAME_FIELD
INLINE_ROWS = 100
# Django's own action, whose button the page of a row has already.
DELETE = "delete_selected"


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic only in the stubs
    """Rows as they are. Actions need the model's change permission, which opens no form here."""

    change_form_template = "admin/sessions_app/operate.html"
    show_full_result_count = False
    list_per_page = 50
    empty_value_display = ""

    class Media:
        css: ClassVar = {"all": ["sessions_app/css/operations.css"]}

    def applies(self, action: str, row: Any) -> bool:
        """Whether the action would do something to the row as it is; else it is not offered."""
        return True

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

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Where the list has one status, those that apply to it."""
        actions: dict[str, Any] = super().get_actions(request)
        status = request.GET.get("status__exact")
        if status is None or not hasattr(self.model, "status"):
            return actions
        row = self.model(status=status)
        return {name: one for name, one in actions.items() if self.applies(name, row)}

    def action_checkbox(self, obj: Any) -> SafeString:
        """None where no action would do anything."""
        applying = not self.actions or any(self.applies(str(name), obj) for name in self.actions)
        return super().action_checkbox(obj) if applying else SafeString()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer the actions that apply on the page of one row too."""
        row = context.get("original")
        if row is not None:
            choices = self.get_action_choices(request, default_choices=[])
            context["operations"] = [
                (name, label)
                for name, label in choices
                if name != DELETE and self.applies(name, row)
            ]
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
