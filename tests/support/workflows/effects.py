"""Effects outside of the database, which tests count: lines in the file PROBE_LOG."""

import os
import time
from pathlib import Path

from tests.support.workflows.diary import note


def append_line(line: str) -> None:
    """Append a line to the file PROBE_LOG, if configured."""
    if path := os.environ.get("PROBE_LOG"):
        with Path(path).open("a") as log:
            log.write(f"{line}\n")


def count_lines(text: str) -> int:
    """Return how often the text was appended."""
    path = os.environ.get("PROBE_LOG")
    return Path(path).read_text().count(text) if path else 0


def execute(line: str, seconds: float) -> None:
    """Take so many seconds, then append a line; note the begin and the end in the diary."""
    execution = line.replace(" ", ":")
    note("step.begin", execution)
    time.sleep(seconds)
    note("step.end", execution)
    append_line(line)
