"""Checks of SQLite's file: commits last, and nothing below it breaks its locks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from sessions_app.operations.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.storage import sql

MOUNTS = Path("/proc/self/mounts")  # Linux; elsewhere the kind of disk is not known
NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "fuse.glusterfs")
FULL = 2  # PRAGMA synchronous
LOW = 1024**3  # bytes


def _durability() -> Iterator[Finding]:
    [(journal,)] = sql.fetch("PRAGMA journal_mode", ())
    [(synchronous,)] = sql.fetch("PRAGMA synchronous", ())
    if journal != "wal" or synchronous < FULL:
        yield wrong(
            f"journal_mode={journal}, synchronous={synchronous}: a commit may be lost",
            "Leave both as sessions_app sets them.",
        )
    else:
        yield ok("WAL, synchronous=FULL: a commit is on the disk")


def _disk() -> Iterator[Finding]:
    directory = Path(connection.settings_dict["NAME"]).absolute().parent
    free = shutil.disk_usage(directory).free
    kind = kind_of_disk(directory)
    if kind.startswith(NETWORK):
        yield wrong(f"the database is on a network disk ({kind})", "Put it on a local one.")
    elif free < LOW:
        yield warning(f"{free / 1024**2:.0f} MiB are free beside the database", "Make room.")
    else:
        yield ok(f"local, {free / 1024**3:.0f} GiB free")


def kind_of_disk(path: Path) -> str:
    """The file system that the path is on; empty if that is not known."""
    if not MOUNTS.exists():
        return ""
    rows = [line.split() for line in MOUNTS.read_text().splitlines()]
    parents = {str(parent) for parent in (path.resolve(), *path.resolve().parents)}
    mounted = [(len(row[1]), row[2]) for row in rows if row[1] in parents]
    return max(mounted, default=(0, ""), key=lambda row: row[0])[1]


CHECKS = (
    Check("durability", _durability, needs="database"),
    Check("disk", _disk),
)
