"""The take-over of a dead worker's jobs: each is replaced by a new one.

In one transaction, where Procrastinate's own retry of stalled jobs takes several. Should a worker
only have slept, what it does to its own job later is done to none.
"""

from collections.abc import Collection

from sessions_app.dispatch.jobs import AT_ONCE, fetch, put
from sessions_app.hosting.needing_host import with_suspect
from sessions_app.storage import sql
from sessions_app.storage.safety_times import STALLED_AFTER
from sessions_app.storage.transaction import Transaction

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
TAKE_AWAY = "DELETE FROM procrastinate_jobs WHERE id = %s AND status = 'doing' RETURNING lock"
OF_KEY = """
    SELECT id FROM procrastinate_jobs WHERE lock = %s AND status = 'doing' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_workers worker
        WHERE worker.id = worker_id AND worker.last_heartbeat > now() - %s * interval '1 second'
    )
"""


def give_back(jobs: Collection[int]) -> None:
    """Queue again the jobs that were taken and are not served."""
    for job in sorted(jobs):
        _replace(job)


def _replace(job: int, *, suspects: Collection[str] = ()) -> None:
    """Replace a job that nobody serves by a new one, if it still exists."""
    for (lock,) in sql.fetch(TAKE_AWAY, (job,)):
        if lock is not None:
            put(lock, suspect=lock in suspects)


def take_over(tx: Transaction) -> int:
    """Queue anew what dead workers have in hand; returns how many jobs there were."""
    silent_workers = [worker for (worker,) in sql.fetch(SILENT, (STALLED_AFTER, STALLED_AFTER))]
    # As text: a list would go as JSON.
    stalled_jobs = sql.fetch(STALLED, (f"{{{', '.join(map(str, silent_workers))}}}", AT_ONCE))
    suspects = with_suspect([key for _, key in stalled_jobs if key is not None])
    for job, _ in stalled_jobs:
        _replace(job, suspects=suspects)
    return len(stalled_jobs)


def take_from_dead(key: str) -> None:
    """Queue the key again, in place of a job that a dead worker has of it."""
    for (job,) in fetch(OF_KEY, (key, STALLED_AFTER)):
        _replace(job)
