"""The admin pages of notices (mails and webhooks): recipients, and sending states."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.contrib.operations import repairs
from sessions_app.contrib.operations.admin import question_texts, run_texts
from sessions_app.contrib.operations.admin.cells import display_names, due, moment
from sessions_app.contrib.operations.admin.read_only import (
    ConditionFilter,
    ReadOnlyAdmin,
    column,
    operation,
)
from sessions_app.models import Interaction, PendingSignal, Run
from sessions_app.signals.notice_kinds import NoticeKind, kinds

ROWS_SHOWN = 100
COLORS = {
    "sent": "completed",
    "sending": "running",
    "waits": "waiting",
    "failing": "failed",
    "given_up": "failed",
    "not_sent": "idle",
}


def notices(signals: QuerySet[Any]) -> QuerySet[Any]:
    """Return the notices (mails and webhooks) among the signals, each with its `state`."""
    states = (
        When(condition(), then=Value(name))
        for name, (_words, condition) in NoticeStateFilter.conditions.items()
    )
    rows: QuerySet[Any] = signals.filter(name=PendingSignal.NOTICE).annotate(state=Case(*states))
    return rows


def name_people(rows: Sequence[Any]) -> None:
    """Set the recipient's name on personal notices, in one query."""
    pairs = [(row, kind) for row in rows if (kind := _kind(row)) and kind.is_personal]
    keys = {row.pk: row.about[kind.key] for row, kind in pairs}
    names = display_names(keys.values())
    for row in rows:
        row.person = names.get(keys.get(row.pk, ""), "")


def _kind(notice: Any) -> NoticeKind | None:
    return next((kind for kind in kinds.values() if kind.key in notice.about), None)


class NoticeKindFilter(admin.SimpleListFilter):
    """A filter by the kinds of notices that applications have added with `add_kind`."""

    title = pgettext_lazy("hitl", "kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(kind.key, str(kind.title)) for kind in kinds.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(about__has_key=value) if value in kinds else queryset


class NoticeStateFilter(ConditionFilter):
    """A filter of mails and webhooks by outcome."""

    title = pgettext_lazy("hitl", "status")
    parameter_name = "state"
    conditions: ClassVar = {
        "sent": (pgettext_lazy("hitl", "sent"), lambda: repairs.SENT),
        "sending": (
            pgettext_lazy("hitl", "is being sent"),
            lambda: repairs.TO_BE_SENT & Q(error="") & _is_taken(),
        ),
        "waits": (
            pgettext_lazy("hitl", "waits"),
            lambda: repairs.TO_BE_SENT & Q(error="") & ~_is_taken(),
        ),
        "failing": (
            pgettext_lazy("hitl", "failed, is tried again"),
            lambda: repairs.TO_BE_SENT & ~Q(error=""),
        ),
        "given_up": (pgettext_lazy("hitl", "given up"), lambda: repairs.GIVEN_UP),
        "not_sent": (
            pgettext_lazy("hitl", "need not be sent"),
            lambda: ~(repairs.TO_BE_SENT | repairs.SENT | repairs.GIVEN_UP),
        ),
    }


def _is_taken() -> Q:
    """Return the condition on notices that a process is sending, or is about to."""
    return Q(attempts__gt=0) | Q(due_at__lte=timezone.now())


@admin.display(description=pgettext_lazy("hitl", "notice"))
def what(notice: Any) -> str:
    """Name a notice's recipient or content, in the words of the application that sends it."""
    kind = _kind(notice)
    if kind is None:
        return pgettext("hitl", "notice")
    return kind.describe(notice.person if kind.is_personal else notice.about[kind.key])


@admin.display(description=pgettext_lazy("hitl", "status"))
def state(notice: Any) -> str:
    """Return the outcome of a notice, or the state of an unsent one, as HTML."""
    words = NoticeStateFilter.conditions[notice.state][0]
    if notice.state == "not_sent":
        words = notice.get_outcome_display()
    return format_html('<span class="state {}">{}</span>', COLORS[notice.state], words)


@admin.display(description=pgettext_lazy("hitl", "when"))
def when(notice: PendingSignal) -> str:
    """Return the time when the notice was settled, or when the next attempt is due."""
    return moment(notice.settled_at) or due(notice.due_at)


@admin.display(description=pgettext_lazy("hitl", "mails and webhooks"))
def of_prompt(interaction: Interaction) -> str:
    """Show the sent, waiting and failed notices about a prompt, the newest last."""
    signals = PendingSignal.objects.filter(interaction=interaction)
    rows = list(notices(signals).order_by("-pk")[:ROWS_SHOWN])[::-1]
    page = "admin:sessions_app_pendingsignal_change"
    name_people(rows)
    lines = (
        (reverse(page, args=[row.pk]), what(row), state(row), when(row), row.error) for row in rows
    )
    cells = '<tr><td><a href="{}">{}</a></td><td>{}</td><td>{}</td><td>{}</td></tr>'
    table = format_html("<table>{}</table>", format_html_join("", cells, lines))
    return table if rows else ""


@admin.display(description=pgettext_lazy("hitl", "mails and webhooks"))
def of_run(run: Run) -> str:
    """Count the notices about a run's questions by state, with links."""
    rows = notices(PendingSignal.objects.filter(run=run))
    counts = dict(rows.values_list("state").annotate(Count("pk")))
    page = reverse("admin:sessions_app_pendingsignal_changelist")
    parts = [
        (page, run.pk, name, counts[name], words)
        for name, (words, _condition) in NoticeStateFilter.conditions.items()
        if name in counts
    ]
    return format_html_join(" · ", '<a href="{}?run__id__exact={}&state={}">{} {}</a>', parts)


@admin.register(PendingSignal)
class NoticeAdmin(ReadOnlyAdmin):
    """The admin pages of mails and webhooks, each with its outcome or its last error."""

    question = column(
        pgettext_lazy("hitl", "question"),
        lambda notice: question_texts.link(notice.interaction) if notice.interaction else "",
    )
    run_link = column(pgettext_lazy("hitl", "run"), lambda notice: run_texts.link(notice.run))
    list_display = (what, "question", state, when, "attempts", "error")
    list_filter = (NoticeStateFilter, NoticeKindFilter)
    linked_by = ("run",)
    related = ("interaction",)
    ordering = ("-pk",)
    readonly_fields = (what, "question", "run_link", state, when)
    fieldsets = (
        (None, {"fields": (*readonly_fields, "attempts", "error")}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": ("about",), "classes": ("collapse",)}),
    )
    actions = ("send_again", "give_up")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return only the notices; other signals are for a project's own code."""
        return notices(super().get_queryset(request))

    def read_beside(self, rows: Sequence[Any]) -> None:
        """Set the recipient's name on personal notices."""
        name_people(rows)

    def title_of(self, row: Any) -> str:
        return what(row)

    def applies(self, action: str, row: PendingSignal) -> bool:
        """Return whether the notice is unsent; one that was given up can be sent again."""
        given_up = row.outcome == PendingSignal.Outcome.GIVEN_UP
        return row.due_at is not None or (action == "send_again" and given_up)

    send_again = operation(
        pgettext_lazy("hitl", "Send now"),
        lambda notice, _by: repairs.send_again(notice.pk),
        done=pgettext_lazy("hitl", "told to be sent now"),
        refusal=pgettext_lazy("hitl", "It has gone out, or need not."),
    )
    give_up = operation(
        pgettext_lazy("hitl", "Give up"),
        lambda notice, _by: repairs.give_up(notice.pk),
        done=pgettext_lazy("hitl", "given up"),
        refusal=pgettext_lazy("hitl", "It does not wait."),
    )
