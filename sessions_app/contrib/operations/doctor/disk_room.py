"""The free space on the disk of a database."""

import shutil
from pathlib import Path

from django.core.checks import CheckMessage, Error, Info, Warning

FULL = 64 * 1024**2  # bytes: some minutes of a busy day
LOW = 1024**3
# A log that grows while a long read goes on, an index that is built anew, a copy of a table.
SHARE = 0.1
MAKE_ROOM = "Make room, or have old conversations deleted: KEEP_DAYS."


def room(directory: Path, size: int) -> CheckMessage:
    """Report the free space on the disk of a directory, for a database of `size` bytes.

    Raises:
        OSError: there is no such directory here.
    """
    free = shutil.disk_usage(directory).free
    fact = f"{in_bytes(free)} free beside a database of {in_bytes(size)}"
    if free < FULL:
        return Error(f"{fact}: soon no write gets through", MAKE_ROOM)
    if free < max(LOW, size * SHARE):
        return Warning(fact, MAKE_ROOM)
    return Info(fact)


def in_bytes(count: int) -> str:
    """Format a number of bytes for people."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"
