"""Threads of a project that use the ORM, over a pool of connections."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.utils import ConnectionHandler

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only("SQLite has no pool"),
]


@pytest.fixture
def pooled() -> Iterator[ConnectionHandler]:
    """Connections to the database, one at a time."""
    entry = connections["default"].settings_dict
    pool = {"min_size": 1, "max_size": 1, "timeout": 1}
    options = {**entry["OPTIONS"], "pool": pool}
    handler = ConnectionHandler({"default": {}, "pooled": {**entry, "OPTIONS": options}})
    yield handler
    made: Any = handler["pooled"]
    made.close()
    made.close_pool()


def in_a_thread(work: Callable[[], Any]) -> None:
    failed = list[BaseException]()

    def run() -> None:
        try:
            work()
        except OperationalError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def test_a_thread_that_ends_with_its_connection_open_gives_it_back(
    pooled: ConnectionHandler,
) -> None:
    for _ in range(3):
        in_a_thread(lambda: pooled["pooled"].ensure_connection())


def test_a_connection_that_was_closed_in_time_stays_with_who_has_it_next(
    pooled: ConnectionHandler,
) -> None:
    def hand_over() -> None:
        pooled["pooled"].ensure_connection()
        pooled["pooled"].close()
        taken.start()
        assert has_it.wait(10)

    def take() -> None:
        pooled["pooled"].ensure_connection()
        has_it.set()
        let_go.wait(10)

    has_it, let_go = threading.Event(), threading.Event()
    taken = threading.Thread(target=take)
    in_a_thread(hand_over)
    with pytest.raises(OperationalError):  # it is taken
        pooled["pooled"].ensure_connection()
    let_go.set()
    taken.join()
    pooled["pooled"].ensure_connection()
