"""A classification of database errors: faults of the database, or of what was asked of it."""

import sqlite3

from django.db import DatabaseError, Error, InterfaceError, OperationalError

from sessions_app.errors import SessionsError, StorageUnavailable

# PostgreSQL's codes of a transaction that is to be tried again: deadlock, serialization.
COLLISIONS = ("40P01", "40001")
# Those of its classes: of connections, of resources, of operators (it stops, or starts), of its
# machine, and of itself; then a transaction that idled or took too long, a server that only reads,
# and a lock that was not to be had.
POSTGRESQL = ("08", "53", "57", "58", "XX", "25P03", "25P04", "25006", "55P03", *COLLISIONS)
SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}


def is_fault(error: BaseException | None) -> bool:
    """Return whether the database was away or could not do its work.

    What was asked of it is not to blame then, and may be asked again. An error of the driver
    without a code says that it has lost the connection, or got none.
    """
    if isinstance(error, StorageUnavailable):
        return True
    if isinstance(error, SessionsError):  # a builder that could not read, say
        return is_fault(error.__cause__)
    if not isinstance(error, Error):
        return False
    code = sqlstate(error)
    if code is not None:
        return code.startswith(POSTGRESQL)
    number = getattr(error.__cause__, "sqlite_errorcode", None)
    if number is not None:
        return number & 0xFF in SQLITE  # the rest of it says more
    if type(error) is DatabaseError:  # Django raises it too, of a row that is gone
        return hasattr(error.__cause__, "sqlstate")
    return isinstance(error, (OperationalError, InterfaceError))


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code of an error of Django's, if it has one."""
    code: str | None = getattr(error.__cause__, "sqlstate", None)
    return code
