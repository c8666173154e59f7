"""Tests of what the packages say of themselves: their maps, and what is optional in them."""

import ast
import re
from pathlib import Path

import pytest

from natproject.settings.env import ROOT

# Django asks for these, and each application has them.
OF_DJANGO = {"migrations", "templatetags"}
LINE = re.compile(r"^    ([a-z_]+(?:, [a-z_]+)*)  +\S", re.MULTILINE)
OPTIONAL = ("sessions_app.contrib", "chat_app.contrib")
# Tests are written with these, whatever their subject is.
TOOLS = ("sessions_app.contrib.replay", "sessions_app.contrib.testing")
# Their subject is an optional application.
OWN = (ROOT / "tests" / "contrib", ROOT / "tests" / "nat")


def mapped(package: Path) -> list[str]:
    """Return what the map in the docstring of a package names."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    return [name for names in LINE.findall(docstring) for name in names.split(", ")]


@pytest.mark.parametrize("name", ["sessions_app", "chat_app"])
def test_the_map_of_a_package_has_each_of_its_folders_and_no_other(name: str) -> None:
    package = ROOT / name
    folders = {path.parent.name for path in package.glob("*/__init__.py")} - OF_DJANGO
    modules = {path.stem for path in package.glob("*.py")}
    names = mapped(package)
    assert folders - set(names) == set()
    assert set(names) - folders - modules == set()
    assert len(names) == len(set(names))


def imported(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return [*names, *modules]


def test_only_their_own_tests_import_optional_applications() -> None:
    others = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if not any(path.is_relative_to(folder) for folder in OWN)
    ]
    importers = [
        str(path.relative_to(ROOT))
        for path in others
        if any(name.startswith(OPTIONAL) and not name.startswith(TOOLS) for name in imported(path))
    ]
    assert importers == []
