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

from sessions_app.dispatch.jobs import FETCH


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
                FETCH, queues=queues, worker_id=worker_id, full=full
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
        app_copy = App(connector=app.connector)
        app_copy.tasks = app.tasks
        app_copy.job_manager = self._jobs = _PlacedJobs(app_copy, full)
        super().__init__(app_copy, **options)

    def place_is_free(self) -> None:
        """Look for jobs that were left because no place was free."""
        self._jobs.freed = True
        if self._jobs.left_some:
            self._new_job_event.set()
