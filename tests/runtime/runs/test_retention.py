"""Tests of retention: old data is deleted, and nothing else."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from django.utils import timezone

from chat_app.models import SocketCursor
from sessions_app.conversations import listing
from sessions_app.errors import NotFound
from sessions_app.hosting.dispatch import queue
from sessions_app.lifecycle import due, retention
from sessions_app.models import Conversation, Event, HostLease, Process, Run
from sessions_app.models.people import session_model
from sessions_app.storage import periodic, reads, sql
from tests.support.database import operator_rows
from tests.support.database.operator_rows import LONG_AGO
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, until

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()


@pytest.fixture
def keep_30_days(settings: Any) -> None:
    """Set the retention of conversations to 30 days."""
    set_hitl(settings, KEEP_DAYS=30)


def an_old_run(status: str = "completed", age: timedelta = LONG_AGO) -> Run:
    return operator_rows.run(status, at=NOW - age)


def with_everything(run: Run) -> None:
    """Give the run events of all kinds, and its conversation a reader."""
    place = {"conversation": run.conversation, "sequence": 1}
    Event.objects.create(
        **place, run=run, first_sequence=1, type="text", payload={}, created_at=NOW
    )
    SocketCursor.objects.create(**place, user=User.objects.get())


@pytest.mark.usefixtures("keep_30_days")
async def test_an_old_conversation_goes_with_all_that_belongs_to_it() -> None:
    old = await reads.read(an_old_run)
    await reads.read(with_everything, old)
    young = await reads.read(an_old_run, age=timedelta(days=29))
    assert await retention.clean() == 1
    assert await reads.read(lambda: list(Run.objects.all())) == [young]
    assert await reads.read(lambda: Event.objects.count() + SocketCursor.objects.count()) == 0


@pytest.mark.parametrize(
    ("keep_days", "status"),
    [*((30, status) for status in Run.UNFINISHED), (30, "suspended"), (0, "completed")],
)
async def test_a_run_that_may_go_on_keeps_its_conversation_and_no_limit_keeps_all(
    settings: Any, keep_days: int, status: str
) -> None:
    set_hitl(settings, KEEP_DAYS=keep_days)
    await reads.read(an_old_run, status)
    assert await retention.clean() == 0
    assert await reads.read(Run.objects.count) == 1


@pytest.mark.usefixtures("keep_30_days")
async def test_many_conversations_go_in_many_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)
    for _ in range(5):
        await reads.read(an_old_run)
    assert await retention.clean() == 5
    assert await reads.read(Conversation.objects.count) == 0


@pytest.mark.usefixtures("keep_30_days")
async def test_a_conversation_that_the_project_protects_keeps_no_other() -> None:
    protected, *_ = [await reads.read(an_old_run) for _ in range(3)]

    def protect(instance: Conversation, **_: object) -> None:
        if instance.pk == protected.conversation_id:
            raise ProtectedError("an order needs it", {instance})

    pre_delete.connect(protect, Conversation)
    try:
        assert await retention.clean() == 2
    finally:
        pre_delete.disconnect(protect, Conversation)
    assert (await Run.objects.aget()).pk == protected.pk


@pytest.mark.usefixtures("keep_30_days")
async def test_a_conversation_updated_during_the_clean_up_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The conversation was selected as old, but then somebody wrote a message."""
    run = await reads.read(an_old_run)
    batches = [[run.conversation_id], []]
    monkeypatch.setattr(retention, "_old_conversations", lambda over: batches.pop(0))
    await reads.read(lambda: Conversation.objects.update(updated_at=NOW))
    assert await retention.clean() == 0
    assert await reads.read(Conversation.objects.count) == 1


async def test_a_deleted_conversation_is_restorable_for_a_day() -> None:
    conversation = (await reads.read(an_old_run)).conversation
    conversation_key: dict[str, Any] = {
        "owner": conversation.owner_id,
        "conversation_id": conversation.conversation_id,
    }
    deleted = Conversation.objects.exclude(deleted_at=None)
    for hours, deleted_count in ((23, 0), (25, 1)):
        await listing.delete(**conversation_key)
        assert await reads.read(deleted.update, deleted_at=NOW - timedelta(hours=hours)) == 1
        assert await retention.clean() == deleted_count
        if not deleted_count:
            await listing.restore(**conversation_key)
            assert not await reads.read(deleted.exists)
    with pytest.raises(NotFound):
        await listing.restore(**conversation_key)


