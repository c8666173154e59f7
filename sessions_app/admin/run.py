"""Runs: what they did, in order; stopped, resumed or forked."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

from sessions_app.admin.events import EventsInline, JournalInline
from sessions_app.admin.fork_form import ForkForm
from sessions_app.admin.interaction import InteractionsInline
from sessions_app.admin.read_only import USERNAME, ReadOnlyAdmin
from sessions_app.admin.texts import runs
from sessions_app.conversations.feedback import as_line
from sessions_app.conversations.forks import WantedFork
from sessions_app.errors import SessionsError
from sessions_app.models import Run
from sessions_app.operations import operators

SAID = (
    "text",
    "state",
    "problem",
    "detail",
    "replay_problem",
    "where",
    "took",
    "opinion",
)
STORED = (
    ("id", "everything"),
    ("key", "version", "generation", "deaths"),
    ("created_at", "started_at", "finished_at"),
    ("wake_at", "stop_requested_at"),
    ("message_id", "client_format"),
    ("parent", "children"),
    ("forked_from", "fork_position", "forked_to"),
    ("metadata", "patches"),
)


class Cause(admin.SimpleListFilter):
    """Why runs stopped."""

    title = "why it stopped"
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """By the code of the error."""
        return list(runs.CAUSES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Those with that error."""
        return queryset.filter(error__code=self.value()) if self.value() else queryset


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """A run with its interactions, journal and events."""

    state = staticmethod(runs.state)
    where = staticmethod(runs.where)
    took = staticmethod(runs.took)
    deaths = staticmethod(runs.deaths)
    list_display = (runs.said, runs.state, "workflow", "owner", runs.began, runs.took)
    list_filter = (
        "status",
        Cause,
        "conversation__workflow",
        "version",
        ("replay_problem", admin.EmptyFieldListFilter),
        ("parent", admin.EmptyFieldListFilter),
    )
    list_select_related = ("conversation__owner",)
    search_fields = (
        "text",
        "interactions__prompt__text",
        "conversation__title",
        f"conversation__owner__{USERNAME}",
        "id__exact",
    )
    change_form_template = "admin/sessions_app/run.html"
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": SAID}),
        ("As it is stored", {"fields": STORED, "classes": ("collapse",)}),
    )
    readonly_fields = (*SAID, "deaths", "everything", "forked_to", "children")
    inlines = (InteractionsInline, JournalInline, EventsInline)
    actions = ("cancel", "resume", "fork")

    def get_urls(self) -> list[URLPattern]:
        """The page of the fork beside those of Django."""
        view = self.admin_site.admin_view(self.fork_view)
        return [path("<uuid:pk>/fork/", view, name="sessions_app_run_fork"), *super().get_urls()]

    def applies(self, action: str, row: Run) -> bool:
        """What has ended is not stopped, what goes on is not resumed."""
        if action == "cancel":
            return row.status not in Run.FINISHED
        if action == "resume":
            return row.status in (Run.Status.FAILED, Run.Status.SUSPENDED)
        return super().applies(action, row)

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

    @admin.action(description="Fork", permissions=["operate"])
    def fork(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Go to the page where the position is chosen."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Fork one at a time.", messages.WARNING)
            return None
        return HttpResponseRedirect(reverse("admin:sessions_app_run_fork", args=[chosen[0].pk]))

    def fork_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask for the position, and begin the new run."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        run = get_object_or_404(Run, pk=pk)
        form = ForkForm(request.POST or None, run=run)
        if request.method == "POST" and form.is_valid():
            position, key = form.cleaned_data["position"], form.cleaned_data["key"]
            wanted = WantedFork(run.pk, position, request.user.get_username(), key)
            try:
                fork = operators.fork(wanted)
            except SessionsError as error:
                form.add_error(None, str(error))
            else:
                done = f"forked from position {position} by an operator: {fork}"
                self.log_change(request, run, done)
                self.message_user(request, "This is the new run.", messages.SUCCESS)
                page = reverse("admin:sessions_app_run_change", args=[fork])
                return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Fork: {run.text[:60]}",
            "opts": self.opts,
            "original": run,
            "form": form,
            "goes_on": run.status in Run.UNFINISHED,
        }
        return TemplateResponse(request, "admin/sessions_app/fork.html", context)

    @admin.display(description="forks")
    def forked_to(self, run: Run) -> Any:
        """The runs that are forks of it."""
        page = "admin:sessions_app_run_change"
        links = [(reverse(page, args=[fork.pk]), fork) for fork in run.forks.order_by("created_at")]
        return format_html_join(", ", '<a href="{}">{}</a>', links)

    @admin.display(description="workflow", ordering="conversation__workflow")
    def workflow(self, run: Run) -> str:
        """Which function it executes."""
        return run.workflow

    @admin.display(description="user", ordering=f"conversation__owner__{USERNAME}")
    def owner(self, run: Run) -> str:
        """Whose conversation it is in."""
        return str(run.conversation.owner.get_username())

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

    @admin.display(description="children")
    def children(self, run: Run) -> Any:
        """A link to the runs that it runs."""
        count = run.children.count()
        url = reverse("admin:sessions_app_run_changelist")
        return format_html('<a href="{}?parent__id__exact={}">{}</a>', url, run.pk, count)

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
