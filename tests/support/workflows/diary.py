"""The diary of the probes, of what they did and when: tests hold the log against it.

A line is `WHAT SUBJECT PROCESS SECONDS`, by the clock that all processes of a machine share.
"""

import os
import time


def note(event: str, subject: str) -> None:
    """Append a line to the file named by PROBE_DIARY; one write, so that lines stay whole."""
    path = os.environ.get("PROBE_DIARY")
    if not path:
        return
    line = f"{event} {subject} {os.getpid()} {time.time():.6f}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
