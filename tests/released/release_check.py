"""`make release-check`: what is uploaded, as a user installs it: the wheel and the source, with the
lowest Django and the newest.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.test_install import be_asked_and_answer
from tests.released.databases import FILES, FOLDER
from tests.support.browser import OpenPage
from tests.support.host_project.project import Project
from tests.support.host_project.site import Site, serve
from tests.support.server import ROOT
from tests.versions import PYPROJECT

PROJECT = PYPROJECT["project"]
# Django 6 needs a Python that Django 5.2 does not.
PYTHONS = {
    "5.2": os.environ.get("LOWEST_PYTHON", sys.executable),
    "6.1": os.environ.get("NEWEST_PYTHON", sys.executable),
}
SUFFIXES = {"wheel": ".whl", "source": ".tar.gz"}
# Packages are fetched and built.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the source distribution, and the wheel from it."""
    directory = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--outdir", str(directory), str(ROOT))
    return {kind: next(directory.glob(f"*{suffix}")) for kind, suffix in SUFFIXES.items()}


@pytest.fixture(params=[(django, kind) for django in PYTHONS for kind in SUFFIXES], ids="-".join)
def server(
    distributions: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """Serve a new project, in a new environment with one Django and one distribution."""
    django, kind = request.param
    environment = tmp_path / "environment"
    _run(PYTHONS[django], "-m", "venv", str(environment))
    python = str(environment / "bin" / "python")
    package = f"{PROJECT['name']}[daphne] @ {distributions[kind].as_uri()}"
    _run(python, "-m", "pip", "install", "-qq", package, f"Django=={django}.*")
    assert _run(python, "-m", "django", "--version").startswith(f"{django}.")
    project = Project.begin(tmp_path, python)
    assert "no issues" in project.run("manage.py", "check")
    with serve(project, "runserver", tmp_path / "log", {}) as site:
        yield site


def test_a_question_is_asked_and_answered(server: Site, open_page: OpenPage) -> None:
    be_asked_and_answer(open_page("/assistant/c/", user=None))


def test_an_index_would_take_both(distributions: dict[str, Path]) -> None:
    paths = [str(path) for path in distributions.values()]
    assert _run(sys.executable, "-m", "twine", "check", "--strict", *paths).count("PASSED") == 2


def test_databases_of_the_version_are_recorded() -> None:
    folder = FOLDER / PROJECT["version"]
    assert [name for name in FILES if not (folder / name).is_file()] == []


def test_the_changelog_has_the_version_and_its_day() -> None:
    heading = f"## [{PROJECT['version']}] - "
    [line] = [one for one in (ROOT / "CHANGELOG.md").read_text().splitlines() if heading in one]
    assert "unreleased" not in line


def _run(*command: str) -> str:
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
