"""A diary of the test workflows' actions and times, to which tests compare the event log.

A line is `WHAT SUBJECT PROCESS SECONDS`; all processes of a machine share the clock.
"""

import os
import time


def note(event: str, subject: str) -> None:
    """Append a line to the file PROBE_DIARY in a single write, so that lines are never mixed."""
    path = os.environ.get("PROBE_DIARY")
    if not path:
        return
    line = f"{event} {subject} {os.getpid()} {time.time():.6f}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
