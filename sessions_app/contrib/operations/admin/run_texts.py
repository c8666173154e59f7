"""The admin's columns about runs, and the timeline of statuses, calls and questions."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import npgettext, pgettext, pgettext_lazy

from sessions_app.contrib.operations.admin import cells, question_texts
from sessions_app.contrib.operations.admin.cells import display_name
from sessions_app.contrib.operations.admin.read_only import USERNAME
from sessions_app.json_types import JsonObject
from sessions_app.models import Conversation, Event, Interaction, JournalEntry, Run
from sessions_app.questions.outcomes import via_words
from sessions_app.questions.question_view import QuestionView

TEXT_SHOWN = 80
# Lookups with which a search finds runs, or rows of other models by their run.
NAMES = (
    "pk__exact",
    "conversation__exact",
    "conversation__conversation_id__exact",
    f"conversation__owner__{USERNAME}__exact",
)
NAMES_HELP = pgettext_lazy("hitl", "Search whole IDs (run, conversation) and user names (owner)")
# Reasons of a stop, by error code. An exception of the workflow counts as result, not as crash.
RAISED = "workflow_error"
CAUSES = {
    RAISED: pgettext_lazy("hitl", "its code raised"),
    "crashed": pgettext_lazy("hitl", "its process died"),
    "blocked": pgettext_lazy("hitl", "it held up its process"),
    "NonDeterminism": pgettext_lazy("hitl", "its code does not match its journal"),
    "UnknownVersion": pgettext_lazy("hitl", "its version is not declared"),
    "workflow_unavailable": pgettext_lazy("hitl", "it cannot run here"),
}
# Maximum number of statuses, calls and questions in a timeline: the newest of each.
ROWS_SHOWN = 100
RESULT = 100
# Maximum characters of a stored call in the timeline; the call's own page shows all.
STORED = 4000
# Labels in the timeline for the statuses of a run.
STATES = {
    "queued": pgettext_lazy("hitl", "Queued"),
    "waiting": pgettext_lazy("hitl", "Waits"),
    "suspended": pgettext_lazy("hitl", "Suspended"),
    "completed": pgettext_lazy("hitl", "Completed"),
    "failed": pgettext_lazy("hitl", "Failed"),
    "cancelled": pgettext_lazy("hitl", "Stopped"),
}
# Kinds of calls that do work; other kinds wait, or take no time.
WORK = (JournalEntry.Kind.STEP, JournalEntry.Kind.STREAM, JournalEntry.Kind.RUN)


@admin.display(description=pgettext_lazy("hitl", "message"))
def message(run: Run) -> str:
    """Return the beginning of the user message."""
    return run.title


def link(run: Run) -> str:
    """Return a link to the run's page, with its message as text."""
    page = reverse("admin:sessions_app_run_change", args=[run.pk])
    return format_html('<a href="{}">{}</a>', page, run.title)


@admin.display(description=pgettext_lazy("hitl", "status"))
def state(run: Run) -> str:
    """Return the status in its colour, and the reason if the run was stopped by an error."""
    reason = cause(run)
    if not reason:
        return cells.colored(run.status)
    line = '{}<br><span class="quiet">{}</span>'
    return format_html(line, cells.colored(run.status), reason)


def cause(run: Run) -> str:
    """Return why the run stopped: the last line of its exception, or a text for the error's code.

    Empty if the run has no error.
    """
    error = run.error or {}
    code = str(error.get("code", ""))
    if code == RAISED and (lines := error.get("detail", "").strip().splitlines()):
        return Truncator(lines[-1]).chars(TEXT_SHOWN)
    return str(CAUSES.get(code, code))


@admin.display(description=pgettext_lazy("hitl", "started"), ordering="created_at")
def began(run: Run) -> str:
    return cells.moment(run.created_at)


@admin.display(description=pgettext_lazy("hitl", "chat"))
def chat(row: Run | Conversation) -> str:
    """Return a link to the conversation in the chat, which only its owner can open."""
    conversation = row.conversation if isinstance(row, Run) else row
    page = _page(conversation)
    if not page:
        return "–"
    owner = conversation.owner.get_username()
    only = pgettext("hitl", "only %(owner)s can open it") % {"owner": owner}
    return format_html('<a href="{}">{}</a> ({})', page, pgettext("hitl", "open the chat"), only)


def _page(conversation: Conversation) -> str:
    """Return the URL of the conversation in the chat.

    Empty if no application has such pages, or the project does not serve them.
    """
    for config in apps.get_app_configs():
        if name := getattr(config, "conversation_url", ""):
            with suppress(NoReverseMatch):
                return reverse(name, args=[conversation.conversation_id])
    return ""


@admin.display(description=pgettext_lazy("hitl", "where"))
def where(run: Run) -> str:
    """Return links to the run's conversation in the admin and in the chat."""
    conversation = run.conversation
    page = reverse("admin:sessions_app_conversation_change", args=[conversation.pk])
    line = '{} · {} · <a href="{}">{}</a> · {}'
    owner = display_name(conversation.owner)
    return format_html(line, run.workflow, owner, page, conversation, chat(run))


