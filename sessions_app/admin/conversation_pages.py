"""Conversations and their runs."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from sessions_app.admin import run_texts
from sessions_app.admin.read_only import USERNAME, LastRows, ReadOnlyAdmin
from sessions_app.models import Conversation, Event, Interaction, Run


class RunsInline(LastRows):
    """The last runs of a conversation."""

    model = Run
    fk_name = "conversation"
    said = staticmethod(run_texts.said)
    state = staticmethod(run_texts.state)
    began = staticmethod(run_texts.began)
    took = staticmethod(run_texts.took)
    order = "created_at"
    verbose_name_plural = "runs (the last 100, in order)"
    fields = readonly_fields = ("said", "state", "began", "took")


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    """A conversation. Only a superuser deletes one, with all that belongs to it."""

    chat = staticmethod(run_texts.chat)
    list_display = ("title", "owner", "workflow", "last_sequence", "created_at", "updated_at")
    list_filter = ("workflow", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = (
        "title",
        "runs__text",
        "interactions__prompt__text",
        f"owner__{USERNAME}",
        "conversation_id__exact",
        "id__exact",
    )
    ordering = ("-updated_at",)
    fields = (
        "title",
        ("owner", "workflow"),
        ("id", "conversation_id"),
        ("created_at", "updated_at", "deleted_at"),
        ("last_sequence", "everything", "chat"),
    )
    readonly_fields = ("everything", "chat")
    inlines = (RunsInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Counts instead of every row: a conversation may have ten thousand events."""
        titles = [str(conversation) for conversation in objs]
        counts = {
            "conversations": len(titles),
            "runs": Run.objects.filter(conversation__in=objs).count(),
            "interactions": Interaction.objects.filter(conversation__in=objs).count(),
            "events": Event.objects.filter(conversation__in=objs).count(),
        }
        return titles, counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        self.delete_queryset(request, Conversation.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        """Locked first, as hosts do: what they write meanwhile comes before or finds nothing."""
        with transaction.atomic():
            chosen = Conversation.objects.filter(pk__in=queryset.values("pk")).order_by("pk")
            list(chosen.select_for_update().values_list("pk"))
            super().delete_queryset(request, queryset)

    @admin.display(description="all of it")
    def everything(self, conversation: Conversation) -> Any:
        return format_html(
            '<a href="{}?conversation__id__exact={}">all events</a>',
            reverse("admin:sessions_app_event_changelist"),
            conversation.pk,
        )
