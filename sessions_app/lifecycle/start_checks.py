"""The checks before a process of the application starts, a web process or a worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.checks import ERROR
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from filelock import FileLock, Timeout

from sessions_app.lifecycle.findings import examine, in_words
from sessions_app.lifecycle.requirements import START, WORKFLOW_WARNINGS, unusable
from sessions_app.logs import Log
from sessions_app.notify.groups import channel_layer
from sessions_app.settings import RuntimeSettings

log = Log(__name__)

_claims: dict[Path, FileLock] = {}
# Connections that hold the advisory lock; they stay open until the runtime has stopped.
_postgresql_claims: list[BaseDatabaseWrapper] = []
# Number of the advisory lock, which other applications are unlikely to use.
CLAIM = 0x4849544C
# PostgreSQL must not end the idle connection, and must notice within half a minute that the machine
# behind the connection is gone.
CLAIM_SETTINGS = (
    "SET idle_session_timeout = 0; SET tcp_keepalives_idle = 10;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)


def check_start() -> None:
    """Check the requirements before a process starts. Blocks: call in a thread.

    A missing Redis is only a warning: everything works, more slowly. Workflows that nobody may use,
    and runs with a missing workflow, are warnings, too.

    Raises:
        ImproperlyConfigured: the process cannot work like this; the message has the remedy.
    """
    channel_layer()  # raises if HITL names a missing layer
    with usable_database():
        if not RuntimeSettings.load().cluster:
            if connection.vendor == "postgresql":
                claim_postgresql()
            else:
                claim_database(Path(connection.settings_dict["NAME"]).resolve())
    try:
        for finding in examine(START):
            if finding.level < ERROR:
                continue
            if finding.obj != "redis":
                raise ImproperlyConfigured(in_words(finding))
            log.warning("redis.unreachable", reason=finding.msg, remedy=finding.hint)
        for finding in examine([WORKFLOW_WARNINGS]):
            log.warning("workflows.unusable", reason=finding.msg, remedy=finding.hint)
    finally:
        connection.close()


@contextmanager
def usable_database() -> Iterator[None]:
    """Raise ImproperlyConfigured, with a remedy, if the database fails."""
    try:
        yield
    except (OperationalError, OSError) as error:
        raise ImproperlyConfigured(in_words(unusable(error))) from None


def claim_database(path: Path) -> None:
    """Lock this SQLite file for this process, the only host of its runs, until the process ends.

    The operating system releases the lock however the process ends.
    """
    if not path.is_file():  # the database is in memory, or not created yet
        return
    # The lock belongs to the process, not to the thread that acquires it.
    lock = _claims.setdefault(path, FileLock(f"{path}.lock", thread_local=False))
    try:
        if not lock.is_locked:
            lock.acquire(blocking=False)
    except Timeout:
        raise _another(path) from None


def claim_postgresql() -> None:
    """Lock this PostgreSQL database for this process, the only host of its runs.

    The server releases the lock when the connection ends, also that of a killed process. The lock
    guards the start: a lock lost by a restart of PostgreSQL is not acquired again.
    """
    if _postgresql_claims:
        return
    link = connection.copy()
    link.inc_thread_sharing()  # another thread closes the connection
    link.settings_dict["AUTOCOMMIT"] = True
    link.settings_dict["OPTIONS"].pop("pool", None)  # a pool would lose this connection for good
    with link.cursor() as cursor:
        cursor.execute(CLAIM_SETTINGS)
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))", [CLAIM])
        [is_claimed] = cursor.fetchone()
    if not is_claimed:
        link.close()
        raise _another(connection.settings_dict["NAME"])
    _postgresql_claims.append(link)


def release_postgresql() -> None:
    """Release the lock on the database, once the runtime has stopped. Blocks."""
    while _postgresql_claims:
        _postgresql_claims.pop().close()


def _another(database: object) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"Another server is at work on {database}: two would run everything twice. Stop it, or "
        "give this one a database of its own. Several processes need PostgreSQL and Redis: "
        "REDIS_URL in HITL."
    )
