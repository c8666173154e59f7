"""A Procrastinate worker that claims only jobs whose runs find a place in its process at once.

Procrastinate's own worker takes whatever is queued. A run would then wait for a place in one
process while others have some: 8 of 30 messages took 2 to 30 s beside 20 long runs on 3 workers.
"""

from collections.abc import Callable, Iterable
from typing import Any

from procrastinate import App
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.worker import Worker

# As Procrastinate's `fetch_job`, but for the places. A run that is to be stopped needs none.
CLAIM = """
    WITH candidate AS (
        SELECT id FROM procrastinate_jobs job
        WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
        AND (%(queues)s::varchar[] IS NULL OR queue_name = ANY(%(queues)s::varchar[]))
        AND NOT EXISTS (
            SELECT 1 FROM procrastinate_jobs other
            WHERE other.lock = job.lock AND other.status = 'doing'
        )
        AND (
            COALESCE(args->'places', '[]') ?| %(full)s::text[] IS NOT TRUE
            OR EXISTS (
                SELECT 1 FROM sessions_app_run run
                WHERE run.key = job.lock AND run.stop_requested_at IS NOT NULL
                AND run.status NOT IN ('completed', 'failed', 'cancelled')
            )
        )
        ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE procrastinate_jobs job SET status = 'doing', worker_id = %(worker_id)s
    FROM candidate WHERE job.id = candidate.id
    RETURNING job.id, status, task_name, priority, lock, queueing_lock, args, scheduled_at,
        queue_name, attempts, worker_id
"""


class _PlacedJobs(JobManager):
    """The queue without the jobs that need a full place.

    `full` lists the places that are all taken, as the jobs name them.
    """

    def __init__(self, app: App, full: Callable[[], list[str]]) -> None:
        super().__init__(app.connector)
        self._full = full
        # The last look may have left a job because of them.
        self.left_some = False
        # One became free since the last look began.
        self.freed = False

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Claim a job that can be served now."""
        self.left_some = False
        while full := self._full():
            self.freed = False
            rows = await self.connector.execute_query_all_async(
                CLAIM, queues=queues, worker_id=worker_id, full=full
            )
            if rows:
                return Job.from_row(rows[0])
            if not self.freed:
                self.left_some = True
                return None
        return await super().fetch_job(queues, worker_id)


class PlacedWorker(Worker):
    """A Procrastinate worker that takes only jobs whose runs find a place."""

    def __init__(self, app: App, full: Callable[[], list[str]], **options: Any) -> None:
        # Without periodic jobs: each worker that queues them asks for each of them, by the second.
        own = App(connector=app.connector)
        own.tasks = app.tasks
        own.job_manager = self._jobs = _PlacedJobs(own, full)
        super().__init__(own, **options)

    def place_is_free(self) -> None:
        """Look for jobs that were left for want of a place."""
        self._jobs.freed = True
        if self._jobs.left_some:
            self._new_job_event.set()