async def test_leases_of_conversations_that_are_gone_go() -> None:
    """A user's lease is kept: the user's key returns, and its generation must not restart."""
    kept_key = (await reads.read(an_old_run, "completed")).key
    times = {"started_at": NOW, "last_activity": NOW, "released_at": NOW - LONG_AGO}

    def lease(key: str, **fields: Any) -> None:
        HostLease.objects.create(key=key, worker="w", workflow="probe", **{**times, **fields})

    for key in (kept_key, "conversation:gone:probe", "user:1:probe"):
        await reads.read(lease, key)
    await reads.read(lease, "conversation:held:probe", released_at=None)
    assert await retention.clean() == 1
    keys = await reads.read(lambda: set(HostLease.objects.values_list("key", flat=True)))
    assert keys == {kept_key, "user:1:probe", "conversation:held:probe"}


def sessions_and_processes() -> None:
    """Store sessions and processes: of each, one to delete and one to keep."""
    Session.objects.create(session_key="old", session_data="", expire_date=NOW - LONG_AGO)
    Session.objects.create(session_key="new", session_data="", expire_date=NOW + LONG_AGO)
    operator_rows.process("silent:1", "worker", silent=4000)
    operator_rows.process("alive:1", "web", silent=100)


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next cleaning fail at the deletion of sessions."""
    faults = [OSError("no connection")]

    def failing_model() -> type[AbstractBaseSession] | None:
        if faults:
            raise faults.pop()
        return session_model()

    monkeypatch.setattr(retention, "session_model", failing_model)


async def test_expired_sessions_go() -> None:
    await reads.read(sessions_and_processes)
    assert await retention.clean() == 1
    assert (await reads.read(Session.objects.get)).session_key == "new"


async def test_a_cleaning_that_failed_is_done_again_and_silent_processes_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await reads.read(sessions_and_processes)
    fail_once(monkeypatch)
    monkeypatch.setattr(periodic, "LONGEST_AFTER_FAULT", 0.1)
    maintenance = asyncio.create_task(due.maintain())
    try:
        await until(lambda: Session.objects.count() == 1 and Process.objects.count() == 1)
    finally:
        maintenance.cancel()
    assert (await reads.read(Process.objects.get)).name == "alive:1"
    assert (await reads.read(Session.objects.get)).session_key == "new"


@pytest.mark.cluster_only("there is no queue in one process")
async def test_a_nightly_job_that_failed_is_done_again_within_the_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail_once(monkeypatch)
    await reads.read(partial(operator_rows.maintenance_job, queue.CLEAN, "todo", at=0))

    def next_attempt() -> list[sql.Row]:
        # Of this job, or of the one that a worker defers itself up to ten minutes after 3:17.
        query = "SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = %s AND attempts = 1"
        return sql.fetch(query, (queue.CLEAN,))

    async with Hosting("calculator"):
        [(scheduled_at,)] = await until(next_attempt)
        assert NOW < scheduled_at < timezone.now() + timedelta(hours=1)


@pytest.mark.cluster_only("there is no queue in one process")
async def test_old_failed_jobs_are_deleted() -> None:
    def rows() -> None:
        jobs = [operator_rows.job(key, "failed") for key in ("old", "new")]
        jobs.append(operator_rows.job("running", "doing", by=operator_rows.taker()))
        operator_rows.maintenance_job(queue.CLEAN, "todo", at=0)
        with connection.cursor() as cursor:
            for job, days in zip(jobs, (8, 1, 8), strict=True):
                cursor.execute(
                    "INSERT INTO procrastinate_events (job_id, type, at) "
                    "VALUES (%s, 'failed', now() - %s * interval '1 day')",
                    [job, days],
                )

    def remaining_jobs() -> set[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT lock FROM procrastinate_jobs WHERE lock IS NOT NULL")
            return {lock for (lock,) in cursor.fetchall()}

    await reads.read(rows)
    async with Hosting("calculator"):
        await until(lambda: remaining_jobs() == {"new", "running"})
