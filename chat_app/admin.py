"""API keys in the admin: created for a user, shown once, revoked."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import pgettext, pgettext_lazy

from chat_app.identity.api_keys import issue
from chat_app.models import ApiKey
from sessions_app.admin_lists import GuardedList

USERNAME = get_user_model().USERNAME_FIELD
# HTML attributes that turn off a browser's suggestions, which help at sign-in but not in the admin.
NO_HELP = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


@admin.register(ApiKey)
class ApiKeyAdmin(GuardedList):
    """The admin of API keys: created and revoked here, never changed, and stored as hashes."""

    list_display = ("name", "prefix", "user", "created_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("prefix__exact", f"user__{USERNAME}__exact")
    search_help_text = pgettext_lazy("hitl", "Search whole prefixes of keys and user names")
    fields = ("user", "name")
    raw_id_fields = ("user",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """Return the fields of the form: user and name of a new key, all of an existing key."""
        existing_fields = ("prefix", "created_at", "last_used_at", "revoked_at")
        return self.fields if obj is None else (*self.fields, *existing_fields)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Show a text field for the user name instead of a drop-down list of all users."""
        if db_field.name == "user":
            kwargs |= {"to_field_name": USERNAME, "widget": forms.TextInput(NO_HELP)}
            kwargs["error_messages"] = {
                "invalid_choice": pgettext_lazy("hitl", "There is no user of this name.")
            }
            kwargs["help_text"] = pgettext_lazy(
                "hitl", "The user name of the person for whom the program acts."
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Grant the action `revoke` to users with the permission `chat_app.change_apikey`."""
        return bool(request.user.has_perm("chat_app.change_apikey"))

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Show API keys to users who may view or revoke keys."""
        return super().has_view_permission(request, obj) or self.has_revoke_permission(request)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: object, change: bool) -> None:
        obj.plain = issue(obj)
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the new key in this response, because a redirect would have to carry the key."""
        context = {
            **self.admin_site.each_context(request),
            "title": pgettext("hitl", "API key of %(user)s") % {"user": obj.user},
            "key": obj.plain,
            "row": obj,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/chat_app/api_key.html", context)

    @admin.action(description=pgettext_lazy("hitl", "Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revoke the keys, and end the sockets that were opened with them."""
        for row in queryset.filter(revoked_at=None):
            row.revoked_at = timezone.now()
            row.save(update_fields=["revoked_at"])
            self.log_change(request, row, pgettext("hitl", "revoked"))
            self.message_user(request, pgettext("hitl", "%(row)s: revoked.") % {"row": row})
