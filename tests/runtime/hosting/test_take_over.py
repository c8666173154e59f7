"""Tests of jobs whose worker is silent: when other workers take them over."""

import pytest
from django.utils import timezone

from sessions_app.hosting.dispatch import queue, take_over
from sessions_app.storage import sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from tests.support.database import operator_rows
from tests.support.running_form import CLUSTER

if CLUSTER:
    from procrastinate.contrib.django import app
    from procrastinate.exceptions import UniqueViolation

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only("one process has nobody to take over from"),
]

YEAR = 365 * 86_400
KEY = "conversation:x:probe"
TAKEN = "UPDATE procrastinate_jobs SET status = 'doing' RETURNING id"


@pytest.mark.parametrize(("stalled_after", "count"), [(0.01, 1), (YEAR, 0)])
def test_a_silence_counts_from_the_start_of_the_database(
    monkeypatch: pytest.MonkeyPatch, stalled_after: float, count: int
) -> None:
    monkeypatch.setattr(take_over, "STALLED_AFTER", stalled_after)
    operator_rows.job(KEY, "doing", by=operator_rows.taker(silent=2 * YEAR))
    assert writer.write_now(take_over.take_over) == count


def test_a_job_whose_worker_was_removed_is_taken_over() -> None:
    operator_rows.job(KEY, "doing", by=None)
    assert writer.write_now(take_over.take_over) == 1


def test_a_key_that_is_queued_again_is_taken_over_where_a_retry_fails() -> None:
    def put_and_lose(tx: Transaction) -> int:
        queue.put(KEY)
        [(job,)] = sql.fetch(TAKEN, ())
        queue.put(KEY)
        return int(job)

    job = writer.write_now(put_and_lose)
    # If this ever succeeds, the statement `TAKE_AWAY` can be removed.
    with pytest.raises(UniqueViolation):
        app.job_manager.retry_job_by_id(job, retry_at=timezone.now())
    assert writer.write_now(take_over.take_over) == 1
