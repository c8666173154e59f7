"""What became of a question, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext, ngettext

from sessions_app.models import Interaction
from sessions_app.prompts import AnyPrompt, FieldText, FormPrompt, load_prompt


@dataclass(frozen=True, slots=True)
class OutcomeText:
    """`line` is the short form, `full` the whole text of an answer that does not fit into it."""

    status: str
    line: str
    full: str = ""
    by: str = ""
    at: datetime | None = None
    via: str = ""
    # Of a form: its fields.
    fields: Sequence[FieldText] = ()


LINE = 120


def outcome(interaction: Interaction) -> OutcomeText | None:
    """The outcome of a settled question; None while it is pending."""
    if interaction.status == Interaction.Status.PENDING:
        return None
    prompt = load_prompt(interaction.prompt)
    at = interaction.answered_at
    if interaction.status == Interaction.Status.ANSWERED:
        text = answer_text(prompt, interaction.response or {})
        fits = len(text) <= LINE and "\n" not in text.strip()
        line, full = (text, "") if fits else (text[:LINE].strip() + "…", text)
        by = interaction.answered_by
        name = by.get_username() if by else gettext("someone")
        via = via_words(interaction.answered_via)
        fields = prompt.texts(interaction.response or {}) if prompt.input_type == "form" else ()
        return OutcomeText(interaction.status, line, full, by=name, at=at, via=via, fields=fields)
    if interaction.status == Interaction.Status.CANCELLED:
        line = gettext("No longer needed: the run ended first.")
    elif interaction.response is None:
        line = prompt.error
    else:
        default = answer_text(prompt, interaction.response)[:LINE]
        line = gettext("No answer in time: it went on with “%(default)s”.") % {"default": default}
    return OutcomeText(interaction.status, line, at=at)


def answer_text(prompt: AnyPrompt, response: dict[str, Any]) -> str:
    """The stored answer as people read it: labels for values."""
    if prompt.input_type == "notification":
        return gettext("Seen")
    if prompt.input_type == "text":
        return str(response.get("value", "")) or gettext("(empty)")
    if prompt.input_type == "oauth_consent":
        return gettext("Declined") if response.get("value") == "declined" else gettext("Done")
    if prompt.input_type == "form":
        return _form_text(prompt, response)
    values = response["values"] if "values" in response else [response["value"]]
    labels = [prompt.find(value).label for value in values]
    return ", ".join(labels) or gettext("(nothing chosen)")


def _form_text(prompt: FormPrompt[Any], response: dict[str, Any]) -> str:
    """Of a proposal what was changed; else what was given."""
    if response.get("rejected"):
        return prompt.reject or gettext("Rejected")
    texts = prompt.texts(response)
    if not prompt.proposal:
        return "; ".join(f"{one.label}: {one.after}" for one in texts)
    changes = [f"{one.label}: {one.before} → {one.after}" for one in texts if one.is_changed]
    return "; ".join([prompt.submit or gettext("Approved"), *changes])


def waits_for(interaction: Interaction) -> str:
    """For whom an assigned prompt waits: who has claimed it, else those whom it names."""
    if interaction.assignee is not None:
        name = interaction.assignee.get_username()
        return gettext("%(name)s is on it") % {"name": name}
    names = ", ".join((interaction.assignment or {}).get("names", ()))
    return gettext("Waiting for %(names)s") % {"names": names}


def via_words(via: str) -> str:
    """From where an answer came."""
    return {
        "websocket": gettext("from the chat"),
        "page": gettext("from the page"),
        "inbox": gettext("from the inbox"),
        "admin": gettext("from the admin"),
        "http": gettext("over the HTTP interface"),
        "python": gettext("by this site"),
    }.get(via, "")


def range_words(least: int, most: int | None, options: int) -> str:
    """How many options a checkbox prompt takes."""
    most = min(most or options, options)
    if least == most:
        return ngettext("Choose %(n)d.", "Choose %(n)d.", least) % {"n": least}
    if not least:
        return "" if most == options else gettext("Choose up to %(n)d.") % {"n": most}
    if most == options:
        return gettext("Choose at least %(n)d.") % {"n": least}
    return gettext("Choose %(least)d to %(most)d.") % {"least": least, "most": most}
