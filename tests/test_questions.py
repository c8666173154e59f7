"""A test that one folder alone takes the rows of questions apart: all else formats its views."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from natproject.settings.env import ROOT

PACKAGES = ("chat_app", "natproject", "sessions_app")
# Where prompts and assignments are defined, checked and stored, and where they are read for people.
READERS = tuple(f"sessions_app/{folder}" for folder in ("models", "prompts", "questions"))
# What settles a question reads an answer by its prompt.
WRITERS = ("sessions_app/interactions",)
# A tag of a template, and what in it reads the row or the stored text of a question.
TAG = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
READS_ROW = re.compile(
    r"\bassignment\b|\bprompt\.text\b|\b(?:interaction|asked|original)\.prompt\b"
)
# Has a function of that name, for rows.
TITLES = "question_texts"


def name_of(node: ast.AST) -> str:
    """Return the last name of what is written: of a variable, an attribute or a key."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""


def takes_apart(node: ast.AST, *, may_load: bool = False) -> bool:
    """Return whether a piece of code reads what is inside of a stored prompt or assignment."""
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(value=key)):
            return (name_of(value), key) == ("prompt", "text") or _is_assignment(value)
        case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[first, *_]):
            is_text = isinstance(first, ast.Constant) and first.value == "text"
            return _is_assignment(value) or (is_text and name_of(value) == "prompt")
        case ast.Call(func=ast.Attribute(value=value, attr="title"), args=[_]):
            return name_of(value) != TITLES
        case ast.Call(func=ast.Attribute(attr="model_validate"), args=[first]):
            return _is_assignment(first)
        case ast.Call(func=ast.Name(id="load_prompt"), args=[ast.Attribute(attr="prompt")]):
            return not may_load
        case ast.BoolOp(op=ast.Or(), values=[first, *_]):
            return _is_assignment(first)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return any(key is None and _is_assignment(value) for key, value in pairs)
    return False


def _is_assignment(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "assignment"


def found(path: Path) -> Iterator[str]:
    place = path.relative_to(ROOT).as_posix()
    may_load = place.startswith(WRITERS)
    for node in ast.walk(ast.parse(path.read_text())):
        if takes_apart(node, may_load=may_load):
            yield f"{place}:{getattr(node, 'lineno', 0)}"


@pytest.mark.slow
def test_nothing_but_the_view_of_a_question_takes_its_row_apart() -> None:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    others = [path for path in paths if not path.is_relative_to(ROOT / "sessions_app/migrations")]
    places = [
        place
        for path in others
        if not path.relative_to(ROOT).as_posix().startswith(READERS)
        for place in found(path)
    ]
    assert places == []


def tags_that_read_a_row(template: str) -> list[str]:
    return [tag for tag in TAG.findall(template) if READS_ROW.search(tag)]


@pytest.mark.slow
def test_no_template_takes_a_row_apart() -> None:
    templates = [
        path
        for path in ROOT.rglob("templates/**/*")
        if path.suffix in (".html", ".txt")
        if path.relative_to(ROOT).parts[0] in (*PACKAGES, "templates")
    ]
    found_tags = {
        path.relative_to(ROOT).as_posix(): tags
        for path in templates
        if (tags := tags_that_read_a_row(path.read_text()))
    }
    assert templates
    assert found_tags == {}


@pytest.mark.parametrize(
    "template",
    [
        '{% include "note.html" with note=card.interaction.assignment.note %}',
        "{% if not asked.assignment.note %}",
        "{{ entry.interaction.prompt.text|visible }}",
        "{{ card.prompt.text }}",
        "{% decision entry.interaction.prompt %}",
        "{% decision\n  original.prompt beside_form=True %}",
    ],
)
def test_a_template_that_takes_a_row_apart_is_found(template: str) -> None:
    assert tags_that_read_a_row(template)


@pytest.mark.parametrize(
    "code",
    [
        'prompt["text"]',
        'row.prompt["text"]',
        'event.payload["prompt"]["text"]',
        'row.prompt.get("text", "")',
        'type_of(prompt["input_type"]).title(prompt)',
        "load_prompt(row.prompt)",
        '(row.assignment or {}).get("names")',
        'row.assignment["names"]',
        'row.assignment.get("votes", 1)',
        '{**row.assignment, "to": []}',
        "PromptAssignment.model_validate(row.assignment)",
    ],
)
def test_code_that_takes_a_row_apart_is_found(code: str) -> None:
    assert any(map(takes_apart, ast.walk(ast.parse(code))))
