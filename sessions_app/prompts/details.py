"""The rows that people see of a prompt's `details`: a name and a value in a readable form."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import Any, Literal

from django.utils.translation import gettext

Kind = Literal["text", "list", "table", "rows", "code", "changes", "json"]
COLUMNS = 8  # of a table; what is wider is shown as JSON
LINES = 1000  # that are compared: the time for it grows with their square


@dataclass(frozen=True, slots=True)
class Row:
    """A detail. What `value` is follows from `kind`.

    - `text`, `code`, `json`: a text
    - `list`: texts
    - `table`: lists of texts, the first of them the headings
    - `rows`: more of these
    - `changes`: pairs of a sign and a line: `-` was removed, `+` was added, a space stayed, `…`
      stands for lines between that stayed
    """

    name: str
    kind: Kind
    value: Any


def rows(details: Mapping[str, object]) -> list[Row]:
    """Return the rows of a prompt's details, or of an object among them."""
    return [Row(str(name), *_form(value)) for name, value in details.items()]


def line(value: object) -> str:
    """Return a value in one text, for readers who are shown nothing else."""
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
    return 0 < len(names) <= COLUMNS and alike and all(_are_plain(row.values()) for row in value)


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return gettext("yes") if value else gettext("no")
        case None:
            return "–"
    return json.dumps(value, ensure_ascii=False)


def _block(value: object) -> str:
    return _text(value) if _are_plain([value]) else json.dumps(value, ensure_ascii=False, indent=2)


def _changes(before: str, after: str) -> Iterator[tuple[str, str]]:
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > LINES:
        yield from (("-", text) for text in old)
        yield from (("+", text) for text in new)
        return
    if old == new:
        yield from ((" ", text) for text in old)
    # The first two lines name files, the third says where the first part is.
    for text in islice(unified_diff(old, new, lineterm=""), 3, None):
        yield ("…", "") if text.startswith("@@") else (text[0], text[1:])
