"""The checks of the database's disk: free space, and for SQLite durable commits and locks."""

import shutil
from pathlib import Path

from django.core.checks import CheckMessage, Error, Info, Warning
from django.db import connection

from sessions_app.lifecycle.findings import Check, Findings
from sessions_app.storage import sql

MOUNTS = Path("/proc/self/mounts")  # this file exists on Linux only
NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "fuse.glusterfs")
SYNCHRONOUS_FULL = 2  # SQLite's number for `PRAGMA synchronous = FULL`
FULL = 64 * 1024**2  # minimum free bytes, else an error: a busy day writes as much within minutes
LOW = 1024**3
# Minimum free share of the database's size: long reads, index rebuilds and table copies need room.
SHARE = 0.1
FREE_SPACE = "Make room, or have old conversations deleted: KEEP_DAYS."


def _durability() -> Findings:
    [(journal,)] = sql.fetch("PRAGMA journal_mode", ())
    [(synchronous,)] = sql.fetch("PRAGMA synchronous", ())
    if journal != "wal" or synchronous < SYNCHRONOUS_FULL:
        yield Error(
            f"journal_mode={journal}, synchronous={synchronous}: a commit may be lost",
            "Leave both as sessions_app sets them.",
        )
    else:
        yield Info("WAL, synchronous=FULL: a commit is on the disk")


def _disk() -> Findings:
    file = Path(connection.settings_dict["NAME"]).absolute()
    kind = kind_of_disk(file.parent)
    if kind.startswith(NETWORK):
        yield Error(f"the database is on a network disk ({kind})", "Put it on a local one.")
    size = sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))
    yield check_free_space(file.parent, size)


def kind_of_disk(path: Path) -> str:
    """Return the type of the file system that holds the path; empty if it is not known."""
    if not MOUNTS.exists():
        return ""
    rows = [line.split() for line in MOUNTS.read_text().splitlines()]
    parents = {str(parent) for parent in (path.resolve(), *path.resolve().parents)}
    mounts = [(len(row[1]), row[2]) for row in rows if row[1] in parents]
    return max(mounts, default=(0, ""), key=lambda row: row[0])[1]


def check_free_space(directory: Path, size: int) -> CheckMessage:
    """Report the free space on the disk of a directory, for a database of `size` bytes.

    Raises:
        OSError: there is no such directory here.
    """
    free = shutil.disk_usage(directory).free
    fact = f"{in_bytes(free)} free beside a database of {in_bytes(size)}"
    if free < FULL:
        return Error(f"{fact}: soon no write gets through", FREE_SPACE)
    if free < max(LOW, size * SHARE):
        return Warning(fact, FREE_SPACE)
    return Info(fact)


def in_bytes(count: int) -> str:
    """Format a number of bytes for people."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"


FILE_CHECKS = (
    Check(113, "durability", _durability, needs="database"),
    Check(115, "disk", _disk, needs="form"),
)
CHECKS = FILE_CHECKS if connection.vendor == "sqlite" else ()  # the checks are for SQLite only
