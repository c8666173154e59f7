"""A database with a page that was overwritten on its disk."""

from pathlib import Path
from typing import Any, Protocol

from tests.support.running_form import CLUSTER

POSTGRESQL_PAGE = 8192
FILE = "SELECT current_setting('data_directory') AS data, pg_relation_filepath(?) AS path"
ROOT = "SELECT rootpage AS number, page_size AS size FROM sqlite_master, pragma_page_size"


class Stored(Protocol):
    """A server, as far as it is needed here."""

    @property
    def data_dir(self) -> Path:
        """Return the directory of SQLite's file."""

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query."""


def overwrite(server: Stored, table: str) -> None:
    """Overwrite the first page of a table with rows, which nobody may have in memory."""
    if CLUSTER:
        [row] = server.rows(FILE, table)
        _overwrite(Path(row["data"], row["path"]), 0, POSTGRESQL_PAGE)
    else:
        [root] = server.rows(f"{ROOT} WHERE name = ?", table)
        start = (root["number"] - 1) * root["size"]
        _overwrite(server.data_dir / "db.sqlite3", start, root["size"])


def _overwrite(file: Path, start: int, length: int) -> None:
    with file.open("r+b") as written:
        written.seek(start)
        written.write(b"\xa5" * length)
