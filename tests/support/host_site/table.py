"""The table of docs/host-projects.md, made of the lines. Run as a program it writes the table."""

import re
from pathlib import Path

from tests.support.host_site.lines import LINES
from tests.support.processes.environment import ROOT

PAGE = ROOT / "docs" / "host-projects.md"
TABLE = re.compile(r"^\| A project with \|.*?(?=\n\n)", re.M | re.S)


def table() -> str:
    rows = [
        f"| {line.name} | {f'refused by `{line.refused}`' if line.refused else 'works'} |"
        for line in LINES
    ]
    return "\n".join(["| A project with | The chat |", "| --- | --- |", *rows])


def write(page: Path = PAGE) -> None:
    page.write_text(TABLE.sub(lambda _: table(), page.read_text(encoding="utf-8")), "utf-8")


if __name__ == "__main__":
    write()
