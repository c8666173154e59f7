"""docs/security.md names each door, and each test that security-asvs.md names is there."""

import ast
import re

import pytest
from django.core.management import get_commands

from chat_app.wire.client_messages import MESSAGES
from natproject.settings.env import ROOT
from tests.security import doors

pytestmark = pytest.mark.formless
ASVS = ROOT / "docs" / "security-asvs.md"


def test_each_address_is_in_the_table() -> None:
    code = {path for path in doors.addresses() if not doors.OF_A_MODEL.match(path)}
    assert {door.path for door in doors.documented_doors()} == code


def test_each_message_of_the_socket_is_in_the_table() -> None:
    names = [
        name
        for row in doors.table("What each socket message reaches")
        for name in doors.names_in_backticks(row[0])
    ]
    assert sorted(names) == sorted(MESSAGES)


def test_each_page_of_the_admin_is_in_the_table() -> None:
    for row, pages in zip(
        sorted(doors.table("Permissions in the admin")),
        sorted(doors.model_admins(), key=lambda pages: pages.model.__name__),
        strict=True,
    ):
        actions = row[2].partition(":")[0].split(", ") if row[2] != "–" else []
        assert (row[0], actions) == (pages.model.__name__, list(pages.actions))


def test_each_command_is_in_the_table() -> None:
    names = [
        name
        for row in doors.table("Commands of the product")
        for name in doors.names_in_backticks(row[0])
    ]
    ours = ("natproject", "chat_app", "sessions_app")
    assert sorted(names) == sorted(name for name, app in get_commands().items() if app in ours)


def test_each_test_that_is_named_is_there() -> None:
    links = re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", ASVS.read_text())
    assert len(links) > 50
    there = {path: _tests(path) for path in {path for _, path in links}}
    assert [f"{path}: {name}" for name, path in links if name not in there[path]] == []


def test_each_row_says_how_or_why_not() -> None:
    """A row has the test that shows it, or says whose it is, or that it is not met."""
    lines = [line.split(" | ") for line in ASVS.read_text().splitlines()]
    rows = [row for row in lines if len(row) == 3 and re.match(r"\| \d", row[0])]
    evidence = re.compile(
        r"\(\.\./tests/|\*\*(deployment|not met|in part)\*\*|`make test`|\.md[#)]"
    )
    assert [row for row in rows if not evidence.search(row[2])] == []
    numbers = [number for row in rows for number in re.findall(r"\d+\.\d+\.\d+", row[0])]
    assert len(numbers) == len(set(numbers)) > 150


def test_the_summary_names_each_row_that_is_not_met_or_met_in_part() -> None:
    text = ASVS.read_text()
    summary = text.partition("\nNot met: ")[2].partition("\n\n")[0].partition("Met in part: ")
    for numbers, mark in ((summary[0], "not met"), (summary[2], "in part")):
        rows = re.findall(rf"^\| (\d+\.\d+\.\d+) .*\*\*{mark}\*\*", text, re.M)
        assert re.findall(r"\d+\.\d+\.\d+", numbers) == rows


def _tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}
