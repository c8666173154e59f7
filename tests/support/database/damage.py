"""A database of which one page was overwritten on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.running_form import CLUSTER

POSTGRESQL_PAGE = 8192
FILE = "SELECT current_setting('data_directory') AS data, pg_relation_filepath(?) AS path"
ROOT = "SELECT rootpage AS number, page_size AS size FROM sqlite_master, pragma_page_size"


def overwrite(data_dir: Path, rows: Callable[..., list[dict[str, Any]]], table: str) -> None:
    """Overwrite the first page of a table with rows, while no process has the page in memory.

    `data_dir` contains SQLite's file, and `rows` reads from the database.
    """
    if CLUSTER:
        [row] = rows(FILE, table)
        _overwrite(Path(row["data"], row["path"]), 0, POSTGRESQL_PAGE)
    else:
        [root] = rows(f"{ROOT} WHERE name = ?", table)
        start = (root["number"] - 1) * root["size"]
        _overwrite(data_dir / "db.sqlite3", start, root["size"])


def _overwrite(file: Path, start: int, length: int) -> None:
    with file.open("r+b") as written:
        written.seek(start)
        written.write(b"\xa5" * length)
