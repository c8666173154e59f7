"""The audit in words: each entry as a sentence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin.cells import short
from sessions_app.contrib.operations.admin.people_texts import display_name, display_names
from sessions_app.interactions.outcome_texts import LINE, via_words
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Interaction
from sessions_app.prompts import load_prompt

Action = AuditEntry.Action
TEMPLATES = {
    Action.OPENED: _("{question} was asked of {to}"),
    Action.SHOWN: _("{who} opened {question}"),
    Action.CLAIMED: _("{who} took over {question}"),
    Action.RELEASED: _("{who} released {question}"),
    Action.DELEGATED: _("{who} handed {question} on to {to}"),
    Action.REASSIGNED: _("{who} reassigned {question} to {to}"),
    Action.ESCALATED: _("{who} escalated {question} to {to}"),
    Action.VOTED: _("{who} voted {answer} on {question}"),
    Action.ANSWERED: _("{who} answered {question} with {answer}"),
    Action.CANCELLED: _("{question} was cancelled, as its run ended first"),
}
# Where nobody did it, or nothing came of it.
IMPERSONAL = {
    Action.RELEASED: _("{question} was released, as its person may answer no more"),
    Action.ESCALATED: _("{question} was escalated to {to}"),
}
# By whether a person ended it, and whether it went on with an answer.
EXPIRED = {
    (False, True): _("Nobody answered {question} in time: it went on with {answer}"),
    (False, False): _("Nobody answered {question} in time"),
    (True, True): _("{who} ended the wait for {question}: it went on with {answer}"),
    (True, False): _("{who} ended the wait for {question}"),
}
QUOTED = ("question", "answer", "note")


@dataclass(frozen=True, slots=True)
class Sentence:
    """The sentence of an entry, its question, answer and note set off, and its prompt."""

    template: str
    values: dict[str, str]
    # None where it was deleted.
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
    """Read the sentences of entries, in two queries however many they are."""
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
    is_impersonal = not values["who"] and action in IMPERSONAL
    template = (
        EXPIRED[bool(values["who"]), bool(values["answer"])]
        if action == Action.EXPIRED
        else (IMPERSONAL if is_impersonal else TEMPLATES)[action]
    )
    tails = {"behalf": _(", on behalf of {behalf}"), "via": ", {via}", "note": ": {note}"}
    kept = (str(tail) for name, tail in tails.items() if values[name])
    return "".join((str(template), *kept))


def _asked(entry: AuditEntry, prompt: Interaction | None) -> Iterable[str]:
    """Return whom the entry offers the prompt: those it names, else the conversation's owner."""
    key = "names" if entry.action == Action.OPENED else "to"
    if names := entry.detail.get(key):
        return [str(name) for name in names]
    return [display_name(prompt.run.conversation.owner)] if prompt else ["–"]


def _answer(response: JsonObject | None, prompt: Interaction | None) -> str:
    """Return an answer by its labels; as it is stored where its prompt is gone."""
    if response is None:
        return ""
    if prompt is not None:
        return Truncator(load_prompt(prompt.prompt).answer_text(response)).chars(LINE)
    value = response.get("value", response.get("values"))
    return value if isinstance(value, str) else short(value)
