"""The database and the channel layer of each of the two forms.

One process: SQLite and a layer in memory. Many processes: PostgreSQL and Redis, both named by URLs.
"""

from pathlib import Path
from typing import Any

# For the writers and readers of the runtime, which keep theirs, and for the views.
POOL_SIZE = 20


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
    # Only where it is used: psycopg looks for libpq when it is imported.
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    given = conninfo_to_dict(url)
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
            # Rows of a run are locked for milliseconds; who waits longer has met a fault.
            "options": "-c lock_timeout=5s -c idle_in_transaction_session_timeout=10s",
            **given,
            "pool": {"min_size": 1, "max_size": POOL_SIZE, "timeout": 5, "max_lifetime": 1800},
        },
    }


def redis_layer(url: str) -> dict[str, Any]:
    """The `CHANNEL_LAYERS` entry for a Redis."""
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": url}]},
    }
