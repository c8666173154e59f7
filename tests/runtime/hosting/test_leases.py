"""Tests of leases: who holds a key, since when, and with which runs."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app.errors import Fenced
from sessions_app.hosting.lease import release_all, release_lease, take_lease
from sessions_app.models import HostLease, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.storage.transaction import Transaction
from tests.support.clock import an_hour_back
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db
KEY, OTHER_KEY = (HostKey.of_user(name, "none") for name in ("ann", "ben"))


@pytest.mark.slow
def test_a_host_that_ends_in_good_order_takes_one_crash_off_its_runs_alone() -> None:
    log = StoredLog(User.objects.create_user("ann"))
    runs = [log.begin(crashes=crashes) for crashes in (0, 1, 2, 1)]
    tx = Transaction()
    lease = take_lease(tx, KEY)
    release_lease(tx, lease, [run.pk for run in runs[:3]])  # the last run belongs to another host
    crashes = [Run.objects.get(pk=run.pk).crashes for run in runs]
    assert crashes == [0, 0, 1, 1]


def test_a_released_lease_stays_as_the_record_of_its_key_alone() -> None:
    tx = Transaction()
    other, lease = take_lease(tx, OTHER_KEY), take_lease(tx, KEY)
    HostLease.objects.update(metrics={"ref_count": 1}, evict_requested_at=timezone.now())
    release_lease(tx, lease)
    rows = {row.key: row for row in HostLease.objects.all()}
    assert (rows[KEY].released_at, rows[KEY].evict_requested_at) == (tx.now, None)
    assert (rows[KEY].generation, rows[KEY].metrics) == (1, {})
    assert (rows[OTHER_KEY].released_at, rows[OTHER_KEY].metrics) == (None, {"ref_count": 1})
    assert other.check(tx)  # true: an operator has requested that the builder be closed


def test_the_only_process_releases_what_others_left_and_keeps_when_leases_ended() -> None:
    with an_hour_back():
        ended = Transaction()
    release_lease(ended, take_lease(ended, KEY))
    tx = Transaction()
    take_lease(tx, OTHER_KEY)
    HostLease.objects.update(metrics={"ref_count": 1})
    release_all(tx)
    released = dict(HostLease.objects.values_list("key", "released_at"))
    assert released == {KEY: ended.now, OTHER_KEY: tx.now}
    assert list(HostLease.objects.values_list("metrics", flat=True)) == [{}, {}]


def test_who_takes_a_key_again_replaces_its_own_lease_only() -> None:
    tx = Transaction()
    first, other = take_lease(tx, KEY), take_lease(tx, OTHER_KEY)
    assert not first.check(tx)
    assert not other.check(tx)
    HostLease.objects.update(evict_requested_at=timezone.now())
    again = take_lease(tx, KEY)
    assert (first.generation, again.generation) == (1, 2)
    assert not again.check(tx)
    assert not other.check(tx)  # cached since the first look in this transaction
    with pytest.raises(Fenced) as refusal:
        first.check(tx)
    assert refusal.value.args == Fenced(KEY, 1, 2).args
