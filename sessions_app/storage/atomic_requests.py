"""The exclusion of views from ATOMIC_REQUESTS, which fails with async views.

A view that waits for the writer inside of a transaction would wait for itself, as SQLite allows one
writing transaction.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db import connections, transaction
from django.urls import URLPattern, URLResolver


def views_of(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[Callable[..., Any]]:
    """Yield the views of URL patterns, included patterns too."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views_of(pattern.url_patterns)
        else:
            yield pattern.callback


def leave_out(patterns: Iterable[URLPattern | URLResolver]) -> None:
    """Exclude the patterns' views from the transactions of requests, on all databases."""
    for view in views_of(patterns):
        for database in connections:
            transaction.non_atomic_requests(database)(view)
