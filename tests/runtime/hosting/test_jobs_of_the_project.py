"""Tests of jobs and workers of the project in Procrastinate's tables: nothing touches them."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from sessions_app.hosting.dispatch import queue, take_over
from sessions_app.lifecycle import processes
from sessions_app.storage import reads, sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from tests.support.database import operator_rows
from tests.support.hosting import Hosting, until
from tests.support.running_form import CLUSTER

if CLUSTER:
    import psycopg
    from procrastinate import JobContext
    from procrastinate.connector import BaseAsyncConnector
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.django_connector import DjangoConnector
    from procrastinate.jobs import Job, Status

    from sessions_app.hosting.dispatch import job_worker, stand_ins
    from sessions_app.lifecycle import cluster_requirements

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only("one process has no queue"),
]

KEY = "conversation:x:probe"
HOUR = 3600.0
INSERT = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, status, worker_id)
    VALUES ('default', %s, 'theirs', 'theirs', %s::procrastinate_job_status, %s) RETURNING id
"""
DEFERRED = "SELECT task_name, MAX(defer_timestamp) FROM procrastinate_periodic_defers GROUP BY 1"
AGE = "UPDATE procrastinate_events SET at = at - interval '1 year'"
JOBS = "SELECT id, task_name, queue_name, status::text, worker_id, attempts FROM procrastinate_jobs"


def theirs(status: str, worker: int | None = None, task: str = "shop.invoice") -> int:
    with connection.cursor() as cursor:
        cursor.execute(INSERT, (task, status, worker))
        return int(cursor.fetchone()[0])


def jobs() -> list[sql.Row]:
    return sorted(sql.fetch(JOBS, ()))


def worker_connector() -> "BaseAsyncConnector":
    assert isinstance(app.connector, DjangoConnector)
    return app.connector.get_worker_connector()


def maintain(tx: Transaction) -> None:
    take_over.take_over(tx)
    take_over.take_from_dead("theirs")
    queue.put_forgotten(tx)
    processes.forget_unseen(tx)


@pytest.mark.parametrize("write", [maintain, queue.delete_old])
@pytest.mark.parametrize("status", ["todo", "doing", "failed", "succeeded", "cancelled"])
def test_no_job_of_the_project_changes(write: Callable[[Transaction], None], status: str) -> None:
    silent = operator_rows.taker(silent=HOUR)
    theirs(status, silent if status == "doing" else None)
    sql.execute(AGE, ())
    before = jobs()
    writer.write_now(write)
    assert jobs() == before
    assert queue.figures() == []


def test_a_job_of_the_project_without_a_worker_is_its_own_to_retry() -> None:
    theirs("doing", None)
    before = jobs()
    writer.write_now(maintain)
    assert jobs() == before


async def test_a_worker_takes_only_jobs_of_this_package() -> None:
    def stored() -> None:
        theirs("todo")
        operator_rows.maintenance_job(queue.CLEAN, "todo", at=0)

    await reads.read(stored)
    async with Hosting("calculator"):
        await until(lambda: queue.CLEAN not in [task for _, task, *_ in jobs()])
        left = [(task, status) for _, task, _, status, *_ in await reads.read(jobs)]
        assert ("shop.invoice", "todo") in left


async def test_a_worker_defers_only_periodic_tasks_of_this_package() -> None:
    @app.periodic(cron="* * * * * *")
    @app.task(name="shop.every_second", queue="default")
    async def every_second(timestamp: int) -> None:
        """Do nothing."""

    def deferred() -> dict[str, int]:
        return dict(sql.fetch(DEFERRED, ()))

    try:
        async with Hosting("calculator"):
            await until(lambda: queue.MAINTAIN in deferred())
            first = (await reads.read(deferred))[queue.MAINTAIN]
            # A project's task with the same schedule would be deferred in the same seconds.
            await until(lambda: deferred()[queue.MAINTAIN] > first + 1)
            assert set(await reads.read(deferred)) == {queue.MAINTAIN}
    finally:
        del app.tasks["shop.every_second"]
        del app.periodic_registry.periodic_tasks["shop.every_second", ""]


