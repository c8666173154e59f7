"""`make cost`: prints the cost of each trip; beside that of a commit, or into the file.

`python -m tests.cost` counts one process, `WEB_SERVER=uvicorn python -m tests.services tests.cost`
a cluster.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cost import figures
from tests.cost.counted_server import make_template, start_counted
from tests.cost.trips import count_trips
from tests.support.running_form import CLUSTER, UVICORN
from tests.support.server import ROOT


def main() -> None:
    """Print the table.

    Raises:
        SystemExit: the web server is not that of the form, or the commit cannot be counted.
    """
    parser = argparse.ArgumentParser(prog="tests.cost", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write figures.json")
    parser.add_argument("--beside", metavar="COMMIT", help="count this commit too")
    options = parser.parse_args()
    if CLUSTER != UVICORN:
        parser.error("one process is counted under Daphne, and a cluster under uvicorn: WEB_SERVER")
    columns = {"here": _count(ROOT)}
    if options.write:
        figures.write(columns["here"])
    if options.beside:
        with _checkout(options.beside) as root:
            columns = {options.beside[:14]: _count(root)} | columns
    sys.stdout.write(figures.table(columns) + "\n")


def _count(root: Path) -> figures.Trips:
    with tempfile.TemporaryDirectory(prefix="cost-") as directory:
        template = make_template(Path(directory), root)
        try:
            with start_counted(template, Path(directory), root) as counted:
                return count_trips(counted)
        finally:
            template.store.drop()


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """Check the commit out into a directory, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="cost-") as directory:
        git = ["git", "-C", str(ROOT), "worktree"]
        root = Path(directory).resolve() / "checkout"
        subprocess.run([*git, "add", "--quiet", "--detach", str(root), commit], check=True)
        try:
            yield root
        finally:
            subprocess.run([*git, "remove", "--force", str(root)], check=True)


if __name__ == "__main__":
    main()
