"""Tests of the second try of `.ci/run`, with suites of small tests in a folder of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import second_try

pytestmark = pytest.mark.formless

PYTEST = f"{sys.executable} -m pytest --rootdir=. -c pytest.ini"
# It fails at its first run, and passes at its second.
FLAKY = """
def test_flaky{number}():
    from pathlib import Path
    ran = Path("ran{number}")
    first = not ran.exists()
    ran.touch()
    assert not first
"""
BROKEN = "def test_broken():\n    assert False\n"


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder, whose caches the second try reads."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # imports as much as Django
    monkeypatch.setattr(second_try, "CACHE", tmp_path / ".pytest_cache")
    return tmp_path


def run_suites(folder: Path, text: str) -> int:
    """Run the tests as a suite of each form, and then the second try; return its exit status."""
    (folder / "test_it.py").write_text(text)
    subprocess.run([*PYTEST.split(), "-o", "cache_dir=.pytest_cache/suite-local"], check=False)
    return second_try.main({"local": PYTEST, "cluster": "exit 9; "})


@pytest.mark.slow
def test_a_test_that_passes_alone_is_printed_as_flaky_and_fails_nothing(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_suites(in_folder, FLAKY.format(number=1)) == 0
    assert "flaky: failed, and passed alone: test_it.py::test_flaky1\n" in capfd.readouterr().out


@pytest.mark.slow
def test_a_test_that_fails_twice_fails_the_run(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_suites(in_folder, FLAKY.format(number=1) + BROKEN) == 1
    printed = capfd.readouterr().out
    assert "flaky: failed, and passed alone: test_it.py::test_flaky1\n" in printed
    assert "failed twice: test_it.py::test_broken\n" in printed


def test_more_than_three_failed_tests_have_no_second_try(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_suites(in_folder, "".join(FLAKY.format(number=number) for number in range(4))) == 1
    assert capfd.readouterr().out.count("failed: more than 3, so none gets a second try") == 4


def test_without_a_failed_test_nothing_runs(in_folder: Path) -> None:
    assert run_suites(in_folder, "def test_good():\n    pass\n") == 0
