"""The database and the channel layer of each of the two forms.

One process: SQLite and a layer in memory. Many processes: PostgreSQL and Redis, both named by URLs.
"""

from pathlib import Path
from typing import Any

# For the writers and readers of the runtime, which keep theirs, and for the views.
POOL_SIZE = 20
POOL = {
    "min_size": 1,
    "max_size": POOL_SIZE,
    "timeout": 5,
    # Its attempts to reconnect wait longer and longer, and while one waits no other is made: with
    # the default, 300, the pool stays down for as long again as the database was.
    "reconnect_timeout": 2,
    "max_lifetime": 1800,
}
# A host that vanished without a word is noticed within some 15 s, not after the hours of TCP.
CUT_OFF = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 14000,
}
# Rows of a run are locked for milliseconds; who waits longer has met a fault. Who holds them and
# sleeps (a stopped process, a cut cable) loses them before others take its runs over.
OPTIONS = "-c lock_timeout=6s -c idle_in_transaction_session_timeout=3s"


def sqlite(data_dir: Path) -> dict[str, Any]:
    """The `DATABASES` entry of the one process."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": data_dir / "db.sqlite3",
        # Persistent connections leak under ASGI: the threads that hold them come and go.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "timeout": 20,
            # The default, DEFERRED, fails at once where two transactions read and then write.
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;"
                "PRAGMA journal_size_limit=67108864;PRAGMA cache_size=-2000;"
                "PRAGMA temp_store=MEMORY;"
            ),
        },
        # A file, not memory: the writer thread has a connection of its own.
        "TEST": {"NAME": str(data_dir / "test.sqlite3")},
    }


def postgresql(url: str) -> dict[str, Any]:
    """The `DATABASES` entry for a URL; the pool of psycopg hands out its connections.

    Raises:
        psycopg.ProgrammingError: the URL is none that libpq understands.
    """
    given = _libpq_parameters(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host"}
    entry = {setting: given.pop(name, "") for setting, name in names.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **entry,
        "PORT": given.pop("port", ""),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": "natproject",
            "connect_timeout": 5,
            **CUT_OFF,
            **given,
            "options": f"{OPTIONS} {given.get('options', '')}".strip(),
            "pool": POOL,
        },
    }


def check_postgresql_url(url: str) -> None:
    """Raise ValueError, which quotes nothing of the URL, if it names no database."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("it does not begin with postgresql://")
    # Only where it is used: psycopg looks for libpq when it is imported.
    from psycopg import ProgrammingError  # noqa: PLC0415

    try:
        given = _libpq_parameters(url)
    except ProgrammingError:
        raise ValueError(
            "it is no URL that libpq understands; in user and password write @ : / % as "
            "%40 %3A %2F %25"
        ) from None
    if not given.get("dbname"):
        raise ValueError("it names no database: add /NAME after the host")
    if any(port and not port.isdecimal() for port in str(given.get("port", "")).split(",")):
        raise ValueError("its port is no number")


def check_redis_url(url: str) -> None:
    """Raise ValueError, which quotes nothing of the URL, if it is none of a Redis."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it does not begin with redis://, rediss:// or unix://")
    # Only where it is used: the form of one process does without.
    from redis import ConnectionPool  # noqa: PLC0415

    try:
        ConnectionPool.from_url(url)
    except ValueError:
        raise ValueError("its port, its database or an option cannot be read") from None


def _libpq_parameters(url: str) -> dict[str, Any]:
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - see above

    return dict(conninfo_to_dict(url))


def redis_layer(url: str) -> dict[str, Any]:
    """The `CHANNEL_LAYERS` entry for a Redis."""
    return {"BACKEND": "natproject.cluster_layer.ClusterLayer", "CONFIG": {"url": url}}
