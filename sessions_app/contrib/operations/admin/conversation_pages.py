"""The admin pages of conversations and their logs, journals, files and feedback."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import ProtectedError, QuerySet, RestrictedError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.contrib.operations.admin import cells, run_texts
from sessions_app.contrib.operations.admin.read_only import (
    USERNAME,
    DeclaredWorkflow,
    LastRows,
    ReadOnlyAdmin,
    column,
)
from sessions_app.journal.journal import MAX_ARGUMENTS
from sessions_app.json_types import JsonObject
from sessions_app.models import (
    Attachment,
    Conversation,
    Event,
    Feedback,
    Interaction,
    JournalEntry,
    Run,
)

STORED_FIELDS = ("title", "id", "conversation_id", "last_sequence")
EVENT = ("span", "what", "content", "at")
ENTRY = (
    *("position", "call", "name", "called_with", "outcome"),
    *("difference", "duration", "attempts", "started"),
)
ENTRY_STORED = (
    *("arguments", "result", "error", "place", "last_position", "sequence"),
    *("started_at", "finished_at"),
)
# Maximum number of protecting rows named in the message that a deletion was refused.
KEEPERS_NAMED = 5


class RunsInline(LastRows):
    """A table with the last runs of a conversation, on its page."""

    model = Run
    fk_name = "conversation"
    order = "created_at"
    verbose_name_plural = pgettext_lazy("hitl", "runs (the last 100, in order)")
    fields = readonly_fields = (run_texts.message, run_texts.state, run_texts.began, cells.took)


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    """The admin pages of conversations. Only a superuser can delete one, with all its rows."""

    whose = column(
        pgettext_lazy("hitl", "owner"), lambda conversation: cells.display_name(conversation.owner)
    )
    updated = column(
        pgettext_lazy("hitl", "updated"), lambda conversation: cells.moment(conversation.updated_at)
    )
    deleted = column(
        pgettext_lazy("hitl", "deleted"), lambda conversation: cells.moment(conversation.deleted_at)
    )
    list_display = ("title", "whose", "workflow", "last_sequence", run_texts.began, "updated")
    list_filter = (("workflow", DeclaredWorkflow), ("deleted_at", admin.EmptyFieldListFilter))
    related = ("owner",)
    search_fields = ("pk__exact", "conversation_id__exact", f"owner__{USERNAME}__exact")
    searched = pgettext_lazy("hitl", "Search whole IDs (conversation) and user names (owner)")
    ordering = ("-created_at",)  # not by updated_at, which has no index
    sortable_by = (run_texts.began,)
    readonly_fields = (run_texts.began, "updated", "deleted", "everything", run_texts.chat)
    fieldsets = (
        (None, {"fields": ("owner", "workflow", *readonly_fields)}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": STORED_FIELDS, "classes": ("collapse",)}),
    )
    inlines = (RunsInline,)

    def may_delete(self, request: HttpRequest) -> bool:
        """Allow superusers to delete conversations by hand."""
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Return only counts of dependent rows: a conversation may have ten thousand events."""
        titles = [str(conversation) for conversation in objs]
        counts = {
            pgettext("hitl", "conversations"): len(titles),
            pgettext("hitl", "runs"): Run.objects.filter(conversation__in=objs).count(),
            pgettext("hitl", "interactions"): Interaction.objects.filter(
                conversation__in=objs
            ).count(),
            pgettext("hitl", "events"): Event.objects.filter(conversation__in=objs).count(),
        }
        return titles, counts, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: JsonObject | None = None
    ) -> HttpResponse:
        """Delete a conversation; if rows of the project protect it, name them in a message."""
        view = partial(super().delete_view, request, object_id, extra_context)
        return self._delete_unless_kept(request, view, self.link("change", object_id))

    def changelist_view(
        self, request: HttpRequest, extra_context: JsonObject | None = None
    ) -> HttpResponse:
        """Show the list; if rows of the project prevent a deletion, name them in a message."""
        view = partial(super().changelist_view, request, extra_context)
        if request.method == "GET":
            return view()
        return self._delete_unless_kept(request, view, request.get_full_path())

    def _delete_unless_kept(
        self, request: HttpRequest, view: Callable[[], HttpResponse], page: str
    ) -> HttpResponse:
        try:
            with transaction.atomic():  # also undo Django's admin log if the deletion is refused
                return view()
        except (ProtectedError, RestrictedError) as error:
            reason, keepers = error.args
            names = [
                f"{row._meta.verbose_name} “{row}”"  # noqa: SLF001 - Django's documented _meta
                for row in list(keepers)[:KEEPERS_NAMED]
            ]
            text = pgettext("hitl", "Nothing was deleted. %(reason)s (%(rows)s)")
            about = {"reason": reason, "rows": ", ".join(names)}
            self.message_user(request, text % about, messages.ERROR)
            return HttpResponseRedirect(page)

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        self.delete_queryset(request, Conversation.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        """Lock the conversations, as hosts do before they write, and delete them.

        A concurrent write of a host commits before the deletion, or finds no conversation.
        """
        with transaction.atomic():
            conversations = Conversation.objects.filter(pk__in=queryset.values("pk")).order_by("pk")
            list(conversations.select_for_update().values_list("pk"))
            super().delete_queryset(request, queryset)

    @admin.display(description=pgettext_lazy("hitl", "all of it"))
    def everything(self, conversation: Conversation) -> object:
        return format_html(
            '<a href="{}?conversation__id__exact={}">{}</a>',
            reverse("admin:sessions_app_event_changelist"),
            conversation.pk,
            pgettext("hitl", "all events"),
        )


@admin.register(Feedback)
class FeedbackAdmin(ReadOnlyAdmin):
    """The admin pages of feedback: reactions and comments with their runs, the newest first."""

    about = column(pgettext_lazy("hitl", "message"), lambda feedback: run_texts.link(feedback.run))
    workflow = column(pgettext_lazy("hitl", "workflow"), lambda feedback: feedback.run.workflow)
    owner = column(
        pgettext_lazy("hitl", "user"),
        lambda feedback: cells.display_name(feedback.run.conversation.owner),
    )
    list_display = ("reaction", "comment", "about", "workflow", "owner", "given_at")
    list_display_links = ("reaction", "comment")
    list_filter = (
        "given_at",
        ("reaction", admin.AllValuesFieldListFilter),
        ("comment", admin.EmptyFieldListFilter),
        ("run__workflow", DeclaredWorkflow),
    )
    related = ("run__conversation__owner",)
    search_fields = ("pk__exact", *(f"run__{name}" for name in run_texts.NAMES[1:]))
    searched = run_texts.NAMES_HELP
    ordering = ("-given_at",)
    fields = readonly_fields = ("reaction", "comment", "about", "workflow", "owner", "given_at")


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    """The admin pages of attachments: properties without contents, the newest first."""

    bytes = column(pgettext_lazy("hitl", "size"), lambda row: filesizeformat(row.size))
    # Link to the run of the message with the file; empty until the file is sent.
    about = column(
        pgettext_lazy("hitl", "message"), lambda row: run_texts.link(row.run) if row.run else ""
    )
    list_display = ("name", "content_type", "bytes", "owner", "about", "created_at")
    list_filter = ("created_at", "content_type", ("run", admin.EmptyFieldListFilter), "is_stored")
    related = ("owner", "run")
    search_fields = ("pk__exact", "run__exact", f"owner__{USERNAME}__exact")
    searched = pgettext_lazy("hitl", "Search whole IDs (attachment, run) and user names (owner)")
    ordering = ("-created_at",)
    fields = readonly_fields = (
        *("name", "content_type", "bytes", "owner", "about"),
        *("conversation_name", "created_at", "taken_at", "is_stored", "path"),
    )


class _EventColumns:
    what = column(
        pgettext_lazy("hitl", "type"),
        lambda event: cells.in_words(event.get_type_display(), event.type),
    )
    at = column(pgettext_lazy("hitl", "time"), lambda event: cells.moment(event.created_at))
    # Only the beginning of the payload; the event's own page shows all of it.
    content = column(pgettext_lazy("hitl", "payload"), lambda event: cells.short(event.payload))

    @admin.display(description=pgettext_lazy("hitl", "sequence"))
    def span(self, event: Event) -> str:
        if event.first_sequence == event.sequence:
            return str(event.sequence)
        return f"{event.first_sequence}–{event.sequence}"


class EventsInline(_EventColumns, LastRows):
    """A table with the last events of a run, on its page."""

    model = Event
    fk_name = "run"
    order = "sequence"
    classes = ("collapse",)
    verbose_name_plural = pgettext_lazy("hitl", "events (the last 100, in order)")
    fields = readonly_fields = EVENT


class _ByRun(ReadOnlyAdmin):
    fieldsets: ClassVar[Any] = None

    linked_by = ("run", "conversation")

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Return filters only for the list of one run or conversation: no index serves a filter."""
        of_one = {"run__id__exact", "conversation__id__exact"} & request.GET.keys()
        return super().get_list_filter(request) if of_one else ()

    def get_model_perms(self, request: HttpRequest) -> JsonObject:
        """Hide the model on the admin's index: its rows mean little outside of a run's page."""
        return {}


@admin.register(Event)
class EventAdmin(_EventColumns, _ByRun):
    """The admin pages of events, the entries of a conversation's log."""

    list_display = (*EVENT, "run")
    list_filter = ("type",)
    list_select_related = ("run",)
    ordering = ("conversation", "sequence")
    readonly_fields = ("run", *EVENT)
    fieldsets = (
        (None, {"fields": ("run", "span", "what", "at")}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": ("conversation", "payload")}),
    )

    def title_of(self, row: Event) -> str:
        return f"{row.sequence} {row.get_type_display()}"


@admin.register(JournalEntry)
class JournalEntryAdmin(_ByRun):
    """The admin pages of journal entries."""

    duration = staticmethod(cells.took)
    call = column(
        pgettext_lazy("hitl", "kind"),
        lambda entry: cells.in_words(entry.get_kind_display(), entry.kind),
    )
    called_with = column(
        pgettext_lazy("hitl", "arguments"),
        lambda entry: Truncator(entry.arguments).chars(MAX_ARGUMENTS),
    )
    started = column(pgettext_lazy("hitl", "started"), lambda entry: cells.moment(entry.started_at))
    list_display = (
        *("position", "call", "name", "outcome", "duration", "attempts"),
        *("started", "run"),
    )
    list_filter = ("kind",)
    list_select_related = ("run",)
    ordering = ("run", "position")
    readonly_fields = ("run", *ENTRY)
    fieldsets = (
        (None, {"fields": readonly_fields}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": ENTRY_STORED, "classes": ("collapse",)}),
    )

    def title_of(self, row: JournalEntry) -> str:
        return f"{row.position} {row.get_kind_display()} {row.name}"

    @admin.display(description=pgettext_lazy("hitl", "result or error"))
    def outcome(self, entry: JournalEntry) -> str:
        return cells.outcome(entry.result, entry.error, finished=entry.finished_at is not None)
