"""The command `python -m bench.beside [CASE …]`, which prints a line of JSON after each case.

DATABASE_URL and REDIS_URL name services on which the command may create and drop databases; without
them, the form is one process.
"""

import json
import sys
import tempfile
from pathlib import Path

from bench.beside import growth, memory, pending, restarting, resumed
from tests.support.running_form import CLUSTER
from tests.support.server import Template

CASES = (resumed, restarting, memory, pending if CLUSTER else growth)


def main(names: list[str]) -> None:
    """Run all cases, or the named ones."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        template_directory = Path(directory, "template")
        template_directory.mkdir()
        template = Template.make(template_directory, ["ann", "ben"])
        try:
            for case in CASES:
                name = case.__name__.rpartition(".")[2]
                if not names or name in names:
                    figures = case.measure(template, Path(directory, name))
                    print(json.dumps(figures, ensure_ascii=False), flush=True)
        finally:
            template.store.drop()


if __name__ == "__main__":
    main(sys.argv[1:])
