"""The consents of people in the admin, without their tokens."""

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.translation import pgettext_lazy

from chat_app.contrib.oauth.models import OAuthGrant
from sessions_app.admin_lists import GuardedList


@admin.register(OAuthGrant)
class OAuthGrantAdmin(GuardedList):
    """The admin of grants. Only the person gives and revokes a grant; admins may delete one."""

    fields = ("user", "provider", "scopes", "created_at", "last_used_at", "expires_at")
    list_display = ("provider", "user", "scopes", "created_at", "last_used_at")
    list_filter = ("provider",)
    list_select_related = ("user",)
    search_fields = (f"user__{get_user_model().USERNAME_FIELD}__exact",)
    search_help_text = pgettext_lazy("hitl", "Search whole user names")
    actions = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
