"""The requirements of a process of the application, web process or worker, before it starts."""

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
# Its lock is the connection's, which stays open until the runtime has stopped.
_postgresql_claims: list[BaseDatabaseWrapper] = []
# Any number that other applications are unlikely to lock.
CLAIM = 0x4849544C
# Nobody uses the connection, so PostgreSQL must not end it for that; and it finds out within half a
# minute that the machine behind it is gone.
CLAIM_SETTINGS = (
    "SET idle_session_timeout = 0; SET tcp_keepalives_idle = 10;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)


def check_start() -> None:
    """Check what must be there before a process starts. Blocks; for a thread.

    Without Redis it only warns: everything works then, more slowly. It warns of workflows that
    nobody may use, and of runs whose workflow is gone.

    Raises:
        ImproperlyConfigured: it cannot work like this; the message says what to do.
    """
    channel_layer()  # HITL may name one that is not there
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
    """Raise ImproperlyConfigured, which says what to do, where the database fails."""
    try:
        yield
    except (OperationalError, OSError) as error:
        raise ImproperlyConfigured(in_words(unusable(error))) from None


def claim_database(path: Path) -> None:
    """Claim this SQLite file as the only process that hosts its runs, for as long as the process
    lives.

    The system lets go of the lock when the process ends, however that comes.
    """
    if not path.is_file():  # in memory, or not made yet
        return
    # Of the process, not of the thread that takes it.
    lock = _claims.setdefault(path, FileLock(f"{path}.lock", thread_local=False))
    try:
        if not lock.is_locked:
            lock.acquire(blocking=False)
    except Timeout:
        raise _another(path) from None


def claim_postgresql() -> None:
    """Claim this PostgreSQL database as the only process that hosts its runs, as a file of SQLite.

    The server lets go of the lock when the connection ends, as that of a killed process does. It
    guards the start: a claim that was lost because PostgreSQL has restarted is not made anew.
    """
    if _postgresql_claims:
        return
    link = connection.copy()
    link.inc_thread_sharing()  # another thread closes it
    link.settings_dict["AUTOCOMMIT"] = True
    link.settings_dict["OPTIONS"].pop("pool", None)  # it would be one of the pool's, for good
    with link.cursor() as cursor:
        cursor.execute(CLAIM_SETTINGS)
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))", [CLAIM])
        [is_claimed] = cursor.fetchone()
    if not is_claimed:
        link.close()
        raise _another(connection.settings_dict["NAME"])
    _postgresql_claims.append(link)


def release_postgresql() -> None:
    """Let another process claim the database, once the runtime has stopped. Blocks."""
    while _postgresql_claims:
        _postgresql_claims.pop().close()


def _another(database: object) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"Another server is at work on {database}: two would run everything twice. Stop it, or "
        "give this one a database of its own. Several processes need PostgreSQL and Redis: "
        "REDIS_URL in HITL."
    )
