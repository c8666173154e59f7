"""The texts of a question's outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.models import Interaction
from sessions_app.models.people import full_name
from sessions_app.prompts import AnyPrompt, FieldText, FormPrompt


@dataclass(frozen=True, slots=True)
class OutcomeText:
    """The outcome of a question in words; `full` is the whole answer if `line` cuts it."""

    status: str
    line: str
    full: str = ""
    by: str = ""
    at: datetime | None = None
    via: str = ""
    # The fields of an answered form. `is_decision`: the answer approves or rejects something; False
    # only for a plain form, without proposed values.
    fields: Sequence[FieldText] = ()
    is_decision: bool = False


MAX_LINE_LENGTH = 120
# Phrases that tell from where a person answered, by front end.
VIA = {
    "websocket": pgettext_lazy("hitl", "from the chat"),
    "page": pgettext_lazy("hitl", "from the chat"),
    "inbox": pgettext_lazy("hitl", "from the inbox"),
    "admin": pgettext_lazy("hitl", "from the admin"),
    "http": pgettext_lazy("hitl", "through the HTTP interface"),
    "python": pgettext_lazy("hitl", "by this site"),
}


def outcome(interaction: Interaction, prompt: AnyPrompt) -> OutcomeText | None:
    """Return the outcome of a settled question; None while it is pending."""
    if interaction.status == Interaction.Status.PENDING:
        return None
    at = interaction.answered_at
    if interaction.status == Interaction.Status.ANSWERED:
        text = prompt.answer_text(interaction.response or {})
        fits = len(text) <= MAX_LINE_LENGTH and "\n" not in text.strip()
        line, full = (text, "") if fits else (text[:MAX_LINE_LENGTH].strip() + "…", text)
        by = interaction.answered_by
        name = full_name(by) if by else pgettext("hitl", "someone")
        return OutcomeText(
            interaction.status,
            line,
            full,
            by=name,
            at=at,
            via=via_words(interaction.answered_via),
            fields=prompt.texts(interaction.response or {}),
            is_decision=not isinstance(prompt, FormPrompt) or prompt.proposal,
        )
    if interaction.status == Interaction.Status.CANCELLED:
        line = pgettext("hitl", "Cancelled – the run no longer waits for it.")
    elif interaction.response is None:
        line = pgettext("hitl", prompt.error)
    else:
        default = prompt.answer_text(interaction.response)[:MAX_LINE_LENGTH]
        line = pgettext("hitl", "No answer in time: continued with “%(default)s”.") % {
            "default": default
        }
    return OutcomeText(interaction.status, line, at=at)


def via_words(via: str) -> str:
    """Return the phrase that tells from which front end a person answered."""
    return str(VIA.get(via, ""))
