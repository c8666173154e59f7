"""The table of docs/install.md, made of the lines. Run as a program, it writes the table."""

import re
import textwrap
from pathlib import Path

from tests.support.host_site.lines import LINES
from tests.support.processes.environment import ROOT

PAGE = ROOT / "docs" / "install.md"
TABLE = re.compile(r"^The chat works with: .*?\n\n\| Refused \|.*?(?=\n\n)", re.M | re.S)


def table() -> str:
    works = "; ".join(line.name for line in LINES if not line.refused)
    text = textwrap.wrap(f"The chat works with: {works}.", 150, break_on_hyphens=False)
    rows = [f"| {line.name} | `{line.refused}` |" for line in LINES if line.refused]
    return "\n".join([*text, "", "| Refused | Check, with a hint |", "| --- | --- |", *rows])


def write(page: Path = PAGE) -> None:
    page.write_text(TABLE.sub(lambda _: table(), page.read_text(encoding="utf-8")), "utf-8")


if __name__ == "__main__":
    write()
