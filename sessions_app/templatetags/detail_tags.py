"""The HTML of a prompt's details and of a tool call's arguments, for the chat and the admin."""

import unicodedata
from collections.abc import Iterable

from django import template
from django.forms import BoundField, JSONField
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from sessions_app.json_types import JsonObject
from sessions_app.prompts import AnyPrompt
from sessions_app.prompts.details import is_misread, rows
from sessions_app.prompts.forms.data import texts
from sessions_app.prompts.hidden_characters import has_hidden, is_hidden, marks_in_words

register = template.Library()
HIDDEN_CHARACTER = '<span class="hidden-character" title="{}">U+{}</span>'
QUOTED = '<span class="quote">"</span><bdi>{}</bdi><span class="quote">"</span>'


@register.inclusion_tag("sessions_app/decision.html")
def decision(prompt: AnyPrompt, *, beside_form: bool = False) -> JsonObject:
    """Render a prompt's details, and the arguments of a tool call.

    `beside_form` leaves out arguments that are fields of the prompt's form.
    """
    arguments = [row for row in prompt.arguments_shown if not (beside_form and row.is_editable)]
    return {"rows": rows(prompt.details), "arguments": arguments}


@register.filter
def visible(text: str) -> SafeString:
    """Return the text as HTML, in which characters that hide or reorder text appear as codes.

    For texts of decisions: a right-to-left mark can make one amount read as another. Typographic
    spaces, combined emoji, and an author's HTML are not changed.
    """
    if hasattr(text, "__html__"):
        return SafeString(text)
    return _marked(marks_in_words(str(text)))


@register.filter
def exact(text: str) -> SafeString:
    """Return the text of an argument as HTML, with invisible characters shown as codes."""
    return _marked((one, is_hidden(one)) for one in str(text))


@register.filter
def quoted(text: str) -> SafeString:
    """Return the text of an argument as HTML in quotes, which mark the beginning and the end."""
    return format_html(QUOTED, exact(text))


@register.filter
def name(text: str) -> SafeString:
    """Return the exact name of an argument as HTML, in quotes if it could be misread."""
    return quoted(text) if is_misread(text) else exact(text)


@register.filter
def field_label(bound: BoundField) -> SafeString:
    """Return the label of a form field as HTML; for a tool call's argument, its exact name."""
    return name(bound.name) if value_type(bound) else visible(str(bound.label))


@register.filter
def argument_title(bound: BoundField) -> str:
    """Return the title that the tool's schema has for a field's argument; mostly empty."""
    return str(getattr(bound.form, "titles", {}).get(bound.name, ""))


@register.filter
def value_type(bound: BoundField) -> str:
    """Return the type of a field's argument in words; empty for any other field."""
    return str(getattr(bound.form, "types", {}).get(bound.name, ""))


@register.filter
def marked_value(bound: BoundField) -> SafeString:
    """Return a field's value as HTML, with codes for invisible characters; empty if it has none."""
    is_unseen = bound.is_hidden or bound.widget_type in ("password", "file", "clearablefile")
    value = None if is_unseen else bound.value()
    text = "\n".join(texts(value)) if value is not None else ""
    if not has_hidden(text) and text.strip(" \t") == text:
        return SafeString("")
    return exact(text) if isinstance(bound.field, JSONField) else quoted(text)


def _marked(parts: Iterable[tuple[str, bool]]) -> SafeString:
    pieces: list[str] = []
    for character, is_marked in parts:
        if is_marked:
            words = unicodedata.name(character, "control character").lower()
            pieces.append(format_html(HIDDEN_CHARACTER, words, f"{ord(character):04X}"))
        else:
            pieces.append(character if character.isalnum() else escape(character))
    return mark_safe("".join(pieces))  # noqa: S308 - escaped character by character
