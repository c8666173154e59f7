"""Jobs of workers that are silent: when others take them over."""

import pytest

from sessions_app.dispatch import take_over
from sessions_app.storage.writer import writer
from tests.support.database import operator_rows

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only("one process has nobody to take over from"),
]

YEAR = 365 * 86_400


@pytest.mark.parametrize(("stalled_after", "count"), [(0.01, 1), (YEAR, 0)])
def test_a_silence_counts_from_the_start_of_the_database(
    monkeypatch: pytest.MonkeyPatch, stalled_after: float, count: int
) -> None:
    monkeypatch.setattr(take_over, "STALLED_AFTER", stalled_after)
    operator_rows.job("conversation:x:probe", "doing", by=operator_rows.taker(silent=2 * YEAR))
    assert writer.write_now(take_over.take_over) == count


def test_a_job_whose_worker_was_removed_is_taken_over() -> None:
    operator_rows.job("conversation:x:probe", "doing", by=None)
    assert writer.write_now(take_over.take_over) == 1
