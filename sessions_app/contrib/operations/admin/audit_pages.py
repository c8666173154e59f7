"""The admin pages of the audit of prompts: entries as sentences, and their export."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.contrib.operations import audit_trail
from sessions_app.contrib.operations.admin import question_texts, run_texts
from sessions_app.contrib.operations.admin.cells import display_name, display_names, moment, short
from sessions_app.contrib.operations.admin.read_only import (
    DeclaredWorkflow,
    ReadOnlyAdmin,
    Via,
    column,
    keys_by,
)
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Interaction
from sessions_app.questions.outcomes import MAX_LINE_LENGTH, via_words
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage.spool import pieces, spool

# Maximum number of entries in an exported file; `manage.py export_audit` has no limit.
AT_MOST = 50_000
# Maximum number of audit entries, the newest ones, on a prompt's page.
ROWS_SHOWN = 100
STORED_FIELDS = ("action", "by", "by_name", "via", "question", "interaction", "run", "detail")
Action = AuditEntry.Action
TEMPLATES = {
    Action.OPENED: pgettext_lazy("hitl", "{question} was asked of {to}"),
    Action.SHOWN: pgettext_lazy("hitl", "{question} was delivered to {who}’s inbox"),
    Action.CLAIMED: pgettext_lazy("hitl", "{who} claimed {question}"),
    Action.RELEASED: pgettext_lazy("hitl", "{who} released {question}"),
    Action.DELEGATED: pgettext_lazy("hitl", "{who} handed {question} on to {to}"),
    Action.REASSIGNED: pgettext_lazy("hitl", "{who} reassigned {question} to {to}"),
    Action.ESCALATED: pgettext_lazy("hitl", "{who} escalated {question} to {to}"),
    Action.VOTED: pgettext_lazy("hitl", "{who} voted {answer} on {question}"),
    Action.ANSWERED: pgettext_lazy("hitl", "{who} answered {question} with {answer}"),
    Action.CANCELLED: pgettext_lazy("hitl", "{question} was cancelled, as its run ended first"),
}
# Sentences about actions that happened automatically, without a person.
IMPERSONAL = {
    Action.RELEASED: pgettext_lazy(
        "hitl", "{question} was released, as its person may answer no more"
    ),
    Action.ESCALATED: pgettext_lazy("hitl", "{question} was escalated to {to}"),
}
# Sentences about expiry. Key: (an operator ended the wait, the run got a default answer).
EXPIRED = {
    (False, True): pgettext_lazy(
        "hitl", "Nobody answered {question} in time: it went on with {answer}"
    ),
    (False, False): pgettext_lazy("hitl", "Nobody answered {question} in time"),
    (True, True): pgettext_lazy(
        "hitl", "{who} ended the wait for {question}: it went on with {answer}"
    ),
    (True, False): pgettext_lazy("hitl", "{who} ended the wait for {question}"),
}
# Only for a visit to the prompt's own page: in a list, nobody knows which cards were read.
OPENED_PAGE = pgettext_lazy("hitl", "{who} opened {question}")
QUOTED = ("question", "answer", "note")


def _export(label: Any, form: str, content_type: str) -> Callable[..., object]:
    @admin.action(description=label, permissions=["view"])
    def export(
        page: ReadOnlyAdmin, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> StreamingHttpResponse | None:
        if queryset.count() > AT_MOST:
            warning = pgettext(
                "hitl", "More than %(count)s entries: select fewer, or use manage.py export_audit."
            ) % {"count": AT_MOST}
            page.message_user(request, warning, messages.WARNING)
            return None
        headers = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
        file = spool(audit_trail.FORMATS[form](queryset.order_by("at", "pk").iterator()))
        return StreamingHttpResponse(pieces(file), content_type=content_type, headers=headers)

    return export


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The admin pages of audit entries, the newest first."""

    time = column(pgettext_lazy("hitl", "time"), lambda entry: moment(entry.at), ordering="at")
    sentence = column(pgettext_lazy("hitl", "what happened"), lambda entry: entry.sentence.html)
    # The cell is empty if the prompt was deleted.
    prompt = column(
        pgettext_lazy("hitl", "question"),
        lambda row: question_texts.link(row.sentence.prompt) if row.sentence.prompt else "",
    )
    run_link = column(
        pgettext_lazy("hitl", "run"),
        lambda row: run_texts.link(row.sentence.prompt.run) if row.sentence.prompt else "",
    )
    list_display = ("time", "sentence", "workflow", "address")
    list_display_links = ("time",)
    list_filter = ("at", "action", ("via", Via), ("workflow", DeclaredWorkflow))
    search_fields = ("interaction__exact", "by_name__exact")
    searched = pgettext_lazy("hitl", "Search whole IDs (question, run) and user names")
    ordering = ("-at", "-pk")
    sortable_by = ("time",)
    readonly_fields = ("time", "sentence", "prompt", "run_link")
    fieldsets = (
        (None, {"fields": ("time", "prompt", "run_link", "workflow", "address")}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": STORED_FIELDS, "classes": ("collapse",)}),
    )
    actions = ("export_jsonl", "export_csv")
    export_jsonl = _export(
        pgettext_lazy("hitl", "Export as JSON lines"), "jsonl", "application/jsonl"
    )
    export_csv = _export(pgettext_lazy("hitl", "Export as CSV"), "csv", "text/csv; charset=utf-8")

    def named(self, term: str) -> list[QuerySet[Any]]:
        """Return the matching keys; a run's id finds entries of its prompts, while it is stored."""
        prompts = keys_by(Interaction, ("run__exact",), term)
        of_run = [AuditEntry.objects.filter(interaction__in=keys).values("pk") for keys in prompts]
        return [*super().named(term), *of_run]

    def read_beside(self, rows: Sequence[Any]) -> None:
        """Set the sentence of each entry."""
        for entry, sentence in zip(rows, read_sentences(rows), strict=True):
            entry.sentence = sentence

    def title_of(self, row: Any) -> str:
        return str(row.sentence)


@admin.display(description=pgettext_lazy("hitl", "audit"))
def audit_table(interaction: Interaction) -> str:
    """Show the audit of a prompt as sentences, the newest last."""
    entries = audit_trail.of_prompt(interaction)[-ROWS_SHOWN:]
    lines = zip(entries, read_sentences(entries), strict=True)
    rows = ((moment(entry.at), sentence.html, entry.address) for entry, sentence in lines)
    cells = "<tr><td>{}</td><td>{}</td><td>{}</td></tr>"
    return format_html("<table>{}</table>", format_html_join("", cells, rows))


@dataclass(frozen=True, slots=True)
class Sentence:
    """The sentence that describes an audit entry, and the prompt that the entry is about."""

    template: str
    values: dict[str, str]
    # The prompt of the entry; None if the prompt was deleted.
    prompt: Interaction | None

    @property
    def html(self) -> str:
        """The sentence as HTML."""
        quoted = {name: format_html("<em>{}</em>", self.values[name]) for name in QUOTED}
        return format_html(self.template, **(self.values | quoted))

    def __str__(self) -> str:
        quoted = {name: f"“{self.values[name]}”" for name in QUOTED}
        return self.template.format(**(self.values | quoted))


def read_sentences(entries: Sequence[AuditEntry]) -> list[Sentence]:
    """Return the sentence of each entry; two queries suffice for any number of entries."""
    rows = Interaction.objects.select_related("run__conversation__owner")
    prompts = rows.in_bulk({entry.interaction for entry in entries})
    people = display_names(entry.by for entry in entries if entry.by)
    return [_sentence(entry, prompts, people) for entry in entries]


def _sentence(
    entry: AuditEntry, prompts: dict[UUID, Interaction], people: dict[str, str]
) -> Sentence:
    prompt, detail = prompts.get(entry.interaction), entry.detail
    values = {
        "who": people.get(entry.by) or entry.by_name,
        "question": entry.question,
        "to": ", ".join(_asked(entry, prompt)),
        "answer": _answer(detail.get("response"), prompt),
        "behalf": ", ".join(detail.get("behalf", ())),
        "note": detail.get("note", ""),
        "via": via_words(entry.via),
    }
    return Sentence(_template(entry, values), values, prompt)


def _template(entry: AuditEntry, values: dict[str, str]) -> str:
    action = Action(entry.action)
    if action == Action.SHOWN:
        return str(OPENED_PAGE if entry.via == "page" else TEMPLATES[action])
    is_impersonal = not values["who"] and action in IMPERSONAL
    template = (
        EXPIRED[bool(values["who"]), bool(values["answer"])]
        if action == Action.EXPIRED
        else (IMPERSONAL if is_impersonal else TEMPLATES)[action]
    )
    tails = {
        "behalf": pgettext_lazy("hitl", ", on behalf of {behalf}"),
        "via": ", {via}",
        "note": ": {note}",
    }
    kept = (str(tail) for name, tail in tails.items() if values[name])
    return "".join((str(template), *kept))


def _asked(entry: AuditEntry, prompt: Interaction | None) -> Iterable[str]:
    """Return the people asked: the names in the entry, else the conversation's owner."""
    key = "names" if entry.action == Action.OPENED else "to"
    if names := entry.detail.get(key):
        return [str(name) for name in names]
    return [display_name(prompt.run.conversation.owner)] if prompt else ["–"]


def _answer(response: JsonObject | None, prompt: Interaction | None) -> str:
    """Return an answer with the labels of options, or as stored if the prompt was deleted."""
    if response is None:
        return ""
    if prompt is not None:
        return Truncator(QuestionView.of(prompt).answer_text(response)).chars(MAX_LINE_LENGTH)
    value = response.get("value", response.get("values"))
    return value if isinstance(value, str) else short(value)
