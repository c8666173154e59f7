"""The Procrastinate worker of a worker process: acquires jobs of hosts, and due periodic jobs.

The classes extend public classes of Procrastinate; the docstring of `queue` gives the reason
for each.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import psycopg
from procrastinate import App, JobContext, PsycopgConnector, exceptions
from procrastinate.connector import BaseConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.jobs import DeleteJobCondition, Job
from procrastinate.manager import JobManager
from procrastinate.worker import Worker
from psycopg_pool import AsyncConnectionPool
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from sessions_app.hosting.dispatch.dispatcher import Duty
from sessions_app.hosting.dispatch.queue import (
    FETCH,
    HOST,
    MAINTENANCE_QUEUE,
    PREFIX,
    QUEUE_POOL_SIZE,
)
from sessions_app.logs import Log
from sessions_app.storage.safety_times import CONNECTION_PATIENCE

log = Log(__name__)

P = ParamSpec("P")
T = TypeVar("T")
# Timeout in seconds of a query: all queries are short. Without a timeout, a hanging query would
# stop the worker from acquiring jobs, while its heartbeats continue, so that nobody would notice.
QUERY_PATIENCE = 10.0
# Seconds between two polls for jobs. Polling finds jobs that no notification announces, for example
# a job that was locked by another job when it was queued.
FETCH_EVERY = 1.0
A_DAY = 24 * 3600.0
# Seconds in which a worker defers no periodic task that another worker has deferred first.
REST = 5
RESTART_AFTER = 1.0
# Seconds that workflows' builders may take to close at a shutdown, after the hosts have stopped.
CLOSE_TIMEOUT = 15.0
# Slots for periodic jobs, in addition to the slots of the hosts.
DUE_AT_ONCE = 2
DISPATCHER = "dispatcher"
# Module of the periodic tasks; imported by name, because `lifecycle` is a layer above this package.
TASKS = "sessions_app.lifecycle.periodic_jobs"


def _patiently(
    execute: Callable[P, Coroutine[Any, Any, T]], patience: float | None = QUERY_PATIENCE
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a query function retry while the database is unreachable or does not answer."""

    @wraps(execute)
    async def execute_patiently(*arguments: P.args, **keywords: P.kwargs) -> T:
        attempts = AsyncRetrying(
            retry=retry_if_exception(_is_gone),
            wait=wait_exponential_jitter(multiplier=0.1, max=1.0),
            after=_log_first,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                async with asyncio.timeout(patience):
                    return await execute(*arguments, **keywords)
        raise AssertionError("tenacity gives no attempt up")

    return execute_patiently


def _log_first(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        log.warning("worker.database_gone", error=repr(state.outcome.exception()))


def _is_gone(error: BaseException) -> bool:
    """Return whether the error means that the database is unreachable or does not answer."""
    return isinstance(error, TimeoutError) or (
        isinstance(error, exceptions.ConnectorException)
        and isinstance(error.__cause__, psycopg.OperationalError)
    )


async def _without_transactions(connection: psycopg.AsyncConnection[Any]) -> None:
    """Set autocommit, which saves two round trips per query: each query is one statement."""
    await connection.set_autocommit(True)


def _make_pool(**options: Any) -> AsyncConnectionPool[Any]:
    """Make a pool that checks no connection before each query, as queries are tried again."""
    return AsyncConnectionPool(**options | {"check": None})


class PatientConnector(PsycopgConnector):
    """A connector that survives a restart of the database. Every query may be executed twice."""

    def __init__(self) -> None:
        super().__init__(
            pool_factory=_make_pool,
            kwargs=connector_params(),
            configure=_without_transactions,
            min_size=1,
            max_size=QUEUE_POOL_SIZE,
            timeout=CONNECTION_PATIENCE,
        )

    execute_query_async = _patiently(PsycopgConnector.execute_query_async)
    execute_query_one_async = _patiently(PsycopgConnector.execute_query_one_async)
    execute_query_all_async = _patiently(PsycopgConnector.execute_query_all_async)
    # Listening has no time limit, as it never ends. Polling finds jobs with a lost notification.
    listen_notify = _patiently(PsycopgConnector.listen_notify, None)


# The tasks of this package, and no task of the project: a worker defers and executes only those.
app = App(connector=PatientConnector())


@app.task(name=HOST, pass_context=True)
async def host(
    context: JobContext, key: str, *, suspect: bool = False, places: list[str] | None = None
) -> None:
    """Execute a key's job: host the key while one of its runs needs a host.

    `suspect`: a run of the key may have killed a process, so such keys are hosted one by one.
    """
    dispatcher = context.additional_context[DISPATCHER]
    await dispatcher.serve(context.job, key, suspect=suspect, limits=places or [])


class ServableJobs(JobManager):
    """A job manager of one worker: skips jobs for which the worker has no free slot now.

    `full` returns the names of the limits without a free slot; jobs list limits by the same names.
    `crowded` returns whether the worker has its maximum of hosts.
    """

    def __init__(
        self,
        connector: BaseConnector,
        full: Callable[[], list[str]],
        crowded: Callable[[], bool],
    ) -> None:
        super().__init__(connector)
        self._full = full
        self._crowded = crowded
        # True if the last fetch may have skipped a job because no slot was free.
        self.has_skipped_jobs = False
        # True if a slot became free since the last fetch began.
        self.has_freed_slot = False
        # Timestamp before which each periodic task, by its name, is left to another worker.
        self._left_until: dict[str, int] = {}

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Acquire a queued job for which a slot is free; return None if there is no such job."""
        self.has_skipped_jobs = False
        while True:
            self.has_freed_slot = False
            full, crowded = self._full(), self._crowded()
            rows = await self.connector.execute_query_all_async(
                FETCH, queues=queues, worker_id=worker_id, full=full, crowded=crowded
            )
            if rows:
                return Job.from_row(rows[0])
            if not self.has_freed_slot:
                self.has_skipped_jobs = bool(full) or crowded
                return None

    async def defer_periodic_job(
        self, job: Job, periodic_id: str, defer_timestamp: int
    ) -> int | None:
        """Defer a periodic job, unless another worker has done so, now or within `REST`."""
        if defer_timestamp < self._left_until.get(job.task_name, 0):
            return None
        job_id = await super().defer_periodic_job(job, periodic_id, defer_timestamp)
        if job_id is None:
            self._left_until[job.task_name] = defer_timestamp + REST
        return job_id

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Delete no worker: any worker of the project may be silent. See `forget_unseen`."""
        return []

    async def finish_job(self, job: Job, *arguments: Any, **keywords: Any) -> None:
        """Finish a job; ignore a job that another worker has taken over."""
        try:
            await super().finish_job(job, *arguments, **keywords)
        except exceptions.ConnectorException as error:
            if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                raise
            log.info("job.taken_over", job=job.id)


class JobWorker:
    """The supervisor of this process's Procrastinate worker, which is restarted if it fails.

    `dispatcher` is passed to jobs in their context; for `full` and `crowded` see `ServableJobs`.
    """

    def __init__(
        self,
        duty: Duty,
        dispatcher: object,
        full: Callable[[], list[str]],
        crowded: Callable[[], bool],
    ) -> None:
        self._duty = duty
        self._dispatcher = dispatcher
        self._capacity_checks = full, crowded
        self._jobs: ServableJobs | None = None
        self._worker: Worker | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def id(self) -> int | None:
        """The id of the worker in Procrastinate; None before the registration."""
        return None if self._worker is None else self._worker.worker_id

    def note_free_slot(self) -> None:
        """Note that a slot is free, and fetch again if a job was skipped because of its slot."""
        if self._jobs is not None and self._worker is not None:
            self._jobs.has_freed_slot = True
            if self._jobs.has_skipped_jobs:
                self._worker._new_job_event.set()  # noqa: SLF001 - see `queue`

    def start(self) -> None:
        """Begin to acquire jobs."""
        import_module(TASKS)
        self._task = asyncio.create_task(self._run(), name="take jobs")

    async def stop(self) -> None:
        """Acquire no more jobs, and wait until the acquired jobs have ended."""
        self._stopping = True
        if self._worker is not None:
            self._worker.stop()
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=self._duty.drain + 2 * CLOSE_TIMEOUT)
        if late:  # give up: the database is unreachable, so the worker cannot sign off
            log.warning("worker.stopped_hard")
            self._task.cancel()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                with app.replace_connector(PatientConnector()) as own_app:
                    own_app.job_manager = self._jobs = ServableJobs(
                        own_app.connector, *self._capacity_checks
                    )
                    async with own_app.open_async():
                        self._worker = self._make_worker(own_app)
                        if not self._stopping:
                            await self._worker.run()
            except Exception:
                log.exception("worker.failed")
                await asyncio.sleep(RESTART_AFTER)

    def _make_worker(self, own_app: App) -> Worker:
        # Procrastinate gets the queues as a list: psycopg would send a tuple as a row of columns.
        queues = [PREFIX + name for name in self._duty.queues]
        if queues:
            queues.append(MAINTENANCE_QUEUE)
        return Worker(
            own_app,
            queues=queues or None,
            concurrency=self._duty.concurrency + DUE_AT_ONCE,
            fetch_job_polling_interval=FETCH_EVERY,
            shutdown_graceful_timeout=self._duty.drain + CLOSE_TIMEOUT,
            delete_jobs=DeleteJobCondition.SUCCESSFUL,
            additional_context={DISPATCHER: self._dispatcher},
            install_signal_handlers=False,
            update_heartbeat_interval=A_DAY,  # `queue.of_worker` stores heartbeats
        )
