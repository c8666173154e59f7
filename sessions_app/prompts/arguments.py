"""The arguments of a tool call as people read them: as the agent wrote them, with their types.

Nothing that an agent writes chooses the form in which it is shown, as `details` of authors do.
"""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from sessions_app.prompts.hidden_characters import has_hidden, is_hidden

# A longer text has an area of several lines.
SHORT = 80
# Controls, and the line ends of Unicode.
BREAKS = ("Cc", "Zl", "Zp")


@dataclass(frozen=True, slots=True)
class ArgumentRow:
    """An argument. `value` is a text itself where `is_text`, else JSON; `type` is its type in
    words.
    """

    name: str
    type: str
    value: str
    is_text: bool
    is_block: bool


def argument_rows(arguments: Mapping[str, Any]) -> list[ArgumentRow]:
    """Return the rows of a call's arguments, in their order."""
    return [_row(name, value) for name, value in arguments.items()]


def _row(name: str, value: object) -> ArgumentRow:
    is_text, is_block = isinstance(value, str), bool(value) and isinstance(value, list | dict)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return ArgumentRow(name, type_word(value), text, is_text, is_block)


def type_word(value: object) -> str:
    """Return the JSON type of a value in a word or two."""
    match value:
        case None:
            return "null"
        case bool():
            return gettext("true or false")
        case str():
            return gettext("text")
        case list():
            return gettext("list")
        case dict():
            return gettext("object")
    return gettext("number")


def literal(value: object) -> str:
    """Return a value in one line: as JSON, in which hidden characters are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(_escape(one) if is_hidden(one) else one for one in text)


def _escape(character: str) -> str:
    code = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))


def name_text(name: str) -> str:
    """Return the exact name of an argument: in quotes, as JSON, where it would be misread."""
    return literal(name) if is_misread(name) else name


def is_misread(name: str) -> bool:
    """Return whether a name looks like another one where it is shown without quotes."""
    return has_hidden(name) or '"' in name or name != " ".join(name.split()) or not name


def is_line(text: str) -> bool:
    """Return whether a text is seen whole in a field of one line."""
    has_gaps = any(gap in text for gap in ("  ", "\t", "\n"))
    return len(text) <= SHORT and not has_gaps and is_kept_by_browsers(text)


def is_kept_by_browsers(text: str) -> bool:
    """Return whether a browser's field gives a text back: of line ends it has one kind only."""
    return not any(unicodedata.category(one) in BREAKS for one in text if one not in "\n\t")


def arguments_lines(arguments: Mapping[str, Any]) -> list[str]:
    """Return a line for each argument, for readers who are shown no table."""
    return [f"- {name_text(name)}: {literal(value)}" for name, value in arguments.items()]
