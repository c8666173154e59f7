"""The recorded databases: written as SQL, and read into the store of a server."""

import gzip
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg

from natproject.cluster.programs import postgresql_program
from tests.support.database.server_store import empty_store
from tests.support.running_form import CLUSTER
from tests.support.server import USERS, Server, seed

FOLDER = Path(__file__).parent
FILES = ("sqlite.sql.gz", "postgresql.sql.gz")
FILE = FILES[CLUSTER]
VERSIONS = sorted(path.name for path in FOLDER.iterdir() if (path / FILE).is_file())
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.released.settings"}


def dump(server: Server, path: Path) -> None:
    """Write the rows and tables of a stopped server."""
    path.parent.mkdir(exist_ok=True)
    if CLUSTER:
        pg_dump = [postgresql_program("pg_dump"), "--inserts", "--no-owner", "--no-privileges"]
        url = server.store.environment["DATABASE_URL"]
        sql = subprocess.run([*pg_dump, url], check=True, capture_output=True, text=True).stdout
        # Lines with a backslash are commands of psql, which the server does not know.
        sql = "".join(line for line in sql.splitlines(keepends=True) if not line.startswith("\\"))
    else:
        with closing(sqlite3.connect(server.data_dir / "db.sqlite3")) as database:
            sql = "\n".join(database.iterdump())
    path.write_bytes(gzip.compress(sql.encode(), mtime=0))


def load(version: str, data_dir: Path) -> Server:
    """Make a server, not started, with the migrated database of a version."""
    sql = gzip.decompress((FOLDER / version / FILE).read_bytes()).decode()
    data_dir.mkdir()
    store = empty_store(data_dir)
    if CLUSTER:
        with psycopg.connect(store.environment["DATABASE_URL"]) as connection:
            # pg_dump of PostgreSQL 17 and newer writes a setting that older servers do not know.
            connection.execute(sql.replace("SET transaction_timeout = 0;\n", "").encode())
    else:
        with closing(sqlite3.connect(data_dir / "db.sqlite3")) as database:
            database.executescript(sql)
    return Server(data_dir, seed(data_dir, USERS, **store.environment), store, dict(SETTINGS))