@pytest.mark.slow
async def test_a_lock_of_the_project_fails_no_job(caplog: pytest.LogCaptureFixture) -> None:
    def failed() -> list[sql.Row]:
        return [row for row in jobs() if row[3] == "failed"]

    url, name = os.environ["DATABASE_URL"], connection.settings_dict["NAME"]
    async with (
        Hosting("calculator"),
        await psycopg.AsyncConnection.connect(url, dbname=name) as other,
    ):
        await other.execute("LOCK TABLE sessions_app_interaction IN ACCESS EXCLUSIVE MODE")
        await until(lambda: "periodic.storage_unavailable" in caplog.text or failed())
    assert await reads.read(failed) == []


def test_only_dead_workers_of_this_package_are_forgotten() -> None:
    ours, alive, project = (operator_rows.taker(silent=silent) for silent in (HOUR, 0, 100 * HOUR))
    for worker, name in ((ours, "dead:1"), (alive, "silent:1")):
        operator_rows.process(name, "worker", silent=2 * HOUR, job_worker=worker)
    writer.write_now(processes.forget_unseen)
    assert sorted(queue.silences()) == [alive, project]


async def test_a_worker_of_the_project_puts_a_job_back() -> None:
    await writer.write(lambda tx: queue.put(KEY))
    with app.replace_connector(worker_connector()):
        async with app.open_async():
            await app.run_worker_async(wait=False, install_signal_handlers=False)
    todo, done = sorted(await reads.read(jobs), key=lambda row: row[3], reverse=True)
    assert todo[1:4] == (queue.HOST, f"{queue.PREFIX}default", "todo")
    assert done[3] == "succeeded"


async def test_a_job_that_is_queued_again_meanwhile_is_not_put_back_twice() -> None:
    await writer.write(lambda tx: queue.put(KEY))
    with app.replace_connector(worker_connector()):
        async with app.open_async():
            manager = app.job_manager
            job = await manager.fetch_job(None, await manager.register_worker())
            assert job is not None
            await writer.write(lambda tx: queue.put(KEY))
            await stand_ins.put_back(
                JobContext(app=app, job=job, start_timestamp=0, abort_reason=lambda: None)
            )
            await manager.finish_job(job, Status.SUCCEEDED, delete_job=True)
    assert [row[3] for row in await reads.read(jobs)] == ["todo"]


def test_a_project_with_tasks_of_its_own_is_told_to_name_queues(settings: Any) -> None:
    def findings() -> list[str]:
        return [finding.msg for finding in cluster_requirements.WORKER_QUEUES.run()]

    assert findings() == []
    app.task(name="shop.mail")(print)
    try:
        [warning] = findings()
        assert "shop.mail" in warning
        settings.PROCRASTINATE_WORKER_DEFAULTS = {"queues": ["shop"]}
        assert findings() == []
    finally:
        del app.tasks["shop.mail"]


async def test_a_worker_leaves_a_periodic_task_to_another_for_seconds() -> None:
    def job(timestamp: int) -> Job:
        return Job(
            id=None,
            queue=queue.MAINTENANCE_QUEUE,
            lock=None,
            queueing_lock=None,
            task_name=queue.MAINTAIN,
            task_kwargs={"timestamp": timestamp},
        )

    with app.replace_connector(worker_connector()):
        async with app.open_async():
            first, other = (
                job_worker.ServableJobs(app.connector, list, lambda: False) for _ in range(2)
            )
            deferred = [
                await jobs.defer_periodic_job(job(second), "", second) is not None
                for jobs, second in [
                    *((first, 100), (other, 100), (first, 101), (first, 102)),
                    # The first ends.
                    *((other, 103), (other, 104), (other, 105), (other, 106)),
                ]
            ]
    assert deferred == [True, False, True, True, False, False, True, True]
