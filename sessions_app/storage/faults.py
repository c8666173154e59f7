"""A classification of database errors: faults of the database, or errors in the request."""

import sqlite3

from django.db import DatabaseError, Error, InterfaceError, OperationalError

from sessions_app.errors import SessionsError, StorageUnavailable

# PostgreSQL's error codes of transactions to retry: deadlock and serialization failure.
COLLISIONS = ("40P01", "40001")
# PostgreSQL's error codes of faults. Two characters name a class: connection, resources, operator
# intervention, system error, internal error. Then come the codes of an idle or slow transaction, of
# a read-only server, and of a lock that was not available.
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
    if isinstance(error, SessionsError):  # classify it by its cause, e.g. a builder's failed query
        return is_fault(error.__cause__)
    if not isinstance(error, Error):
        return False
    code = sqlstate(error)
    if code is not None:
        return code.startswith(POSTGRESQL)
    number = getattr(error.__cause__, "sqlite_errorcode", None)
    if number is not None:
        return number & 0xFF in SQLITE  # the low byte is SQLite's primary error code
    if type(error) is DatabaseError:  # no fault: Django raises this for a deleted row
        return hasattr(error.__cause__, "sqlstate")
    return isinstance(error, (OperationalError, InterfaceError))


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code of a Django error, if the error has one."""
    code: str | None = getattr(error.__cause__, "sqlstate", None)
    return code
