"""`tests/PROMISES.md` is true: each promise has tests, which exist and run where it says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.formless
ROOT = Path(__file__).parent.parent
ROW = re.compile(r"\| .+ \| `(tests/(?!nat/).+/test_\w+\.py)::(\w+)` \| `(make test|\.ci/run)` \|")
SECTIONS = dict(
    section.split("\n", 1)
    for section in (ROOT / "tests" / "PROMISES.md").read_text().split("\n## ")[1:]
)
PROMISE = re.compile(r"^(\d+\. )\*\*(.+?)\.?\*\*", re.MULTILINE)


def rows(section: str) -> list[tuple[str, str, str]]:
    """Return the file, the test and the run of each row of a section."""
    _, _, *lines = [line for line in SECTIONS[section].splitlines() if line.startswith("|")]
    matches = {line: ROW.fullmatch(line) for line in lines}
    assert [line for line, match in matches.items() if match is None] == []
    return [(match[1], match[2], match[3]) for match in matches.values() if match]


def runs(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each test of a file, and the earliest run that has it."""
    module = ast.parse(path.read_text()).body
    later = [
        ast.unparse(node.targets[0])
        for node in module
        if isinstance(node, ast.Assign) and "pytest.mark.beyond" in ast.unparse(node.value)
    ]
    of_all = [
        mark
        for node in module
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        for mark in (node.value.elts if isinstance(node.value, ast.List) else [node.value])
    ]
    for node in module:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [*map(ast.unparse, [*of_all, *node.decorator_list])]
            if any(mark.startswith("pytest.mark.beyond") or mark in later for mark in marks):
                yield node.name, "make test-all"
            else:
                yield node.name, ".ci/run" if "pytest.mark.slow" in marks else "make test"


@pytest.mark.parametrize("section", SECTIONS)
def test_each_test_of_a_promise_exists_and_runs_where_the_table_says(section: str) -> None:
    named_tests = rows(section)
    assert named_tests
    wrong = [row for row in named_tests if (row[1], row[2]) not in set(runs(ROOT / row[0]))]
    assert wrong == []


def test_each_promise_and_each_line_of_the_crash_matrix_has_its_tests() -> None:
    document = (ROOT / "docs" / "security.md").read_text()
    promises = ["".join(promise) for promise in PROMISE.findall(document)]
    assert [section for section in SECTIONS if section[0].isdigit()] == promises
    named_tests = {(path, name) for path, name, _ in rows("Crash matrix")}
    for path in (ROOT / "tests" / "cluster" / "matrix").glob("test_*.py"):
        names = {name for name, _ in runs(path) if name.startswith("test_")}
        assert {(str(path.relative_to(ROOT)), name) for name in names} <= named_tests
