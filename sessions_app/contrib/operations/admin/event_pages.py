"""Events and journal entries: the full lists by page, and their ends on the page of a run."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin.cells import in_words, moment, short, took
from sessions_app.contrib.operations.admin.read_only import LastRows, ReadOnlyAdmin, column
from sessions_app.journal.journal import MAX_ARGUMENTS
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, JournalEntry

EVENT = ("span", "what", "content", "at")
ENTRY = (
    *("position", "call", "name", "called_with", "outcome"),
    *("difference", took, "attempts", "started"),
)
STORED_FIELDS = (
    *("arguments", "result", "error", "place", "last_position", "sequence"),
    *("started_at", "finished_at"),
)


class _EventColumns:
    what = column(_("type"), lambda event: in_words(event.get_type_display(), event.type))
    at = column(_("time"), lambda event: moment(event.created_at))
    # The event's own page has all of the payload.
    content = column(_("payload"), lambda event: short(event.payload))

    @admin.display(description=_("sequence"))
    def span(self, event: Event) -> str:
        if event.first_sequence == event.sequence:
            return str(event.sequence)
        return f"{event.first_sequence}–{event.sequence}"


class EventsInline(_EventColumns, LastRows):
    """The end of a run's log."""

    model = Event
    fk_name = "run"
    order = "sequence"
    classes = ("collapse",)
    verbose_name_plural = _("events (the last 100, in order)")
    fields = readonly_fields = EVENT


class _ByRun(ReadOnlyAdmin):
    fieldsets: ClassVar[Any] = None
    readonly_fields: ClassVar[Any] = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        lookups = ("run__id__exact", "conversation__id__exact")
        return lookup in lookups or super().lookup_allowed(lookup, value, request)

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Offer the filters in the lists of a run and of a conversation: no index serves them."""
        of_one = {"run__id__exact", "conversation__id__exact"} & request.GET.keys()
        return super().get_list_filter(request) if of_one else ()

    def get_model_perms(self, request: HttpRequest) -> JsonObject:
        """Leave them out of the index: without a conversation or a run they say little."""
        return {}


@admin.register(Event)
class EventAdmin(_EventColumns, _ByRun):
    """The admin pages of events: the log."""

    list_display = (*EVENT, "run")
    list_filter = ("type",)
    list_select_related = ("run",)
    ordering = ("conversation", "sequence")
    readonly_fields = ("run", *EVENT)
    fieldsets = (
        (None, {"fields": ("run", "span", "what", "at")}),
        (_("As it is stored"), {"fields": ("conversation", "payload")}),
    )

    def title_of(self, row: Event) -> str:
        return f"{row.sequence} {row.get_type_display()}"


@admin.register(JournalEntry)
class JournalEntryAdmin(_ByRun):
    """The admin pages of journal entries."""

    call = column(_("kind"), lambda entry: in_words(entry.get_kind_display(), entry.kind))
    called_with = column(
        _("arguments"), lambda entry: Truncator(entry.arguments).chars(MAX_ARGUMENTS)
    )
    started = column(_("started"), lambda entry: moment(entry.started_at))
    list_display = (
        *("position", "call", "name", "outcome", took, "attempts"),
        *("started", "run"),
    )
    list_filter = ("kind",)
    list_select_related = ("run",)
    ordering = ("run", "position")
    readonly_fields = ("run", *ENTRY)
    fieldsets = (
        (None, {"fields": readonly_fields}),
        (_("As it is stored"), {"fields": STORED_FIELDS, "classes": ("collapse",)}),
    )

    def title_of(self, row: JournalEntry) -> str:
        return f"{row.position} {row.get_kind_display()} {row.name}"

    @admin.display(description=_("result or error"))
    def outcome(self, entry: JournalEntry) -> str:
        if entry.finished_at is None:
            return gettext("not finished")
        if entry.error:
            return gettext("error: %(error)s") % {"error": short(entry.error)}
        return short(entry.result)
