"""The HTML of what a person decides on, for the chat and the admin."""

import unicodedata
from collections.abc import Mapping

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from sessions_app.json_types import JsonObject
from sessions_app.prompts.details import rows

register = template.Library()
JOINER = "\u200d"


@register.inclusion_tag("sessions_app/details.html")
def details(values: Mapping[str, object]) -> JsonObject:
    """Render a prompt's details as a table."""
    return {"rows": rows(values)}


@register.filter
def visible(text: str) -> SafeString:
    """Return the text as HTML, with the code of each character that would hide or reorder
    something.

    For what a person decides on: a right-to-left mark can make one amount read as another.
    """
    pieces = []
    for before, character in zip(" " + text, text, strict=False):
        if _hides(character) and not (character == JOINER and ord(before) > 0x20FF):
            name = escape(unicodedata.name(character, "control character").lower())
            code = f"U+{ord(character):04X}"
            pieces.append(f'<span class="hidden-character" title="{name}">{code}</span>')
        else:
            pieces.append(character if character.isalnum() else escape(character))
    return mark_safe("".join(pieces))  # noqa: S308 - escaped character by character


def _hides(character: str) -> bool:
    return character not in "\n\t\r" and unicodedata.category(character) in ("Cf", "Cc")
