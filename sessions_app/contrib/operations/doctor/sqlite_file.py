"""Checks of SQLite's file: commits last, and nothing below it breaks its locks."""

from pathlib import Path

from django.core.checks import Error, Info
from django.db import connection

from sessions_app.contrib.operations.doctor.disk_room import room
from sessions_app.lifecycle.findings import Check, Findings
from sessions_app.storage import sql

MOUNTS = Path("/proc/self/mounts")  # Linux; elsewhere the kind of disk is not known
NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "fuse.glusterfs")
FULL = 2  # PRAGMA synchronous


def _durability() -> Findings:
    [(journal,)] = sql.fetch("PRAGMA journal_mode", ())
    [(synchronous,)] = sql.fetch("PRAGMA synchronous", ())
    if journal != "wal" or synchronous < FULL:
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
    yield room(file.parent, size)


def kind_of_disk(path: Path) -> str:
    """Return the type of the file system that the path is on; empty if it is not known."""
    if not MOUNTS.exists():
        return ""
    rows = [line.split() for line in MOUNTS.read_text().splitlines()]
    parents = {str(parent) for parent in (path.resolve(), *path.resolve().parents)}
    mounts = [(len(row[1]), row[2]) for row in rows if row[1] in parents]
    return max(mounts, default=(0, ""), key=lambda row: row[0])[1]


FILE_CHECKS = (
    Check(113, "durability", _durability, needs="database"),
    Check(115, "disk", _disk, needs="form"),
)
CHECKS = FILE_CHECKS if connection.vendor == "sqlite" else ()  # of one process on PostgreSQL none
