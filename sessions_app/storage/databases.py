"""The `DATABASES` entry for a PostgreSQL that many processes share: for a project's settings.

This module does not need Django to be set up.
"""

from sessions_app.json_types import JsonObject
from sessions_app.storage.safety_times import IDLE_TRANSACTION, LOCK_TIMEOUT

# Maximum number of connections, and the fewest that a process can work with. Its threads keep 14: 4
# writers, 4 that read for the event loop, 4 that read answers, 2 that make pages. Each request that
# is being served needs one more.
POOL_SIZE = 20
POOL = {
    "min_size": 1,
    "max_size": POOL_SIZE,
    "timeout": 5,
    # Seconds for which the pool retries a failed connection, with growing pauses and without any
    # other attempt. With the default, 300, the pool stays down twice as long as the database.
    "reconnect_timeout": 2,
    "max_lifetime": 1800,
}
# A vanished peer is noticed within some 15 s, not after the hours that TCP would take.
CUT_OFF = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 14000,
}
# Rows of a run are locked for milliseconds; a longer wait is a fault. If a process with a lock is
# stopped or cut off, PostgreSQL frees the lock before another worker takes over its runs. psycopg
# reads times in no other style, and under a stricter isolation concurrent writes fail: a database
# or a user may have other defaults.
OPTIONS = (
    f"-c lock_timeout={LOCK_TIMEOUT:.0f}s "
    f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION:.0f}s "
    r"-c DateStyle=ISO -c default_transaction_isolation=read\ committed"
)


def postgresql(url: str) -> JsonObject:
    """Return the `DATABASES` entry for a URL, with the connection pool of psycopg.

    Raises:
        psycopg.ProgrammingError: libpq does not understand the URL.
    """
    parameters = _libpq_parameters(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host"}
    entry = {setting: parameters.pop(name, "") for setting, name in names.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **entry,
        "PORT": parameters.pop("port", ""),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": "hitl",
            "connect_timeout": 5,
            **CUT_OFF,
            **parameters,
            "options": f"{OPTIONS} {parameters.get('options', '')}".strip(),
            "pool": POOL,
        },
    }


def check_postgresql_url(url: str) -> None:
    """Raise ValueError, without quoting the URL, if the URL names no database."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("it must begin with postgresql://")
    # Imported late, as psycopg searches for libpq when imported.
    from psycopg import ProgrammingError  # noqa: PLC0415

    try:
        parameters = _libpq_parameters(url)
    except ProgrammingError:
        raise ValueError(
            "libpq cannot read this URL; in user and password write @ : / % as %40 %3A %2F %25"
        ) from None
    if not parameters.get("dbname"):
        raise ValueError("it names no database: add /NAME after the host")
    if any(port and not port.isdecimal() for port in str(parameters.get("port", "")).split(",")):
        raise ValueError("its port is not a number")


def _libpq_parameters(url: str) -> JsonObject:
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - see above

    return dict(conninfo_to_dict(url))