@admin.display(description=pgettext_lazy("hitl", "process crashes"))
def deaths(run: Run) -> int:
    """Return how often the run's process died since the run last made progress.

    A running run already counts its present execution, which is subtracted.
    """
    return max(run.crashes - (run.status == Run.Status.RUNNING), 0)


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline: a call, a question, or a change of the run's status.

    `state` is the status that selects the colour, `status` the label.
    """

    at: datetime
    state: str
    status: str
    position: int | None = None
    kind: str = ""
    works: bool = False
    name: str = ""
    took: timedelta | None = None
    retries: int = 0
    result: str = ""

    @property
    def duration(self) -> str:
        """The duration of the call, and the number of retries."""
        span = "" if self.took is None else cells.show_duration(self.took)
        retries = npgettext("hitl", "%(count)s retry", "%(count)s retries", self.retries)
        again = retries % {"count": self.retries} if self.retries else ""
        return ", ".join(filter(None, (span, again)))


def timeline(run: Run) -> list[Moment]:
    """Return the last statuses, calls and questions of a run, in order of time."""
    moments = [*_states(run), *_calls(run), *_prompts(run)]
    return sorted(moments, key=lambda line: line.at)


def slowest(moments: Iterable[Moment]) -> Moment | None:
    """Return the call that worked longest, if there are at least two."""
    work = [line for line in moments if line.works]
    return max(work, key=lambda line: line.took or timedelta()) if len(work) > 1 else None


def _states(run: Run) -> Iterator[Moment]:
    begun = False
    events = Event.objects.filter(run=run, type=Event.Type.RUN)
    for event in _last(events, "sequence"):
        status, payload = event.payload["status"], event.payload
        label = STATES.get(status, status)
        if status == Run.Status.RUNNING:
            label = (
                pgettext("hitl", "Taken up again")
                if begun or "replayed" in payload
                else pgettext("hitl", "Started")
            )
            begun = True
        yield Moment(event.created_at, status, str(label), result=_event_text(payload))


def _event_text(payload: JsonObject) -> str:
    replayed, error = payload.get("replayed"), payload.get("error") or {}
    calls = (
        ""
        if replayed is None
        else pgettext("hitl", "%(count)s calls replayed") % {"count": replayed}
    )
    parts = (calls, payload.get("reason"), error.get("message"))
    return "; ".join(str(part) for part in parts if part)


def _calls(run: Run) -> Iterator[Moment]:
    for entry in _last(JournalEntry.objects.filter(run=run), "position"):
        page = reverse("admin:sessions_app_journalentry_change", args=[entry.pk])
        state, status, detail = _outcome(entry)
        columns = {"arguments": entry.arguments, "difference": entry.difference}
        stored = {**columns, "result": entry.result, "error": entry.error}
        yield Moment(
            entry.started_at,
            state,
            status,
            position=entry.position,
            kind=cells.in_words(entry.get_kind_display(), entry.kind),
            works=entry.kind in WORK,
            name=format_html('<a href="{}">{}</a>', page, entry.name),
            took=(entry.finished_at or timezone.now()) - entry.started_at,
            retries=entry.attempts - 1,
            result=_folded(detail, stored),
        )


def _outcome(entry: JournalEntry) -> tuple[str, str, str]:
    """Return the state of a call, the label of the state, and the outcome in short."""
    if entry.finished_at is None:
        return "waiting", pgettext("hitl", "not finished"), ""
    if entry.error:
        return (
            "failed",
            pgettext("hitl", "failed"),
            str(entry.error.get("message") or cells.short(entry.error)),
        )
    return (
        "completed",
        pgettext("hitl", "done"),
        "" if entry.result is None else cells.short(entry.result),
    )


def _prompts(run: Run) -> Iterator[Moment]:
    rows = Interaction.objects.filter(run=run).select_related("answered_by")
    for row in _last(rows, "sequence"):
        outcome_text = QuestionView.of(row).outcome
        by = display_name(row.answered_by) if row.answered_by else ""
        line = outcome_text.line if outcome_text else ""
        person = ", ".join(filter(None, (by, via_words(row.answered_via))))
        stored = {"prompt": row.prompt, "response": row.response}
        settled_at = row.answered_at or timezone.now()
        yield Moment(
            row.created_at,
            row.status,
            cells.status_word(row.status),
            position=row.position,
            kind=pgettext("hitl", "question"),
            name=question_texts.link(row),
            took=settled_at - row.created_at,
            result=_folded(" – ".join(filter(None, (line, person))), stored),
        )


def _folded(summary: str, stored: JsonObject) -> str:
    """Return the outcome of a call as HTML that unfolds to the stored call."""
    kept = {name: value for name, value in stored.items() if value not in (None, "", {})}
    text = Truncator(cells.as_json(kept)).chars(STORED)
    return (
        cells.folded(Truncator(summary).chars(RESULT) or pgettext("hitl", "as stored"), text)
        if kept
        else ""
    )


def _last(rows: QuerySet[Any], order: str) -> list[Any]:
    return list(rows.order_by(f"-{order}")[:ROWS_SHOWN])[::-1]
