"""A classification of database errors: faults of the database, or errors in the request."""

import sqlite3

from django.db import DatabaseError, Error, InterfaceError, OperationalError

from sessions_app.errors import SessionsError, StorageUnavailable

# PostgreSQL's codes of transactions to retry: deadlock, serialization.
COLLISIONS = ("40P01", "40001")
# PostgreSQL's codes of faults: the classes of connections, resources, operators (stop, start), the
# machine, and PostgreSQL itself; then a transaction that idled or took too long, a read-only
# server, and a lock that was unavailable.
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
    """Return whether the database was unreachable or could not do its work.

    Such an error is not the fault of the request, which may be repeated. An error of the driver
    without a code means that the connection was lost, or could not be opened.
    """
    if isinstance(error, StorageUnavailable):
        return True
    if isinstance(error, SessionsError):  # the cause decides, e.g. a builder's failed read
        return is_fault(error.__cause__)
    if not isinstance(error, Error):
        return False
    code = sqlstate(error)
    if code is not None:
        return code.startswith(POSTGRESQL)
    number = getattr(error.__cause__, "sqlite_errorcode", None)
    if number is not None:
        return number & 0xFF in SQLITE  # higher bits of the code only add detail
    if type(error) is DatabaseError:  # Django raises DatabaseError also for a deleted row
        return hasattr(error.__cause__, "sqlstate")
    return isinstance(error, (OperationalError, InterfaceError))


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code of a Django error, if the error has one."""
    code: str | None = getattr(error.__cause__, "sqlstate", None)
    return code
