"""What must be there before a process of the application starts: web process or worker."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from filelock import FileLock, Timeout

from sessions_app.settings import RuntimeSettings

log = structlog.get_logger(__name__)

_claims: dict[Path, FileLock] = {}

PATIENCE = 2  # seconds that Redis may take to answer
# What PostgreSQL says, and what to do then. It speaks English before it knows who asks.
REMEDIES = {
    "password": "Mend the user and the password in DATABASE_URL.",
    "no pg_hba.conf entry": "Let this machine and this user in, in PostgreSQL's pg_hba.conf.",
    "role .* does not exist": "Make the user, or mend it in DATABASE_URL.",
    "database .* does not exist": "Make it (createdb {NAME}), or mend the name in DATABASE_URL.",
    "too many clients|remaining connection slots": (
        "Raise its max_connections, or run fewer processes; see docs/deployment.md."
    ),
    "starting up|shutting down": "Try again once it is up.",
}
UNREACHABLE = "Start it, or mend the host and the port in DATABASE_URL."


def check_start() -> None:
    """Check all that a process needs. Blocks; for a thread.

    Without Redis it only warns: everything works then, more slowly.

    Raises:
        ImproperlyConfigured: it cannot work like this; the message says what to do.
    """
    with usable_database():
        _check_start()


@contextmanager
def usable_database() -> Iterator[None]:
    """Raise ImproperlyConfigured, which says what to do, where the database fails."""
    try:
        yield
    except (OperationalError, OSError) as error:
        name = connection.settings_dict["NAME"]
        raise ImproperlyConfigured(
            f"The database {name} cannot be used: {error}. Look whether its disk is full, and "
            "whether this user may write to its directory."
        ) from None


def _check_start() -> None:
    if RuntimeSettings.load().cluster:
        check_form()
        check_postgresql()
        check_redis()
    elif (path := Path(connection.settings_dict["NAME"]).resolve()).is_file():
        claim_database(path)  # SQLite's
    check_migrated()


def claim_database(path: Path) -> None:
    """Be the only process that hosts runs of this SQLite file, for as long as this one lives.

    The system lets go of the lock when the process ends, however that comes.
    """
    # Of the process, not of the thread that takes it.
    lock = _claims.setdefault(path, FileLock(f"{path}.lock", thread_local=False))
    try:
        if not lock.is_locked:
            lock.acquire(blocking=False)
    except Timeout:
        raise ImproperlyConfigured(
            f"Another server is at work on {path}: two would run everything twice. Stop it, or "
            "give this one a database of its own. Several processes need PostgreSQL and Redis: "
            "REDIS_URL in HITL."
        ) from None


def check_form() -> None:
    """Raise ImproperlyConfigured if REDIS_URL is there, and what it needs beside it is not."""
    if connection.vendor != "postgresql":
        raise ImproperlyConfigured(
            "HITL has a REDIS_URL, which is for many processes, and these need PostgreSQL: write "
            "DATABASES = {'default': sessions_app.storage.databases.postgresql(URL)}."
        )
    if not apps.is_installed("procrastinate.contrib.django"):
        raise ImproperlyConfigured(
            "HITL has a REDIS_URL. Many processes need 'procrastinate.contrib.django' in "
            "INSTALLED_APPS, before 'sessions_app'."
        )


def check_postgresql() -> None:
    """Raise ImproperlyConfigured if PostgreSQL cannot be used.

    It connects without the pool, which would say of any reason that it took too long.
    """
    import psycopg  # noqa: PLC0415 - only the form of many processes has it, as redis below

    parameters = connection.get_connection_params()
    parameters.pop("pool", None)
    try:
        with psycopg.connect(**parameters) as direct:
            version = direct.info.server_version // 10000
    except psycopg.OperationalError as error:
        raise ImproperlyConfigured(_postgresql_failed(str(error))) from None
    needed = connection.features.minimum_database_version
    if needed and version < needed[0]:
        raise ImproperlyConfigured(
            f"The server of DATABASE_URL is PostgreSQL {version}. Use version {needed[0]} or newer."
        )


def check_redis() -> None:
    """Warn if Redis does not answer."""
    import redis  # noqa: PLC0415

    limits = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    try:
        with redis.Redis.from_url(RuntimeSettings.load().REDIS_URL, **limits) as client:
            client.ping()
    except redis.RedisError as error:
        log.warning(
            "redis.unreachable",
            reason=str(error),
            meaning="Everything works without it, more slowly, and faster once it is there.",
            remedy="Start it, or mend REDIS_URL.",
        )


def check_migrated() -> None:
    """Raise ImproperlyConfigured if the database lacks migrations."""
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    finally:
        connection.close()
    if plan:
        raise ImproperlyConfigured(
            f"The database is not up to date ({len(plan)} migrations to apply). "
            "Run: python manage.py migrate"
        )


def _postgresql_failed(said: str) -> str:
    """A sentence from what libpq said, which holds no password."""
    named = connection.settings_dict
    remedy = next((do for what, do in REMEDIES.items() if re.search(what, said)), UNREACHABLE)
    # Each attempt has a line, of which some go on in an indented one.
    attempts = said.partition("All failures were:\n")[2] or said
    reasons = [line for line in attempts.splitlines() if line and not line[0].isspace()]
    reason = "; ".join(reasons).removeprefix("connection failed: ").rstrip(".")
    return f"PostgreSQL cannot be used: {reason}. {remedy.format(**named)}"
