"""The local dispatcher: this process runs all hosts, in its own event loop."""

import asyncio
from typing import Any

import structlog
from django.db.models import Max

from sessions_app import builder_records, database, take_up
from sessions_app.errors import BuilderFailed, SessionsError, UnknownWorkflow
from sessions_app.event_log import InteractionSettled, writer
from sessions_app.host import WORKER, Host
from sessions_app.models import Run
from sessions_app.session import SessionManager
from sessions_app.workflows import registry

log = structlog.get_logger(__name__)

# Runs that were in memory when the process died twice are taken up one by one, so far apart: if one
# of them is what kills it, the others get on.
SUSPECT_CRASHES = 2
SUSPECTS_APART = 1.0


class LocalDispatcher:
    """One process, nothing to install. At start it takes up every unfinished run."""

    def __init__(self, *, park_after: float) -> None:
        self._park_after = park_after
        self._hosts: dict[str, Host] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._managers: dict[str, SessionManager] = {}
        self._manager_lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._stopping = False

    async def start(self) -> None:
        """Wake the host of each key that has work; runs that wait for people need none."""
        await writer.write(lambda tx: builder_records.forget_others(tx, WORKER))
        keys, suspects = await database.read(_keys_with_work)
        for key in keys:
            self._wake(key, None)
        if suspects:
            self._own(asyncio.create_task(self._start_suspects(suspects)))

    async def stop(self) -> None:
        """Stop all hosts, then the session managers."""
        self._stopping = True
        for host in self._hosts.values():
            host.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=10)
            for task in late:
                task.cancel()
        for manager in self._managers.values():
            await manager.shutdown()

    def wake(self, key: str, settled: InteractionSettled | None = None) -> None:
        """See `Dispatcher`."""
        try:
            self._loop.call_soon_threadsafe(self._wake, key, settled)
        except RuntimeError:  # the loop is closed; the next start finds the work
            log.info("dispatch.closed", key=key)

    def hosted(self) -> list[str]:
        """The keys that have a host now."""
        return list(self._hosts)

    def evict(self, key: str) -> bool:
        """Close a per-user key's builder, unless it is in use. Not from the loop's thread."""
        _, user_id, workflow = key.split(":", 2)
        manager = self._managers.get(workflow)
        if manager is None:
            return False
        return asyncio.run_coroutine_threadsafe(manager.evict(user_id), self._loop).result(10)

    def builders(self) -> dict[str, dict[str, Any]]:
        """See `Dispatcher`."""
        return {
            f"user:{user_id}:{workflow}": info.metrics()
            for workflow, manager in self._managers.items()
            for user_id, info in manager.builders.items()
        }

    def _wake(self, key: str, settled: InteractionSettled | None) -> None:
        host = self._hosts.get(key)
        if host is not None:
            host.wake(settled)
        elif not self._stopping:
            self._own(asyncio.create_task(self._serve(key), name=f"host {key}"))

    async def _serve(self, key: str) -> None:
        """Run the key's host, and again if work came while it ended."""
        kind, subject, workflow = key.split(":", 2)
        try:
            manager = await self._manager(workflow)
        except (UnknownWorkflow, BuilderFailed) as error:
            await self._refuse(key, workflow, error)
            return
        if self._stopping:  # `stop` did not see this host, and the next start finds its work
            return
        user_id = subject if kind == "user" else ""
        host = Host(key, manager, user_id=user_id, park_after=self._park_after)
        self._hosts[key] = host
        try:
            await host.main()
        finally:
            # Nothing awaits from here to the next host: a wake finds the old one or the new one.
            del self._hosts[key]
            if host.woken:
                self._wake(key, None)

    async def _manager(self, workflow: str) -> SessionManager:
        async with self._manager_lock:
            if workflow not in self._managers:
                offered = registry.get(workflow)
                self._managers[workflow] = await SessionManager.create(entry_function=offered)
            return self._managers[workflow]

    async def _refuse(self, key: str, workflow: str, error: SessionsError) -> None:
        """The key's runs cannot be driven here: an operator may resume them once it is mended."""
        log.error("host.refused", key=key, error=str(error))
        message = f"The workflow {workflow!r} cannot run here now. An operator can resume it."
        reason = {"code": "workflow_unavailable", "message": message}
        await writer.write(
            lambda tx: take_up.suspend_all(
                tx, key=key, worker=WORKER, error=reason, detail=str(error)
            )
        )

    async def _start_suspects(self, keys: list[str]) -> None:
        for key in keys:
            self._wake(key, None)
            await asyncio.sleep(SUSPECTS_APART)

    def _own(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("host.failed", task=task.get_name(), exc_info=error)


def _keys_with_work() -> tuple[list[str], list[str]]:
    """The keys with runs whose turn it is; apart those whose runs saw their process die."""
    rows = (
        Run.objects.filter(status__in=[Run.Status.QUEUED, Run.Status.RUNNING])
        .values_list("key")
        .annotate(crashes=Max("crashes"))
        .order_by("crashes")
    )
    keys = [key for key, crashes in rows if crashes < SUSPECT_CRASHES]
    suspects = [key for key, crashes in rows if crashes >= SUSPECT_CRASHES]
    return keys, suspects
