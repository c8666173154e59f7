"""Runs: what they did, in order; stopped or resumed."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from sessions_app.admin.events import EventsInline, JournalInline
from sessions_app.admin.interaction import InteractionsInline
from sessions_app.admin.read_only import USERNAME, ReadOnlyAdmin, seconds
from sessions_app.conversations.feedback import as_line
from sessions_app.models import Run
from sessions_app.operations import operators


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """A run with its interactions, journal and events."""

    list_display = ("created_at", "status", "workflow", "owner", "said", "duration")
    list_filter = ("status", "conversation__workflow", "version")
    list_select_related = ("conversation__owner",)
    search_fields = ("id__exact", "conversation__title", f"conversation__owner__{USERNAME}")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        ("status", "everything"),
        ("conversation", "key", "version"),
        "text",
        ("created_at", "started_at", "finished_at", "wake_at", "stop_requested_at"),
        ("generation", "crashes"),
        "problem",
        "detail",
        "opinion",
        ("message_id", "client_format"),
        ("metadata", "patches"),
    )
    readonly_fields = ("everything", "problem", "detail", "opinion")
    inlines = (InteractionsInline, JournalInline, EventsInline)
    actions = ("cancel", "resume")

    @admin.action(description="Stop", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Ask the runs to stop; their last event says when they have."""
        self.operate(
            request,
            queryset,
            lambda run: operators.cancel(run.pk),
            done="asked to stop",
            refused="It has ended.",
        )

    @admin.action(description="Resume (failed or suspended runs)", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Let runs that failed or are suspended go on from their journals."""
        by = request.user.get_username()
        self.operate(
            request,
            queryset,
            lambda run: operators.resume(run.pk, by=by),
            done="resumed",
            refused="It neither failed nor is suspended.",
        )

    @admin.display(description="workflow", ordering="conversation__workflow")
    def workflow(self, run: Run) -> str:
        """Which function it executes."""
        return run.conversation.workflow

    @admin.display(description="user", ordering=f"conversation__owner__{USERNAME}")
    def owner(self, run: Run) -> str:
        """Whose conversation it is in."""
        return str(run.conversation.owner.get_username())

    @admin.display(description="message")
    def said(self, run: Run) -> str:
        """The beginning of the user message."""
        return Truncator(run.text).chars(60)

    @admin.display(description="took")
    def duration(self, run: Run) -> str:
        """From its start to its end, the waiting for people included."""
        return seconds(run)

    @admin.display(description="error")
    def problem(self, run: Run) -> str:
        """What people were told."""
        return str((run.error or {}).get("message", ""))

    @admin.display(description="error in detail")
    def detail(self, run: Run) -> Any:
        """What only operators see."""
        return format_html("<pre>{}</pre>", (run.error or {}).get("detail", ""))

    @admin.display(description="feedback")
    def opinion(self, run: Run) -> str:
        """What its owner thinks of it."""
        return as_line(run.feedback)

    @admin.display(description="all of it")
    def everything(self, run: Run) -> Any:
        """Links to the full lists."""
        query = f"?run__id__exact={run.pk}"
        return format_html(
            '<a href="{}{query}">all events</a> · <a href="{}{query}">whole journal</a>',
            reverse("admin:sessions_app_event_changelist"),
            reverse("admin:sessions_app_journalentry_changelist"),
            query=query,
        )
