"""Tests that the style sheets use the tokens, and style nothing that is on no page."""

import re
from pathlib import Path

import pytest

SHEETS = sorted(Path("static/chat_app").rglob("*.css"))
BASE = Path("static/chat_app/css/base.css")
SOURCES = (
    "templates/**/*.html",
    "chat_app/contrib/**/*.html",
    "static/chat_app/**/*.js",
    "chat_app/**/*.py",
    "sessions_app/**/*.py",
)
# Colours, weights and corners that are no token's.
LITERAL = re.compile(
    r"#[0-9a-f]{3,8}\b|rgb\(|font-weight: \d|border-radius: [^;]*\d(?:rem|px|em|%)"
)


def rules(sheet: Path) -> list[tuple[str, str]]:
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
    return re.findall(r"([^{}]+)\{([^{}]*)\}", text)


def test_each_class_and_id_is_on_a_page() -> None:
    sources = "\n".join(path.read_text() for each in SOURCES for path in Path().glob(each))
    names = set(re.findall(r"[\w-]+", sources))
    for sheet in SHEETS:
        for selector, _ in rules(sheet):
            styled_names = set(re.findall(r"[.#]([a-zA-Z][\w-]*)", selector))
            computed_names = {name for name in styled_names if name.startswith(("code-", "icon-"))}
            assert styled_names - computed_names <= names, (sheet, selector)


@pytest.mark.parametrize("sheet", SHEETS, ids=str)
def test_values_are_those_of_the_tokens(sheet: Path) -> None:
    for selector, declarations in rules(sheet):
        if selector.strip() != ":root":
            assert not LITERAL.search(declarations), selector


def test_the_document_has_all_tokens() -> None:
    tokens = set(re.findall(r"^  (--[\w-]+):", BASE.read_text().split("@media")[0], re.MULTILINE))
    documented_tokens = set(re.findall(r"--[a-z][\w-]*", Path("docs/look.md").read_text()))
    ranges = {f"--space-{number}" for number in range(1, 7)} | {"--text-2", "--text-3"}
    assert tokens == documented_tokens | ranges
