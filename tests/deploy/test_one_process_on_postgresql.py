"""The single process of a project on PostgreSQL without Redis."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.lifecycle import start_checks

pytestmark = [
    pytest.mark.cluster_only("it needs PostgreSQL"),
    pytest.mark.django_db(transaction=True),
]


def test_a_second_process_is_refused_until_the_first_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first: list[BaseDatabaseWrapper] = []
    second: list[BaseDatabaseWrapper] = []
    monkeypatch.setattr(start_checks, "_postgresql_locks", first)
    start_checks.lock_postgresql()
    start_checks.lock_postgresql()  # of the same process
    monkeypatch.setattr(start_checks, "_postgresql_locks", second)
    with pytest.raises(ImproperlyConfigured, match="two would run everything twice"):
        start_checks.lock_postgresql()
    first.pop().close()
    start_checks.lock_postgresql()
    second.pop().close()
