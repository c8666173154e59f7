"""The tables of docs/settings.md, made of the settings' descriptions.

Run as a program it writes them: python -m tests.settings_page
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from natproject.settings.env import ROOT, SECTIONS, Env

PAGE = ROOT / "docs" / "settings.md"
HEAD = "| Name | Default | Value |\n| --- | --- | --- |"
TABLE = re.compile(rf"^{re.escape(HEAD)}\n(\|.*\n)*", re.M)
LINK = re.compile(r"docs/([\w-]+\.md)(#[\w-]+)?")


def page() -> str:
    """Return the page with a table for each section, and one for the variables of the example."""
    tables = iter([*_sections(), _table(Env, [*Env.__annotations__])])
    return TABLE.sub(lambda _: next(tables), PAGE.read_text(encoding="utf-8"))


def _sections() -> Iterator[str]:
    documented: set[str] = set()
    for section in SECTIONS:
        names = [
            name
            for name, field in section.model_fields.items()
            if field.description and name not in documented
        ]
        documented.update(names)
        yield _table(section, names)


def _table(section: type[BaseModel], names: list[str]) -> str:
    rows = (
        f"| `{name}` | `{_default(section, name)}` | {_text(section, name)} |" for name in names
    )
    return "\n".join([HEAD, *rows, ""])


def _default(section: type[BaseModel], name: str) -> str:
    default = section.model_fields[name].default
    return str(default.relative_to(ROOT)) if isinstance(default, Path) else repr(default)


def _text(section: type[BaseModel], name: str) -> str:
    field = section.model_fields[name]
    text = str(field.description)
    if field.default:  # the column before has the same example
        text = text.replace(f", such as {field.default}", "")
    return LINK.sub(r"[\1](\1\2)", text[0].upper() + text[1:])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
