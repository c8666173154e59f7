"""The hosts of this process, shared by all dispatchers that run hosts here."""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from functools import partial
from uuid import UUID
from weakref import WeakValueDictionary

from sessions_app.errors import BuilderFailed, SessionsError, UnknownWorkflow
from sessions_app.hosting.host import RETRY_AFTER, Host, HostingOptions
from sessions_app.hosting.lease import JobCheck, release_lease, take_lease
from sessions_app.hosting.needing_host import SuspectsInTurn
from sessions_app.hosting.run_selection import suspend_all
from sessions_app.hosting.run_task import RunTask
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models.host_lease import HostKey
from sessions_app.pool.runner import Stop
from sessions_app.pool.workflow_pool import WorkflowPool
from sessions_app.storage.connections import close_broken
from sessions_app.storage.faults import is_fault
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry
from sessions_app.workflows.concurrency import FairSemaphore

log = Log(__name__)


class HostRegistry:
    """The hosts of this process, one per key, and the pools, one per workflow.

    `on_free` is a callback for each release of a slot by a run, or of reserved slots by a new host.
    """

    def __init__(self, options: HostingOptions, on_free: Callable[[], None] = lambda: None) -> None:
        self._options = options
        self._on_free = on_free
        self._hosts: dict[str, Host] = {}
        self._pools: dict[str, WorkflowPool] = {}
        # Stop signal for the building of builders: without it, a hanging build would keep the
        # process from ending.
        self._builds = Stop()
        # One lock per workflow, so that a slow builder delays no other workflow.
        self._pool_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # One lock per hosted key. A job that was taken over while this process was frozen may come
        # to this process, as a new job, before the key's old host has ended.
        self._served: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._limits: dict[str, FairSemaphore] = {}
        self._suspects = SuspectsInTurn()
        # Slots reserved for new hosts until their runs request slots.
        self._reserved_slots: Counter[str] = Counter()
        self.stopping = False

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Host]:
        return iter(list(self._hosts.values()))

    def get(self, key: str) -> Host | None:
        """Return the host of the key, if this process has one."""
        return self._hosts.get(key)

    def run(self, run_id: str) -> RunTask | None:
        """Return the run with that id, if this process has it in memory."""
        return next((run for host in self for run in host.runs if str(run.id) == run_id), None)

    def wake(self, key: str, settlement: InteractionSettled | None = None) -> bool:
        """Wake the key's host; return False if this process has none."""
        host = self._hosts.get(key)
        if host is not None:
            host.wake(settlement)
        return host is not None

    def full(self) -> list[str]:
        """List the names of limits (of workflows, and per user) that have no free slot."""
        slots_by_limit = Counter(self._reserved_slots)
        for workflow, limit in self._limits.items():
            for user, slots in limit.slots_by_user.items():
                slots_by_limit.update({workflow: slots, f"{workflow} {user}": slots})
        return [name for name, slots in slots_by_limit.items() if slots >= _limit_of(name)]

    def builders(self) -> dict[str, JsonObject]:
        """Return the metrics of live per-user builders, by key."""
        return {
            HostKey.of_user(user_id, workflow): info.metrics()
            for workflow, pool in self._pools.items()
            for user_id, info in pool.user_builders.infos.items()
        }

    async def serve(
        self,
        key: str,
        job_check: JobCheck | None = None,
        *,
        suspect: bool = False,
        limits: Collection[str] = (),
    ) -> None:
        """Host the key until no run needs a host, or another host has the key.

        `job_check`: see `take_lease`. `suspect`: a run of the key was in memory when its process
        died twice, so keys of this kind are hosted one after another. `limits`: a slot of each
        limit is reserved until the key's runs request their slots.
        After a database failure the host closes its builder, and a next host continues in this call
        as soon as the database is back.
        """
        if suspect:
            await self._suspects.wait(key)
        with ExitStack() as exit_stack:
            self._reserved_slots.update(limits)
            exit_stack.callback(self._free_reserved_slots, limits)
            await self._serve(HostKey(key), job_check, exit_stack.close)

    def _free_reserved_slots(self, limits: Collection[str]) -> None:
        self._reserved_slots -= Counter(limits)
        self._on_free()

    async def _serve(
        self, key: HostKey, job_check: JobCheck | None, on_selected: Callable[[], None]
    ) -> None:
        try:
            self._builds.check()
            pool = await self._builds.guard(self._pool(key.workflow))
        except (UnknownWorkflow, BuilderFailed) as error:
            if not is_fault(error):
                await self._refuse(key, job_check, error)
            return
        except SessionsError:
            if not self.stopping:
                raise
            return
        excused_runs: set[UUID] = set()
        async with self._served.setdefault(key, asyncio.Lock()):
            try:
                while not self.stopping:
                    host = self._hosts[key] = Host(key, pool, self._options, job_check, on_selected)
                    host.excused |= excused_runs
                    await host.main()
                    if host.abandoned:
                        excused_runs = host.excused
                        await asyncio.sleep(RETRY_AFTER)
                    elif host.fenced or not host.woken:
                        break
            finally:
                # No `await` comes between the last check of `woken` and this line, so no wake-up is
                # lost: a later one finds no host, and so starts a new one.
                self._hosts.pop(key, None)

    def stop(self) -> None:
        """Stop all hosts: their runs finish current steps, and leave memory."""
        self.stopping = True
        self._builds.cancel_all("This process stops.")
        self._suspects.stop()
        for host in self._hosts.values():
            host.stop()

    async def close(self) -> None:
        """Close the workflows' builders, once the hosts have ended."""
        await asyncio.gather(*(pool.shutdown() for pool in self._pools.values()))

    async def _pool(self, workflow: str) -> WorkflowPool:
        """Return the workflow's pool; retry the build while the database is unreachable."""
        while True:
            try:
                async with self._pool_locks[workflow]:
                    if workflow not in self._pools:
                        self._pools[workflow] = await self._new_pool(workflow)
                    return self._pools[workflow]
            except BuilderFailed as error:
                if self.stopping or not is_fault(error):
                    raise
                log.warning("host.database_gone", workflow=workflow, error=str(error))
            await close_broken()
            await asyncio.sleep(RETRY_AFTER)

    async def _new_pool(self, workflow: str) -> WorkflowPool:
        pool = await WorkflowPool(registry.get(workflow)).build()
        if isinstance(pool.limit, FairSemaphore):
            self._limits[workflow] = pool.limit
            pool.limit.on_free = self._on_free
        return pool

    async def _refuse(self, key: HostKey, job_check: JobCheck | None, error: SessionsError) -> None:
        """Suspend the key's runs, because this process cannot execute their workflow."""
        log.error("host.refused", key=key, error=str(error))
        message = f"The workflow {key.workflow!r} cannot run here now. An operator can resume it."
        reason = {"code": "workflow_unavailable", "message": message}
        lease = await writer.write(partial(take_lease, key=key, job_check=job_check))
        suspend = partial(suspend_all, lease=lease, error=reason, detail=str(error))
        await writer.write(suspend)
        await writer.write(partial(release_lease, lease=lease))


def _limit_of(name: str) -> float:
    workflow, _, user = name.partition(" ")
    offer = registry.find(workflow)
    limit = offer and (offer.config.per_user if user else offer.config.max_concurrency)
    return limit or math.inf
