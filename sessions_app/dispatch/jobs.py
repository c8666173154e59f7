"""The jobs of hosts in Procrastinate's queue, as far as our own transactions change them.

Plain SQL on its tables: a job is queued, or found to be queued, in one statement of the transaction
of the work; Procrastinate's own `defer` would fail it where one is queued already, and take a
stalled job over in several transactions.
"""

from collections.abc import Collection

from django.db import connection

from sessions_app.config import DEFAULT_QUEUE
from sessions_app.errors import Fenced, UnknownWorkflow
from sessions_app.event_log import Transaction, sql
from sessions_app.queues import STALLED_AFTER, without_job
from sessions_app.take_up import Claim
from sessions_app.turns import SUSPECT_CRASHES, needing_host
from sessions_app.workflows import registry

HOST = "host"
MAINTENANCE_QUEUE = "maintenance"
# Suspects are taken over so far apart.
SUSPECTS_APART = 2.0  # seconds

HOLDER = "SELECT worker, released_at FROM sessions_app_hostlease WHERE key = %s FOR SHARE"
# Where one is queued already, its row is locked: nobody takes it before this transaction commits.
PUT = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
    VALUES (%s, %s, %s, %s, jsonb_build_object('key', %s::text),
            now() + %s * interval '1 second')
    ON CONFLICT (queueing_lock) WHERE status = 'todo'
    DO UPDATE SET queueing_lock = excluded.queueing_lock
"""
CLAIM = """
    SELECT 1 FROM procrastinate_jobs
    WHERE id = %s AND worker_id = %s AND status = 'doing' FOR SHARE
"""
# This worker is alive. Whoever takes over locks the same row: the one who is second sees the first.
BEAT = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %s"
# After a restart of the database nobody can be blamed for heartbeats that it did not take.
SILENT = """
    SELECT id FROM procrastinate_workers
    WHERE last_heartbeat < now() - %s * interval '1 second'
    AND pg_postmaster_start_time() < now() - %s * interval '1 second'
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
STALLED = """
    SELECT id, lock FROM procrastinate_jobs
    WHERE status = 'doing' AND (worker_id IS NULL OR worker_id = ANY(%s::bigint[]))
    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
DELETE = "DELETE FROM procrastinate_jobs WHERE id = %s AND status = 'doing' RETURNING lock"
MINE = """
    SELECT id, lock FROM procrastinate_jobs
    WHERE worker_id = %s AND status = 'doing' AND task_name = %s
"""
AT_ONCE = 100


def announce(key: str) -> str | None:
    """There is work for the key: the worker that hosts it, which will see it; None if none does.

    Then a job is queued. The lease stays locked until the commit, so that a host cannot let go of
    it without seeing the work.
    """
    for worker, released_at in sql.fetch(HOLDER, (key,)):
        if released_at is None:
            return str(worker)
    put(key)
    return None


def put(key: str, *, delay: float = 0) -> None:
    """Queue a job of the key's host, unless one is queued."""
    sql.execute(PUT, (_queue(key), HOST, key, key, key, delay or None))


def put_if_needed(key: str) -> None:
    """Queue the key if somebody has to host it."""
    if needing_host().filter(key=key).exists():
        put(key)


def claim(job: int, worker: int, key: str) -> Claim:
    """That the job is still this worker's, which makes it the key's host; locks the job."""

    def check(tx: Transaction) -> None:
        if not sql.fetch(CLAIM, (job, worker)):
            raise Fenced(key, 0, 0)

    return check


def of_worker(worker: int) -> dict[int, str]:
    """The hosts' jobs that this worker has, and their keys; shows at the same time that it lives.

    Nobody takes one of them over for as long as a heartbeat counts.
    """
    sql.execute(BEAT, (worker,))
    return dict(sql.fetch(MINE, (worker, HOST)))


def give_back(lost: Collection[int]) -> None:
    """Queue anew what was taken and is not served."""
    for job in sorted(lost):
        for (key,) in sql.fetch(DELETE, (job,)):
            put(key)


def take_over(tx: Transaction) -> int:
    """Queue anew what dead workers have in hand; returns how many jobs there were.

    A new job takes the place of a stalled one: should its worker only have slept, what it does to
    its own job later is done to none.
    """
    silent = [worker for (worker,) in sql.fetch(SILENT, (STALLED_AFTER, STALLED_AFTER))]
    with connection.cursor() as cursor:  # a list of ours would go as JSON
        cursor.execute(STALLED, (silent, AT_ONCE))
        stalled = cursor.fetchall()
    keys = [key for _, key in stalled if key is not None]
    suspect = needing_host().filter(key__in=keys, crashes__gte=SUSPECT_CRASHES)
    suspects = sorted(suspect.values_list("key", flat=True).distinct())
    for job, _ in stalled:
        sql.fetch(DELETE, (job,))
    for key in keys:
        put(key, delay=suspects.index(key) * SUSPECTS_APART if key in suspects else 0)
    return len(stalled)


def put_forgotten(tx: Transaction) -> int:
    """Queue the keys that have work and no job; returns how many there were.

    There are none, unless somebody has deleted jobs, or the database was one process's before.
    """
    forgotten = without_job(needing_host()).values_list("key", flat=True)
    keys = list(forgotten.distinct()[:AT_ONCE])
    for key in keys:
        put(key)
    return len(keys)


def _queue(key: str) -> str:
    _, _, workflow = key.split(":", 2)
    try:
        return registry.get(workflow).config.queue
    except UnknownWorkflow:  # whoever takes it says so
        return DEFAULT_QUEUE
