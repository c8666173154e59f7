"""Rules that must always hold, each with a bug that breaks it, and how that is planted."""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent
# Seconds that a test may take before its bug counts as not found.
PATIENCE = 180
# The exit status of pytest when tests failed; others mean that it could not run them.
TESTS_FAILED = 1


class Bug(BaseModel):
    """A bug: what stands in the place of what, and the test that must fail with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # What must never be otherwise.
    rule: str
    file: str
    # A part of the file that is there once.
    old: str
    new: str
    # As pytest takes it: `tests/page/test_views.py::test_a_conversation`.
    test: str
    form: Literal["local", "cluster"] = "local"

    @property
    def faults(self) -> list[str]:
        """Return what is wrong with the entry, such as that the code has moved; each a sentence."""
        path = ROOT / self.file
        if not path.is_file():
            return [f"{self.file} is not there: where did it move?"]
        count = path.read_text().count(self.old)
        faults = [] if count == 1 else [f"{self.file} has the old text {count} times, not once."]
        module, _, name = self.test.partition("::")
        text = (ROOT / module).read_text() if (ROOT / module).is_file() else ""
        if not text or f"def {name}" not in text:
            faults.append(f"The test {self.test} is not there.")
        return faults

    def plant(self, root: Path) -> None:
        """Put the bug into a copy of the project."""
        path = root / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


def bugs() -> list[Bug]:
    """Return all bugs of the lists, in the order of the files."""
    return [
        Bug.model_validate(entry)
        for path in sorted(LISTS.glob("*.toml"))
        for entry in tomllib.loads(path.read_text())["bug"]
    ]


def look_for(bug: Bug) -> str:
    """Run the bug's test on a copy of the project that has it.

    Returns:
        Why the bug was not found, with the end of what pytest printed; empty if it was.
    """
    copy = Path(tempfile.mkdtemp(prefix="planted-"))
    try:
        _copy_project(copy)
        bug.plant(copy)
        services = ["tests.services"] if bug.form == "cluster" else []
        command = [sys.executable, "-m", *services, "pytest", "-x", "-p", "no:randomly"]
        process = subprocess.run(
            [*command, bug.test],
            cwd=copy,
            env={name: value for name, value in os.environ.items() if name not in FORM},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its test took longer than {PATIENCE} s"
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    if process.returncode == TESTS_FAILED and f"FAILED {bug.test}" in process.stdout:
        return ""
    why = (
        "its test passes" if process.returncode == 0 else f"pytest ended with {process.returncode}"
    )
    return f"{why}\n{(process.stdout + process.stderr)[-2000:]}"


# What says in which form tests run; a bug's own form is to.
FORM = {"DATABASE_URL", "REDIS_URL", "WEB_SERVER", "PYTEST_XDIST_WORKER"}


def _copy_project(to: Path) -> None:
    list_files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(list_files, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
