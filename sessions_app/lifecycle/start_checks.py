"""The checks before a web process or a worker starts, and the lock of a single process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.checks import ERROR
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from filelock import FileLock, Timeout

from sessions_app.lifecycle.findings import examine, in_words
from sessions_app.lifecycle.requirements import START_CHECKS, WORKFLOW_WARNINGS, unusable
from sessions_app.logs import Log
from sessions_app.notify.groups import channel_layer
from sessions_app.settings import RuntimeSettings

log = Log(__name__)

_database_locks: dict[Path, FileLock] = {}
# Connections that hold PostgreSQL's advisory lock, and stay open until the runtime has stopped.
_postgresql_locks: list[BaseDatabaseWrapper] = []
# Number of the advisory lock, which other applications are unlikely to use.
LOCK_NUMBER = 0x4849544C
# Settings by which PostgreSQL does not end the idle connection with the lock, and notices within
# half a minute that the machine of the process is gone.
LOCK_SETTINGS = (
    "SET idle_session_timeout = 0; SET tcp_keepalives_idle = 10;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)


def check_start() -> None:
    """Check the requirements before a process starts. Blocks: call in a thread.

    A missing Redis is only logged as a warning: everything works, but more slowly. Workflows that
    nobody may use, and runs with a missing workflow, are only warnings, too.

    Raises:
        ImproperlyConfigured: a requirement is not met; the message has the remedy.
    """
    channel_layer()  # raises ImproperlyConfigured if HITL names a missing layer
    with usable_database():
        if not RuntimeSettings.load().cluster:
            if connection.vendor == "postgresql":
                lock_postgresql()
            else:
                lock_database(Path(connection.settings_dict["NAME"]).resolve())
    try:
        for finding in examine(START_CHECKS):
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
    """Convert an error of the database in the block to ImproperlyConfigured, with a remedy."""
    try:
        yield
    except (OperationalError, OSError) as error:
        raise ImproperlyConfigured(in_words(unusable(error))) from None


def lock_database(path: Path) -> None:
    """Lock the SQLite file until this process ends, so that no other process hosts its runs.

    The operating system releases the lock even if the process is killed.
    """
    if not path.is_file():  # nothing to lock: the database is in memory, or not created yet
        return
    # `thread_local=False`: the lock belongs to the process, not to the acquiring thread.
    lock = _database_locks.setdefault(path, FileLock(f"{path}.lock", thread_local=False))
    try:
        if not lock.is_locked:
            lock.acquire(blocking=False)
    except Timeout:
        raise _another(path) from None


def lock_postgresql() -> None:
    """Lock the PostgreSQL database for this process, so that no other process hosts its runs.

    The server releases the lock when the connection ends, even if the process is killed. The lock
    only protects the start: after a restart of PostgreSQL it is not acquired again.
    """
    if _postgresql_locks:
        return
    link = connection.copy()
    link.inc_thread_sharing()  # allow another thread to close the connection
    link.settings_dict["AUTOCOMMIT"] = True
    link.settings_dict["OPTIONS"].pop("pool", None)  # use no pool for this connection
    with link.cursor() as cursor:
        cursor.execute(LOCK_SETTINGS)
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))", [LOCK_NUMBER])
        [is_locked] = cursor.fetchone()
    if not is_locked:
        link.close()
        raise _another(connection.settings_dict["NAME"])
    _postgresql_locks.append(link)


def unlock_postgresql() -> None:
    """Release the lock on the database, once the runtime has stopped. Blocks."""
    while _postgresql_locks:
        _postgresql_locks.pop().close()


def _another(database: object) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"Another server is at work on {database}: two would run everything twice. Stop it, or "
        "give this one a database of its own. Several processes need PostgreSQL and Redis: "
        "REDIS_URL in HITL."
    )
