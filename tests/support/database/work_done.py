"""A measure of the database's work for a piece of code: PostgreSQL's rows, or SQLite's steps."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def statements_of(client: Client, path: str) -> int:
    """Return the number of database statements for a page."""
    client.get(path)  # first request: may store a new expiry of the session
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200, path
    return len(queries)


def work_done(look: Callable[[], object]) -> int:
    """Return the work that a function causes; compare only figures of the same database."""
    return steps_taken(look) if connection.vendor == "sqlite" else rows_read(look)


def rows_read(look: Callable[[], object]) -> int:
    """Return the number of rows that all nodes of PostgreSQL's plans returned or filtered out."""
    count = 0.0
    for plan in _explain(look, "EXPLAIN (ANALYZE, FORMAT JSON) "):
        for node in _nodes(json.loads(plan) if isinstance(plan, str) else plan):
            left_out = [node[name] for name in node if name.startswith("Rows Removed by ")]
            count += node["Actual Loops"] * (1 + node["Actual Rows"] + sum(left_out))
    return int(count)


def whole_tables(look: Callable[[], object]) -> list[str]:
    """Return the tables (or their aliases) that SQLite scans in the query without an index."""
    plans = _explain(look, "EXPLAIN QUERY PLAN ")
    return [scan[1] for line in plans if (scan := re.fullmatch(r"SCAN (\w+)", line))]


def steps_taken(look: Callable[[], object]) -> int:
    """Return how often SQLite's virtual machine took ten steps; each row takes several steps."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection.connection.set_progress_handler(step, 10)
    try:
        look()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return count


def _explain(look: Callable[[], object], explain: str) -> Iterator[Any]:
    """Yield the last column of each row of the query plans."""
    with CaptureQueriesContext(connection) as queries:
        look()
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(explain + query["sql"])
            for row in cursor.fetchall():
                yield row[-1]


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """Yield the executed nodes of a query plan, child nodes included."""
    if isinstance(plan, list):
        for one in plan:
            yield from _nodes(one)
        return
    if "Actual Loops" in plan:
        yield plan
    for part in (*plan.get("Plans", ()), plan.get("Plan")):
        if part:
            yield from _nodes(part)
