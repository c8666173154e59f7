"""A worker: acquires keys as jobs from Procrastinate's queue, and hosts them in one event loop."""

import asyncio
import time
from collections.abc import Collection, Mapping

from django.db import Error
from procrastinate.jobs import Job

from sessions_app.errors import Fenced
from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.dispatch.dispatcher import Duty, ProcessReport, ProcrastinateDispatcher
from sessions_app.hosting.dispatch.host_lookup import tell_hosts
from sessions_app.hosting.dispatch.job_worker import JobWorker
from sessions_app.hosting.dispatch.take_over import is_any_left, requeue, take_over
from sessions_app.hosting.host import Host, HostingOptions
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.lease import LeaseFreshness, this_process
from sessions_app.hosting.watchdog import Watchdog
from sessions_app.logs import Log
from sessions_app.models import Process
from sessions_app.notify.groups import LayerMessage, listen
from sessions_app.notify.host_messages import read_wake, worker_group
from sessions_app.storage import clock, reads
from sessions_app.storage.safety_times import HEARTBEAT, SILENCE, STALLED_AFTER
from sessions_app.storage.writer import writer

log = Log(__name__)

SHORT_LOOK = 0.5
FORGOTTEN_EVERY = 5  # seconds between two searches for keys that have work, but no job


class WorkerDispatcher(ProcrastinateDispatcher):
    """The dispatcher of a worker: acquires jobs until stopped, and checks its hosts each second."""

    def __init__(self, duty: Duty, *, park_after: float, replay_everywhere: bool = False) -> None:
        self._freshness = LeaseFreshness(SILENCE)
        options = HostingOptions(
            park_after, duty.drain, self._freshness, replay_everywhere=replay_everywhere
        )
        self.hosts: HostRegistry = HostRegistry(options, lambda: self._job_worker.note_free_slot())
        self._watchdog = Watchdog(self.hosts)
        self._duty = duty
        self._job_worker = JobWorker(duty, self, self.hosts.full, self._is_crowded)
        self._tasks: list[asyncio.Task[None]] = []
        # Ids of acquired jobs: `_served` are being executed now. `_orphans` were not being executed
        # at the last check.
        self._served: set[int] = set()
        self._orphans: set[int] = set()
        # Keys of hosts whose active runs all waited for slots at the last check.
        self._keys_without_slot: set[str] = set()
        # Time (monotonic) since which every check of the hosts has succeeded.
        self._in_touch_since = 0.0

    async def start(self) -> None:
        """Begin to acquire jobs."""
        self._freshness.confirm(time.monotonic())
        self._watchdog.start()
        self._job_worker.start()
        self._tasks = [
            asyncio.create_task(self._keep_checking_hosts(), name="look"),
            asyncio.create_task(
                listen(worker_group(this_process()), self._wake_host), name="listen"
            ),
        ]

    async def stop(self) -> None:
        """Acquire no more jobs, let the hosts finish steps and stop, and close the builders."""
        self.hosts.stop()
        await self._job_worker.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.hosts.close()
        self._watchdog.stop()

    def report(self) -> ProcessReport:
        """Report the queues, slots and hosts of this worker."""
        return ProcessReport(
            Process.Kind.WORKER,
            job_worker=self._job_worker.id,
            queues=self._duty.queues,
            concurrency=self._duty.concurrency,
            hosts=len(self.hosts),
            draining=self.hosts.stopping,
        )

    async def serve(self, job: Job, key: str, *, suspect: bool, limits: Collection[str]) -> None:
        """Host the key while a run needs a host; this is the body of a job."""
        # For type checkers: an acquired job always has an id and a worker id.
        assert job.id is not None  # noqa: S101
        assert job.worker_id is not None  # noqa: S101
        self._served.add(job.id)
        try:
            if not self.hosts.stopping:
                job_check = queue.build_job_check(job.id, job.worker_id, key)
                await self.hosts.serve(key, job_check, suspect=suspect, limits=limits)
            if self.hosts.stopping:
                await writer.write(lambda tx: queue.put_if_needed(key))
        except Fenced:
            log.info("job.taken_over", key=key)
        finally:
            self._served.discard(job.id)
            self._job_worker.note_free_slot()

    async def take_over(self, timestamp: int) -> None:
        """Requeue the jobs of dead workers and, every five seconds, keys with work but no job."""
        in_touch = time.monotonic() - self._in_touch_since > STALLED_AFTER
        while (
            in_touch
            and await reads.read(is_any_left)
            and (taken_over := await writer.write(take_over))
        ):
            log.warning("jobs.taken_over", jobs=taken_over)
        if timestamp % FORGOTTEN_EVERY == 0 and (
            key_count := await writer.write(queue.put_forgotten)
        ):
            log.warning("jobs.forgotten", keys=key_count)

    def _is_crowded(self) -> bool:
        return len(self._served) >= self._duty.concurrency or not clock.is_right()

    def _wake_host(self, message: LayerMessage) -> None:
        self.hosts.wake(*read_wake(message))

    async def _keep_checking_hosts(self) -> None:
        while True:
            start = time.monotonic()
            try:
                # Limit the check's time: leases not confirmed in time may be taken over by others.
                async with asyncio.timeout(max(self._freshness.seconds_left, SHORT_LOOK)):
                    await self._check_hosts()
            except (Error, TimeoutError) as error:
                self._in_touch_since = time.monotonic()
                log.warning("worker.database_gone", error=repr(error))
                if not self._freshness.fresh:
                    for host in self.hosts:
                        if host.generation:
                            host.abandon()
            except Exception:
                log.exception("worker.look_failed")
            else:
                self._freshness.confirm(start)
            await asyncio.sleep(HEARTBEAT)

    async def _check_hosts(self) -> None:
        hosts: dict[str, Host] = {host.key: host for host in self.hosts}
        worker = self._job_worker.id
        own_jobs = {} if worker is None else await reads.read(queue.of_worker, worker)
        for key in hosts.keys() - set(own_jobs.values()):
            if self.hosts.get(key) is hosts[key]:
                hosts[key].mark_fenced()
        await tell_hosts(self.hosts)
        if self._is_crowded():
            for host in hosts.values():
                host.evict_waiting_runs()
        if not clock.is_right():
            for host in hosts.values():
                host.stop()  # other workers continue its runs
        self._stop_hosts_without_slot(hosts)
        await self._requeue_unserved(set(own_jobs) - self._served)

    def _stop_hosts_without_slot(self, hosts: Mapping[str, Host]) -> None:
        # Stop hosts whose runs got no slot since the last check, so that a worker with free slots
        # acquires their keys. Other hosts continue to wait, as a slot may become free in a moment.
        keys_without_slot = {key for key, host in hosts.items() if host.awaits_slots}
        for key in keys_without_slot & self._keys_without_slot:
            hosts[key].stop()
        self._keys_without_slot = keys_without_slot

    async def _requeue_unserved(self, unserved_jobs: set[int]) -> None:
        """Requeue acquired jobs that two checks found not executed, because a connection broke."""
        if lost_jobs := unserved_jobs & self._orphans:
            await writer.write(lambda tx: requeue(lost_jobs))
        self._orphans = unserved_jobs
