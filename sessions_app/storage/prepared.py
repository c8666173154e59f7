"""A writer's statements on PostgreSQL: prepared by name, and executed by one call of libpq each.

A cursor of psycopg waits in Python for what the database says, which takes longer than most of
these statements. psycopg still connects, converts values both ways and ends the transaction:
https://www.psycopg.org/psycopg3/docs/api/pq.html
"""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, OperationalError, abc, errors, pq
from psycopg.adapt import PyFormat, Transformer

ENCODING = "utf-8"  # Django's connections have no other
Types = tuple[int, ...] | None


class Executed:
    """What came of a statement, read as it is of a cursor; the next one takes its place."""

    __slots__ = ("_result", "_values")

    def __init__(self, result: pq.abc.PGresult, values: abc.Transformer) -> None:
        self._result = result
        self._values = values

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        return self._result.command_tuples or 0

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All its rows."""
        self._values.set_pgresult(self._result)
        return self._values.load_rows(0, self._result.ntuples, tuple)


class PreparedStatements:
    """Those of one connection."""

    def __init__(self, driver: Connection[Any]) -> None:
        self.driver = driver
        self._libpq = driver.pgconn
        self._values: abc.Transformer = Transformer(driver)
        self._names: dict[tuple[str, Types], bytes] = {}
        isolation = driver.isolation_level
        level = isolation and f" ISOLATION LEVEL {isolation.name.replace('_', ' ')}"
        self._begin = f"BEGIN{level or ''}".encode()
        # It may come from a pool, with what another thread has prepared. And where psycopg has
        # statements prepared too, it drops all that is prepared with each rollback.
        driver.execute("DEALLOCATE ALL", prepare=False)
        driver.prepare_threshold = None

    def execute(self, statement: str, values: Sequence[Any]) -> Executed:
        """Execute it in the connection's transaction, which begins with its first statement."""
        libpq = self._libpq
        if libpq.transaction_status == pq.TransactionStatus.IDLE and not self.driver.autocommit:
            self._check(libpq.exec_(self._begin))
        # Any: psycopg's types do not know that libpq takes a None.
        bound: Any = self._values.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types = self._values.types
        name = self._names.get((statement, types)) or self._prepare(statement, types)
        result = libpq.exec_prepared(name, bound, self._values.formats)
        self._check(result)
        return Executed(result, self._values)

    def _prepare(self, statement: str, types: Types) -> bytes:
        name = f"hitl_{len(self._names)}".encode()
        self._check(self._libpq.prepare(name, _numbered(statement), types))
        self._names[statement, types] = name
        return name

    def _check(self, result: pq.abc.PGresult) -> None:
        if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            return
        if self._libpq.status == pq.ConnStatus.BAD:
            raise OperationalError(result.get_error_message(ENCODING))
        raise errors.error_from_result(result, ENCODING)


def _numbered(statement: str) -> bytes:
    """The statement with libpq's places for values."""
    first, *others = statement.split("%s")
    places = (f"${number}{part}" for number, part in enumerate(others, 1))
    return "".join([first, *places]).replace("%%", "%").encode()
