"""The single process of a project on PostgreSQL without Redis."""

import asyncio
from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import AsyncClient
from django.utils import timezone

from sessions_app.contrib.testing.hosting import make_user
from sessions_app.contrib.testing.polling import until
from sessions_app.hosting.dispatch.local import LocalDispatcher
from sessions_app.lifecycle import start_checks, startup
from sessions_app.models import Run
from sessions_app.runs import astart
from sessions_app.storage import clock, reads

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


async def test_with_a_wrong_clock_it_hosts_nothing_and_is_unhealthy(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "before_stop", [])
    user = await reads.read(make_user, "ann")
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=True) as own_clock:
        await startup.start(LocalDispatcher())
        try:
            run = await astart("calculator", "1 + 1", user=user)
            response = await async_client.get("/health")
            assert response.status_code == 503
            assert "7200 s ahead of the database's" in response.json()["reason"]
            await asyncio.sleep(1.5)  # longer than the time between two searches for work
            stored = await Run.objects.aget(pk=run)
            assert stored.status == Run.Status.QUEUED
            assert abs(stored.created_at - clock.now()) < timedelta(minutes=1)
            own_clock.shift(timedelta(hours=-2))
            await until(lambda: Run.objects.get(pk=run).status != Run.Status.QUEUED)
        finally:
            await startup.stop()
