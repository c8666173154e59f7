"""The two Procrastinate workers of a worker process, which take its jobs.

One takes the hosts; the other what falls due, for which there is always a place, and queues it.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from importlib import import_module

from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.jobs import DeleteJobCondition
from procrastinate.worker import Worker

from sessions_app.dispatch.claiming import PlacedWorker
from sessions_app.dispatch.connector import PatientConnector
from sessions_app.dispatch.dispatcher import Duty
from sessions_app.dispatch.jobs import HOST, MAINTENANCE_QUEUE
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.storage.safety_times import HEARTBEAT

log = Log(__name__)

# How soon a job is taken that no notification came for: its lock or its row was locked at first.
FETCH_EVERY = 1.0
RESTART_AFTER = 1.0
# Records of workers that are dead for so long are removed.
FORGET_AFTER = 60.0
# Beyond the time that the hosts take to let go: for closing builders.
CLOSING = 15.0
DISPATCHER = "dispatcher"
# Imported by name, as `operations` stands above this.
TASKS = "sessions_app.lifecycle.periodic_jobs"


@app.task(name=HOST, pass_context=True)
async def host(
    context: JobContext, key: str, *, suspect: bool = False, places: list[str] | None = None
) -> None:
    """Host the key for as long as it needs one; a suspect waits for its turn."""
    dispatcher = context.additional_context[DISPATCHER]
    await dispatcher.serve(context.job, key, suspect=suspect, places=places or [])


class JobWorkers:
    """The keeper of both workers, which restarts one that ended by an error.

    `dispatcher` is what the jobs find in their context; `full` lists the places that are taken.
    """

    def __init__(self, duty: Duty, dispatcher: object, full: Callable[[], list[str]]) -> None:
        self._duty = duty
        self._dispatcher = dispatcher
        self._full = full
        self._running: dict[str, Worker] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def id(self) -> int | None:
        """Return Procrastinate's id of the worker of hosts; None before it is registered."""
        worker = self._running.get("hosts")
        return None if worker is None else worker.worker_id

    def place_is_free(self) -> None:
        """Take jobs that wait for a place: a run has given one back."""
        worker = self._running.get("hosts")
        if isinstance(worker, PlacedWorker):
            worker.place_is_free()

    def start(self) -> None:
        """Begin to take jobs."""
        import_module(TASKS)
        self._task = asyncio.create_task(self._run(), name="take jobs")

    async def stop(self) -> None:
        """Take no more jobs, and wait for those that were taken."""
        self._stopping = True
        for worker in self._running.values():
            worker.stop()
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=self._duty.drain + 2 * CLOSING)
        if late:  # the database is away: it cannot be told
            log.warning("worker.stopped_hard")
            self._task.cancel()

    async def _run(self) -> None:
        hosts = {"queues": self._duty.queues or None, "concurrency": self._duty.concurrency}
        due = {"queues": [MAINTENANCE_QUEUE], "concurrency": 2}
        while not self._stopping:
            try:
                with app.replace_connector(PatientConnector()):
                    async with app.open_async():
                        await asyncio.gather(self._keep("hosts", hosts), self._keep("due", due))
            except Exception:
                log.exception("worker.failed")
                await asyncio.sleep(RESTART_AFTER)

    async def _keep(self, name: str, options: JsonObject) -> None:
        """Run one of the workers until all stop."""
        while not self._stopping:
            try:
                await self._take(name, options)
            except Exception:
                log.exception("worker.failed", takes=name)
                await asyncio.sleep(RESTART_AFTER)

    async def _take(self, name: str, options: JsonObject) -> None:
        make = partial(PlacedWorker, full=self._full) if name == "hosts" else Worker
        self._running[name] = worker = make(
            app,
            name=name,
            fetch_job_polling_interval=FETCH_EVERY,
            shutdown_graceful_timeout=self._duty.drain + CLOSING,
            delete_jobs=DeleteJobCondition.SUCCESSFUL,
            additional_context={DISPATCHER: self._dispatcher},
            install_signal_handlers=False,
            update_heartbeat_interval=HEARTBEAT,
            stalled_worker_timeout=FORGET_AFTER,
            **options,
        )
        await worker.run()
