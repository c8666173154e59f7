"""The admin pages of runs: their timeline, and the actions stop, resume, fork and send."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, cast
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import linebreaksbr
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app import runs
from sessions_app.contrib.operations import repairs
from sessions_app.contrib.operations.admin import (
    cells,
    notice_pages,
    question_texts,
    run_texts,
    run_waits,
)
from sessions_app.contrib.operations.admin.conversation_pages import EventsInline
from sessions_app.contrib.operations.admin.read_only import (
    INLINE_ROWS,
    ConditionFilter,
    DeclaredWorkflow,
    KnownValues,
    ReadOnlyAdmin,
    column,
    operation,
)
from sessions_app.conversations.messages import MAX_NAME
from sessions_app.conversations.resumption import is_resumable
from sessions_app.errors import SessionsError
from sessions_app.journal.journal import Journal, JournalRecord
from sessions_app.json_types import JsonObject
from sessions_app.models import Arrival, Feedback, JournalEntry, Run
from sessions_app.runs import Outcome, requests
from sessions_app.workflows import registry

TEXT_FIELDS = (
    "whole_message",
    run_texts.state,
    "problem",
    "detail",
    "replay_problem",
    run_texts.where,
    cells.took,
    "opinion",
    notice_pages.of_run,
)
STORED_FIELDS = (
    ("id", "everything"),
    ("key", "version", "generation", run_texts.deaths),
    ("created_at", "started_at", "finished_at"),
    ("wake_at", "stop_requested_at"),
    ("message_id", "client_format"),
    ("parent", "children"),
    ("forked_from", "fork_position", "forked_to"),
    "follows",
    ("metadata", "patches"),
)


# Titles of the pages with a form.
TITLES = {"fork": pgettext_lazy("hitl", "Fork"), "send": pgettext_lazy("hitl", "Send")}


class Cause(ConditionFilter):
    """A filter of runs by the code of the error that stopped them."""

    title = pgettext_lazy("hitl", "why it stopped")
    parameter_name = "cause"
    conditions: ClassVar = {
        code: (words, partial(Q, error__code=code)) for code, words in run_texts.CAUSES.items()
    }


class DeclaredVersion(KnownValues):
    """A filter of runs by the versions that workflows declare."""

    @staticmethod
    def known() -> list[int]:
        """Return the numbers of all declared versions."""
        workflows = registry.declared_workflows().values()
        return sorted({each.version for workflow in workflows for each in workflow.versions})


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """The admin pages of runs, each with its interactions, journal and events."""

    owner = column(
        pgettext_lazy("hitl", "user"), lambda run: cells.display_name(run.conversation.owner)
    )
    # Column with the error message that people have seen.
    problem = column(
        pgettext_lazy("hitl", "error"), lambda run: (run.error or {}).get("message", "")
    )
    opinion = column(
        pgettext_lazy("hitl", "feedback"),
        lambda run: Feedback.objects.filter(run=run).first() or "",
    )
    list_display = (
        run_texts.message,
        run_texts.state,
        run_waits.waits_for,
        "workflow",
        "owner",
        run_texts.began,
        cells.took,
    )
    list_filter = (
        "status",
        "created_at",
        Cause,
        ("workflow", DeclaredWorkflow),
        ("version", DeclaredVersion),
        ("replay_problem", admin.EmptyFieldListFilter),
        ("parent", admin.EmptyFieldListFilter),
    )
    related = ("conversation__owner",)
    linked_by = ("finished_at",)
    search_fields = run_texts.NAMES
    searched = run_texts.NAMES_HELP
    change_form_template = "admin/sessions_app/run.html"
    ordering = ("-created_at",)
    sortable_by = (run_texts.began,)
    fieldsets = (
        (None, {"fields": TEXT_FIELDS}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": STORED_FIELDS, "classes": ("collapse",)}),
    )
    readonly_fields = (*TEXT_FIELDS, run_texts.deaths, "everything", "forked_to", "children")
    inlines = (EventsInline,)
    actions = ("resume", "cancel", "fork", "send")
    pages = ("fork", "send")

    def read_beside(self, rows: Sequence[Any]) -> None:
        """Set `waits` on each run: the questions and calls that it waits for."""
        run_waits.note_waits(rows)

    def render_change_form(
        self, request: HttpRequest, context: JsonObject, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the run's state, and the questions to be answered, to the top of the page."""
        may_answer = request.user.has_perm("sessions_app.change_interaction")
        context |= {"lines": run_waits.lines(context["original"]), "may_answer": may_answer}
        return super().render_change_form(request, context, *args, **kwargs)

    def applies(self, action: str, row: Run) -> bool:
        """Return whether the action fits the run's status: unfinished to stop, stopped to resume,
        and so on.
        """
        if action == "cancel":
            return row.status not in Run.FINISHED
        if action == "resume":
            return is_resumable(row)
        if action == "send":  # a row without a key stands for all rows of a filtered list
            return row.status not in Run.FINISHED and (not row.key or bool(awaited_names(row)))
        return super().applies(action, row)

    cancel = operation(
        pgettext_lazy("hitl", "Stop"),
        lambda run, _by: repairs.carry_out(requests.cancel, run.pk),
        done=pgettext_lazy("hitl", "asked to stop"),
        refusal=pgettext_lazy("hitl", "It has ended."),
    )
    resume = operation(
        pgettext_lazy("hitl", "Resume"),
        lambda run, by: repairs.carry_out(requests.resume, run.pk, by=by),
        done=pgettext_lazy("hitl", "resumed"),
        refusal=pgettext_lazy(
            "hitl",
            "It has not failed and is not suspended, or another run began it: resume that one.",
        ),
    )

    @admin.action(description=pgettext_lazy("hitl", "Fork"), permissions=["operate"])
    def fork(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        return self.go_to(request, "fork", queryset, pgettext_lazy("hitl", "Fork one at a time."))

    @admin.action(
        description=pgettext_lazy("hitl", "Send what it waits for"), permissions=["operate"]
    )
    def send(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        return self.go_to(
            request, "send", queryset, pgettext_lazy("hitl", "Send to one at a time.")
        )

    def fork_view(self, request: HttpRequest, run: Run) -> HttpResponse:
        """Ask for a position of the journal, and fork the run there."""
        form = ForkForm(request.POST or None, run=run)
        if request.method == "POST" and form.is_valid():
            position, key = form.cleaned_data["position"], form.cleaned_data["key"]
            by = cast(AbstractBaseUser, request.user)  # never anonymous: staff-only page
            try:
                fork = repairs.carry_out(requests.fork, run.pk, position=position, by=by, key=key)
            except SessionsError as error:
                form.add_error(None, str(error))
            else:
                text = pgettext(
                    "hitl", "forked from position %(position)s by an operator: %(fork)s"
                )
                change_message = text % {"position": position, "fork": fork}
                self.log_change(request, run, change_message)
                self.message_user(
                    request, pgettext("hitl", "This is the new run."), messages.SUCCESS
                )
                return HttpResponseRedirect(self.link("change", fork))
        return self._form_page(request, "fork", run, form)

    def send_view(self, request: HttpRequest, run: Run) -> HttpResponse:
        """Ask the operator for a name and a payload, and send them to the run."""
        form = SendForm(request.POST or None, run=run)
        if request.method == "POST" and form.is_valid():
            name, payload, key = (form.cleaned_data[field] for field in ("name", "payload", "key"))
            try:
                outcome = runs.send(run.pk, name, payload, id=key)
            except SessionsError as error:
                form.add_error(None, str(error))
            else:
                self._say_sent(request, run, name, outcome)
                return HttpResponseRedirect(self.link("change", run.pk))
        return self._form_page(request, "send", run, form)

    def _say_sent(self, request: HttpRequest, run: Run, name: str, outcome: Outcome) -> None:
        if outcome == Outcome.STALE:
            text = pgettext("hitl", "%(run)s: not sent. It has ended.") % {"run": run}
            self.message_user(request, text, messages.WARNING)
            return
        if outcome == Outcome.ACCEPTED:
            self.log_change(
                request, run, pgettext("hitl", "sent %(name)s by an operator") % {"name": name}
            )
        text = pgettext("hitl", "%(run)s: sent %(name)s.") % {"run": run, "name": name}
        self.message_user(request, text, messages.SUCCESS)

    def _form_page(
        self, request: HttpRequest, page: str, run: Run, form: forms.Form
    ) -> HttpResponse:
        title = f"{TITLES[page]}: {run.text[:60]}"
        goes_on = run.status in Run.UNFINISHED
        return self.form_page(request, page, title, original=run, form=form, goes_on=goes_on)

    @admin.display(description=pgettext_lazy("hitl", "forks"))
    def forked_to(self, run: Run) -> object:
        page = "admin:sessions_app_run_change"
        links = [(reverse(page, args=[fork.pk]), fork) for fork in run.forks.order_by("sequence")]
        return format_html_join(", ", '<a href="{}">{}</a>', links)

    @admin.display(description=pgettext_lazy("hitl", "message"))
    def whole_message(self, run: Run) -> str:
        """Return the whole message as HTML; empty if the page's title already shows all of it."""
        return "" if run.text == run.title else format_html('<div class="said">{}</div>', run.text)

    @admin.display(description=pgettext_lazy("hitl", "error in detail"))
    def detail(self, run: Run) -> object:
        """Show the error detail that only operators see."""
        beginning, _, rest = (run.error or {}).get("detail", "").partition("\n\n")
        return cells.folded(linebreaksbr(beginning), rest) if rest else linebreaksbr(beginning)

    @admin.display(description=pgettext_lazy("hitl", "children"))
    def children(self, run: Run) -> object:
        if not (count := run.children.count()):
            return ""
        url = reverse("admin:sessions_app_run_changelist")
        return format_html('<a href="{}?parent__id__exact={}">{}</a>', url, run.pk, count)

    @admin.display(description=pgettext_lazy("hitl", "all of it"))
    def everything(self, run: Run) -> object:
        query = f"?run__id__exact={run.pk}"
        return format_html(
            '<a href="{}{query}">{}</a> · <a href="{}{query}">{}</a>',
            reverse("admin:sessions_app_event_changelist"),
            pgettext("hitl", "all events"),
            reverse("admin:sessions_app_journalentry_changelist"),
            pgettext("hitl", "whole journal"),
            query=query,
        )


class ForkForm(forms.Form):
    """A choice among a run's last journal positions; `key` makes a double click harmless."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=MAX_NAME)

    def __init__(self, *args: Any, run: Run, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        journal = Journal.load(run.id)
        self.fields["key"].initial = uuid4().hex
        self.fields["position"] = forms.TypedChoiceField(
            label=pgettext_lazy("hitl", "First call to repeat"),
            choices=_choices(journal),
            coerce=int,
            initial=journal.last_position or 1,
            widget=forms.RadioSelect,
        )


def _choices(journal: Journal) -> list[tuple[int, str]]:
    entries, next_position = journal.entries[-INLINE_ROWS:], journal.last_position + 1
    choices = {entry.call.position: _call(entry) for entry in entries}
    first_call = choices.get(1, pgettext("hitl", "its first call"))
    beginning = pgettext("hitl", "%(call)s (nothing is kept)") % {"call": first_call}
    choices |= {1: beginning, next_position: pgettext("hitl", "what comes after all of these")}
    return [(position, f"{position} · {choices[position]}") for position in sorted(choices)]


def _call(entry: JournalRecord) -> str:
    """Describe a call and its outcome, as in the timeline."""
    if entry.prompt:
        call = f"{pgettext('hitl', 'question')} {question_texts.beginning(entry.prompt)}"
    else:
        call = f"{JournalEntry.Kind(entry.call.kind).label} {entry.call.name}"
    outcome = cells.outcome(entry.result, entry.error, finished=entry.finished)
    return ": ".join(filter(None, (call, outcome)))


class SendForm(forms.Form):
    """A choice of a name that the run waits for, and JSON to send; a double click is harmless.

    `runs.send` validates the input, as for every other sender.
    """

    key = forms.CharField(widget=forms.HiddenInput, max_length=MAX_NAME)

    def __init__(self, *args: Any, run: Run, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = uuid4().hex
        # Keep the sent name as a choice: at a double click, the run may no longer wait for it.
        arrivals = Arrival.objects.filter(run=run, sent_id=self.data.get("key", ""))
        names = dict.fromkeys([*awaited_names(run), *arrivals.values_list("name", flat=True)])
        self.fields["name"] = forms.ChoiceField(
            label=pgettext_lazy("hitl", "What it waits for"),
            choices=[(name, name) for name in names],
            initial=next(iter(names), None),
            widget=forms.RadioSelect,
        )
        self.fields["payload"] = forms.JSONField(
            label=pgettext_lazy("hitl", "What wait_for returns, as JSON"),
            help_text=pgettext_lazy("hitl", "A text has quotation marks. Empty is null."),
            required=False,
        )


def awaited_names(run: Run) -> list[str]:
    """Return the names that the run waits for with `wait_for`, in the order of the calls."""
    waits = JournalEntry.objects.filter(run=run, kind=JournalEntry.Kind.WAIT, finished_at=None)
    return list(dict.fromkeys(waits.order_by("position").values_list("name", flat=True)))
