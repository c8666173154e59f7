"""What is in Procrastinate's queues, for operators and `doctor`: plain SQL on its tables.

The local form has no queue, and no such tables.
"""

from dataclasses import dataclass

from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql
from sessions_app.storage.safety_times import STALLED_AFTER

# A job that waits for its lock waits for the host that has it, not for a worker.
FIGURES = """
    WITH beats AS (
        SELECT id, EXTRACT(EPOCH FROM now() - last_heartbeat) AS silent FROM procrastinate_workers
    ), waiting AS (
        SELECT job.id, job.queue_name, GREATEST(job.scheduled_at, MAX(event.at)) AS since
        FROM procrastinate_jobs job JOIN procrastinate_events event ON event.job_id = job.id
        WHERE job.status = 'todo' AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
        AND NOT EXISTS (
            SELECT 1 FROM procrastinate_jobs other
            WHERE other.lock = job.lock AND other.status = 'doing'
        )
        GROUP BY job.id
    )
    SELECT job.queue_name,
        COUNT(*) FILTER (WHERE job.status = 'todo'),
        COALESCE(MAX(EXTRACT(EPOCH FROM clock_timestamp() - waiting.since)), 0),
        COUNT(*) FILTER (WHERE job.status = 'doing'),
        COUNT(*) FILTER (
            WHERE job.status = 'doing' AND (beats.id IS NULL OR beats.silent > %s)
        ),
        COUNT(*) FILTER (WHERE job.status = 'failed' AND NOT EXISTS (
            SELECT 1 FROM procrastinate_periodic_defers later
            WHERE later.task_name = job.task_name
            AND later.defer_timestamp > (job.args->>'timestamp')::bigint + %s
        ))
    FROM procrastinate_jobs job
    LEFT JOIN waiting ON waiting.id = job.id
    LEFT JOIN beats ON beats.id = job.worker_id
    WHERE job.status IN ('todo', 'doing', 'failed')
    GROUP BY job.queue_name ORDER BY job.queue_name
"""
# A job that comes again and again has failed for so many seconds: then its next one has been taken,
# and has failed by itself or mended what this one left. Procrastinate keeps the last time of each.
PERIODIC_FAILED = 10
SILENCES = "SELECT id, EXTRACT(EPOCH FROM now() - last_heartbeat) FROM procrastinate_workers"


@dataclass(frozen=True, slots=True)
class Queue:
    """How a queue stands. `oldest`: for how many seconds a job has waited for a worker."""

    name: str
    queued: int
    oldest: float
    running: int
    stalled: int
    failed: int


def figures() -> list[Queue]:
    """The queues that have jobs now."""
    if not RuntimeSettings.load().cluster:
        return []
    return [
        Queue(name, queued, float(oldest), *rest)
        for name, queued, oldest, *rest in sql.fetch(FIGURES, (STALLED_AFTER, PERIODIC_FAILED))
    ]


def silences() -> dict[int, float]:
    """For how many seconds each of Procrastinate's workers has been silent, by its id."""
    if not RuntimeSettings.load().cluster:
        return {}
    return {worker: float(silent) for worker, silent in sql.fetch(SILENCES, ())}
