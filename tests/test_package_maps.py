"""Tests of what the packages say of themselves: maps, optional applications, names of classes."""

import ast
import re
from collections import Counter
from pathlib import Path

import grimp
import pytest

from natproject.settings.env import ROOT

# Django asks for these, and each application has them.
OF_DJANGO = {"migrations", "templatetags"}
CLASSES_OF_DJANGO = {"Command", "Migration"}
LINE = re.compile(r"^    ([a-z_]+(?:, [a-z_]+)*)  +\S", re.MULTILINE)
OPTIONAL = ("sessions_app.contrib", "chat_app.contrib")
# Tests are written with these, whatever their subject is.
TOOLS = ("sessions_app.contrib.replay", "sessions_app.contrib.testing")
# Their subject is an optional application.
PACKAGES = ("sessions_app", "chat_app", "natproject")
IMPORTERS = re.compile(r"[^.:]*\bimports? (?:this package|it)\b")
NAME = re.compile(r"`([A-Za-z_]+(?:\.[A-Za-z_]+)*)`")
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


@pytest.mark.slow
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


def docstrings() -> dict[str, str]:
    """Return what each package says of itself, in one line, by the package's name."""
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("__init__.py")]
    return {
        ".".join(path.parent.relative_to(ROOT).parts): " ".join(
            (ast.get_docstring(ast.parse(path.read_text())) or "").split()
        )
        for path in files
    }


def test_a_package_names_those_that_import_it() -> None:
    graph = grimp.build_graph(*PACKAGES)
    checked = 0
    for package, words in docstrings().items():
        inside = {package, *graph.find_descendants(package)}
        importers = {
            one for each in inside for one in graph.find_modules_that_directly_import(each)
        }
        root = package.split(".", maxsplit=1)[0]
        places = {one.split(".")[1] for one in importers - inside if one.startswith(f"{root}.")}
        for sentence in IMPORTERS.findall(words):
            named = set(NAME.findall(sentence))
            checked += len(named)
            assert named <= places, (package, named - places)
            assert not named or places - named <= {"contrib", "management"}, (package, places)
    assert checked


def test_a_package_names_only_what_exists() -> None:
    code = [
        path.read_text().replace(
            ast.get_docstring(ast.parse(path.read_text()), clean=False) or "", ""
        )
        for name in PACKAGES
        for path in (ROOT / name).rglob("*.py")
    ]
    files = [path.stem for name in PACKAGES for path in (ROOT / name).rglob("*")]
    words = {*files, *re.findall(r"\w+", "\n".join(code))}
    unknown = {
        (package, name)
        for package, text in docstrings().items()
        for name in NAME.findall(text)
        if not {*name.split(".")} <= words
    }
    assert unknown == set()


def test_no_two_public_classes_of_the_applications_have_one_name() -> None:
    names = Counter(
        node.name
        for application in ("sessions_app", "chat_app")
        for path in (ROOT / application).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, count in names.items() if count > 1} == CLASSES_OF_DJANGO
