"""How much is free on the disk that a database is on."""

import shutil
from pathlib import Path

from sessions_app.doctor.findings import Finding, ok, warning, wrong

FULL = 64 * 1024**2  # bytes: some minutes of a busy day
LOW = 1024**3
# A log that grows while a long read goes on, an index that is built anew, a copy of a table.
SHARE = 0.1
TODO = "Make room, or have old conversations deleted: KEEP_DAYS."


def room(directory: Path, size: int) -> Finding:
    """What is free there, for a database of so many bytes.

    Raises:
        OSError: there is no such directory here.
    """
    free = shutil.disk_usage(directory).free
    fact = f"{in_words(free)} free beside a database of {in_words(size)}"
    if free < FULL:
        return wrong(f"{fact}: soon no write gets through", TODO)
    if free < max(LOW, size * SHARE):
        return warning(fact, TODO)
    return ok(fact)


def in_words(count: int) -> str:
    """Bytes, for people."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"
