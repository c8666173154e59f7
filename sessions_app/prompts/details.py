"""The rows in which people see a prompt's `details`, or the arguments of a tool call.

A detail of a workflow's author has a readable form. An argument is shown exactly as the agent wrote
it, with the type: an agent cannot choose the form of an argument.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import Any, Literal

from django.utils.translation import pgettext

from sessions_app.prompts.hidden_characters import has_hidden, is_hidden

Kind = Literal["text", "list", "table", "rows", "code", "changes", "json"]
MAX_COLUMNS = 8  # maximum columns of a table; a wider one is shown as JSON
MAX_COMPARED_LINES = 1000  # the time of a comparison grows with the square of this number
# Maximum characters of a text in a one-line input field; a longer text gets several lines.
MAX_ONE_LINE_LENGTH = 80
# Unicode categories that no one-line field shows: controls, line and paragraph separators.
BREAKS = ("Cc", "Zl", "Zp")


@dataclass(frozen=True, slots=True)
class Row:
    """A detail of a prompt, ready to be shown. The form of `value` depends on `kind`.

    - `text`, `code`, `json`: a text
    - `list`: texts
    - `table`: lists of texts, the first of them the headings
    - `rows`: more rows
    - `changes`: pairs of a sign and a line: `-` removed, `+` added, a space unchanged, `…` for
      omitted unchanged lines
    """

    name: str
    kind: Kind
    value: Any


def rows(details: Mapping[str, object]) -> list[Row]:
    """Build the rows of a prompt's details, or of an object within the details."""
    return [Row(str(name), *_form(value)) for name, value in details.items()]


def line(value: object) -> str:
    """Return a detail as one text, for clients that show no tables."""
    match value:
        case {"code": str(code), **rest} if not rest:
            return code
        case {"before": before, "after": after, **rest} if not rest:
            return f"{line(before)} → {line(after)}"
        case dict():
            return ", ".join(f"{name}: {line(part)}" for name, part in value.items())
        case list():
            return ", ".join(map(line, value))
    return _text(value)


def _form(value: Any) -> tuple[Kind, object]:
    match value:
        case {"code": str(code), **rest} if not rest:
            return "code", code
        case {"before": before, "after": after, **rest} if not rest:
            return "changes", list(_changes(_block(before), _block(after)))
        case dict() if value and _are_plain(value.values()):
            return "rows", rows(value)
        case list() if value and _are_plain(value):
            return "list", [_text(item) for item in value]
        case [dict(first), *_] if _is_table(value):
            lines = [[_text(row[name]) for name in first] for row in value]
            return "table", [list(first), *lines]
        case dict() | list():
            return "json", _block(value)
    return "text", _text(value)


def _are_plain(values: Iterable[object]) -> bool:
    return not any(isinstance(value, (dict, list)) for value in values)


def _is_table(value: list[Any]) -> bool:
    names = value[0].keys()
    alike = all(isinstance(row, dict) and row.keys() == names for row in value)
    return (
        0 < len(names) <= MAX_COLUMNS and alike and all(_are_plain(row.values()) for row in value)
    )


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return pgettext("hitl", "yes") if value else pgettext("hitl", "no")
        case None:
            return "–"
    return json.dumps(value, ensure_ascii=False)


def _block(value: object) -> str:
    return _text(value) if _are_plain([value]) else json.dumps(value, ensure_ascii=False, indent=2)


def _changes(before: str, after: str) -> Iterator[tuple[str, str]]:
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MAX_COMPARED_LINES:
        yield from (("-", text) for text in old)
        yield from (("+", text) for text in new)
        return
    if old == new:
        yield from ((" ", text) for text in old)
    # Skip the first three lines of a unified diff: two file names, and the first hunk's header.
    for text in islice(unified_diff(old, new, lineterm=""), 3, None):
        yield ("…", "") if text.startswith("@@") else (text[0], text[1:])


@dataclass(frozen=True, slots=True)
class ArgumentRow:
    """An argument of a tool call.

    `value` is the text itself if `is_text`, else JSON; `type` is the type in words. `title` comes
    from the tool's schema, and is empty if the name says as much.
    """

    name: str
    type: str
    value: str
    is_text: bool
    is_block: bool
    title: str = ""
    is_editable: bool = False


def argument_row(name: str, value: object, **facts: Any) -> ArgumentRow:
    """Build the row of a call's argument; `facts` are fields that do not follow from the value."""
    is_text, is_block = isinstance(value, str), bool(value) and isinstance(value, list | dict)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return ArgumentRow(name, type_word(value), text, is_text, is_block, **facts)


def type_word(value: object) -> str:
    """Return the JSON type of a value in a word or two."""
    match value:
        case None:
            return "null"
        case bool():
            return pgettext("hitl", "true or false")
        case str():
            return pgettext("hitl", "text")
        case list():
            return pgettext("hitl", "list")
        case dict():
            return pgettext("hitl", "object")
    return pgettext("hitl", "number")


def literal(value: object) -> str:
    """Return a value as JSON on one line, with hidden characters escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(_escape(one) if is_hidden(one) else one for one in text)


def _escape(character: str) -> str:
    code = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))


def name_text(name: str) -> str:
    """Return the name of an argument, as quoted JSON if it could be misread without quotes."""
    return literal(name) if is_misread(name) else name


def is_misread(name: str) -> bool:
    """Return whether a name without quotes could be taken for another, e.g. by a trailing space."""
    return has_hidden(name) or '"' in name or name != " ".join(name.split()) or not name


def is_line(text: str) -> bool:
    """Return whether a one-line input field shows all of a text."""
    has_gaps = any(gap in text for gap in ("  ", "\t", "\n"))
    return len(text) <= MAX_ONE_LINE_LENGTH and not has_gaps and is_kept_by_browsers(text)


def is_kept_by_browsers(text: str) -> bool:
    """Return whether a browser's text area keeps a text unchanged: line ends are only LF."""
    return not any(unicodedata.category(one) in BREAKS for one in text if one not in "\n\t")


def arguments_lines(arguments: Mapping[str, Any]) -> list[str]:
    """Return the arguments as lines of text, for clients that show no tables."""
    return [f"- {name_text(name)}: {literal(value)}" for name, value in arguments.items()]
