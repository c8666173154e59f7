"""Views outside of ATOMIC_REQUESTS. Such a request's transaction fails with an async view, and a
view that waits for the writer would wait for itself: SQLite lets one transaction write.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db import connections, transaction
from django.urls import URLPattern, URLResolver


def views_of(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[Callable[..., Any]]:
    """Yield the views of URL patterns, and of all that they include."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views_of(pattern.url_patterns)
        else:
            yield pattern.callback


def leave_out(patterns: Iterable[URLPattern | URLResolver]) -> None:
    """Take the views of the patterns out of the transactions of requests, on all databases."""
    for view in views_of(patterns):
        for database in connections:
            transaction.non_atomic_requests(database)(view)
