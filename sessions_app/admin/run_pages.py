"""Runs: what they did, in order; stopped, resumed or forked, and sent what they wait for."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

from sessions_app.admin import repairs, run_texts
from sessions_app.admin.event_pages import EventsInline, JournalInline
from sessions_app.admin.fork_form import ForkForm
from sessions_app.admin.prompt_pages import InteractionsInline
from sessions_app.admin.read_only import USERNAME, ReadOnlyAdmin
from sessions_app.admin.send_form import SendForm, awaited
from sessions_app.conversations.forks import WantedFork
from sessions_app.errors import SessionsError
from sessions_app.models import Feedback, Run
from sessions_app.runs import Outcome
from sessions_app.runs import send as send_to_run

# What Django names the pages of a run by.
PAGE = "sessions_app_run"
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
    "follows",
    ("metadata", "patches"),
)


class Cause(admin.SimpleListFilter):
    """Why runs stopped."""

    title = "why it stopped"
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """By the code of the error."""
        return list(run_texts.CAUSES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Those with that error."""
        return queryset.filter(error__code=self.value()) if self.value() else queryset


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """A run with its interactions, journal and events."""

    state = staticmethod(run_texts.state)
    where = staticmethod(run_texts.where)
    took = staticmethod(run_texts.took)
    deaths = staticmethod(run_texts.deaths)
    list_display = (
        run_texts.said,
        run_texts.state,
        "workflow",
        "owner",
        run_texts.began,
        run_texts.took,
    )
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
    actions = ("cancel", "resume", "fork", "send")

    def get_urls(self) -> list[URLPattern]:
        """The pages of the fork and of what is sent beside those of Django."""
        views = {"fork": self.fork_view, "send": self.send_view}
        own = [
            path(f"<uuid:pk>/{name}/", self.admin_site.admin_view(view), name=f"{PAGE}_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def applies(self, action: str, row: Run) -> bool:
        """What has ended is not stopped, what goes on is not resumed; one sends what is awaited."""
        if action == "cancel":
            return row.status not in Run.FINISHED
        if action == "resume":
            return row.status in (Run.Status.FAILED, Run.Status.SUSPENDED)
        if action == "send":  # a row without a key stands for a list of this status
            return row.status not in Run.FINISHED and (not row.key or bool(awaited(row)))
        return super().applies(action, row)

    @admin.action(description="Stop", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Ask the runs to stop; their last event says when they have."""
        self.operate(
            request,
            queryset,
            lambda run: repairs.cancel(run.pk),
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
            lambda run: repairs.resume(run.pk, by=by),
            done="resumed",
            refused="It neither failed nor is suspended.",
        )

    @admin.action(description="Fork", permissions=["operate"])
    def fork(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Go to the page where the position is chosen."""
        return self._go_to(request, "fork", queryset, "Fork one at a time.")

    @admin.action(description="Send what it waits for", permissions=["operate"])
    def send(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """Go to the page where it is given."""
        return self._go_to(request, "send", queryset, "Send to one at a time.")

    def _go_to(
        self, request: HttpRequest, page: str, queryset: QuerySet[Run], refused: str
    ) -> HttpResponse | None:
        """The page of one run; else what is said."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, refused, messages.WARNING)
            return None
        return HttpResponseRedirect(reverse(f"admin:{PAGE}_{page}", args=[chosen[0].pk]))

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
                fork = repairs.fork(wanted)
            except SessionsError as error:
                form.add_error(None, str(error))
            else:
                done = f"forked from position {position} by an operator: {fork}"
                self.log_change(request, run, done)
                self.message_user(request, "This is the new run.", messages.SUCCESS)
                page = reverse("admin:sessions_app_run_change", args=[fork])
                return HttpResponseRedirect(page)
        return self._form_page(request, "fork", run, form)

    def send_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask for the name and the payload, and send it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        run = get_object_or_404(Run, pk=pk)
        form = SendForm(request.POST or None, run=run)
        if request.method == "POST" and form.is_valid():
            name, payload, key = (form.cleaned_data[one] for one in ("name", "payload", "key"))
            try:
                outcome = send_to_run(run.pk, name, payload, id=key)
            except SessionsError as error:
                form.add_error(None, str(error))
            else:
                self._say_sent(request, run, name, outcome)
                return HttpResponseRedirect(reverse(f"admin:{PAGE}_change", args=[pk]))
        return self._form_page(request, "send", run, form)

    def _say_sent(self, request: HttpRequest, run: Run, name: str, outcome: Outcome) -> None:
        if outcome == Outcome.STALE:
            self.message_user(request, f"{run}: not sent. It has ended.", messages.WARNING)
            return
        if outcome == Outcome.ACCEPTED:
            self.log_change(request, run, f"sent {name} by an operator")
        self.message_user(request, f"{run}: sent {name}.", messages.SUCCESS)

    def _form_page(
        self, request: HttpRequest, page: str, run: Run, form: forms.Form
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{page.capitalize()}: {run.text[:60]}",
            "opts": self.opts,
            "original": run,
            "form": form,
            "goes_on": run.status in Run.UNFINISHED,
        }
        return TemplateResponse(request, f"admin/sessions_app/{page}.html", context)

    @admin.display(description="forks")
    def forked_to(self, run: Run) -> Any:
        """The runs that are forks of it."""
        page = "admin:sessions_app_run_change"
        links = [(reverse(page, args=[fork.pk]), fork) for fork in run.forks.order_by("sequence")]
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
        return str(Feedback.objects.filter(run=run).first() or "")

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
