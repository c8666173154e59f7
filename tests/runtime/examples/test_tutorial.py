"""A test that follows docs/tutorial.md word by word in a copy of this repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from natproject.settings.env import ROOT

BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.M | re.S)
NOT_CLONED = shutil.ignore_patterns(".*", "var", "__pycache__")
# Output of the workflow at each `make run` after the first.
SAYS = [
    "I look into it: The mug",
    "Order 1042 is a mug for 12.50 €. It is broken",
]
STAGE = """
async def test_it_says(host_workflow):
    async with host_workflow("refunds") as hosting:
        run = await hosting.send("The mug of order 1042 is broken")
        assert {says!r} in await run.output()
"""


@pytest.mark.slow
@pytest.mark.beyond("the tutorial ends with tests that pass")
@pytest.mark.timeout(300)
def test_followed_word_by_word_it_ends_with_tests_that_pass(tmp_path: Path) -> None:
    clone, says = tmp_path / "clone", iter(["", *SAYS])
    shutil.copytree(ROOT, clone, ignore=NOT_CLONED)
    for kind, code in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text()):
        if kind == "python":
            is_test = "def test_" in code
            path = "tests/test_refunds.py" if is_test else "natproject/workflows/refunds.py"
            (clone / path).write_text(code)
            continue
        for line in code.splitlines():
            if line.startswith("echo "):
                subprocess.run(line, shell=True, cwd=clone, check=True)  # noqa: S602 - our page
            elif line == "make run" and (message_text := next(says, "")):
                (clone / "tests" / "test_stage.py").write_text(STAGE.format(says=message_text))
                run(clone, "tests/test_stage.py")
            elif line.startswith(".venv/bin/python -m pytest "):
                assert "2 passed" in run(clone, *line.split()[3:])


def run(clone: Path, *arguments: str) -> str:
    """Run tests in the copy, on a separate database."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=clone,
        env={**keep, "DATA_DIR": str(clone / "var")},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
