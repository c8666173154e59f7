"""The local dispatcher: this process runs all hosts, in its own event loop."""

import asyncio
from functools import partial

from sessions_app.hosting.dispatch.dispatcher import Dispatcher, ProcessReport
from sessions_app.hosting.dispatch.host_lookup import tell_hosts
from sessions_app.hosting.host import HostingOptions
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.lease import release_all
from sessions_app.hosting.needing_host import keys_needing_host
from sessions_app.hosting.watchdog import Watchdog
from sessions_app.logs import Log
from sessions_app.models import Process
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import clock, reads
from sessions_app.storage.periodic import repeat
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

# Seconds that runs may take to stop at a shutdown; afterwards they are cancelled.
DRAIN = 10.0
# Seconds between two searches for work that another process wrote, for example a cron job.
LOOK_EVERY = 1.0


class LocalDispatcher(Dispatcher):
    """The dispatcher of a single process, which resumes every unfinished run at its start.

    A search each second finds work written by other processes, which announce nothing to this one.
    """

    def __init__(self, *, park_after: float | None = None, replay_everywhere: bool = False) -> None:
        if park_after is None:
            park_after = RuntimeSettings.load().PARK_AFTER
        self.hosts: HostRegistry = HostRegistry(
            HostingOptions(park_after, DRAIN, replay_everywhere=replay_everywhere)
        )
        self._watchdog = Watchdog(self.hosts)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Keys that got work while the asyncio task of their host was starting or ending.
        self._again: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._checking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to search for keys with work; runs that wait for people need no host."""
        self._loop = asyncio.get_running_loop()
        self._watchdog.start()
        await writer.write(release_all)
        self._checking = asyncio.create_task(
            repeat(self._check_database, every=LOOK_EVERY, name="look"), name="look"
        )

    async def stop(self) -> None:
        """Stop all hosts, then close their builders."""
        self.hosts.stop()
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self.hosts.close()
        self._watchdog.stop()
        self._loop = None

    def announce(
        self, tx: Transaction, key: str, settlement: InteractionSettled | None = None
    ) -> None:
        """Have the key's host select the new run within this transaction, or wake it afterwards.

        A process that hosts nothing, such as a command beside the server, does nothing: the hosting
        process searches each second.
        """
        if self._loop is None:
            return
        host = self.hosts.get(key)
        if settlement is None and host is not None and host.select_within(tx):
            return
        tx.call_in(self._loop, partial(self._wake, key, settlement))

    def report(self) -> ProcessReport:
        """Report the work of this process."""
        return ProcessReport(Process.Kind.BOTH, hosts=len(self.hosts), draining=self.hosts.stopping)

    async def _check_database(self) -> None:
        """Pass changes in the database to the hosts; start a host for each other key with work."""
        await tell_hosts(self.hosts)
        if not clock.is_right():
            for host in self.hosts:
                host.stop()
            return
        keys, suspects = await reads.read(keys_needing_host)
        for key in keys + suspects:
            if key not in self._tasks:
                self._wake(key, None, suspect=key in suspects)

    def _wake(
        self, key: str, settlement: InteractionSettled | None, *, suspect: bool = False
    ) -> None:
        if self.hosts.wake(key, settlement) or self.hosts.stopping or not clock.is_right():
            return
        if key in self._tasks:
            self._again.add(key)
            return
        task = asyncio.create_task(self.hosts.serve(key, suspect=suspect), name=f"host {key}")
        self._tasks[key] = task
        task.add_done_callback(partial(self._forget_host, key))

    def _forget_host(self, key: str, task: "asyncio.Task[None]") -> None:
        del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("host.failed", key=key, exc_info=error)
        if key in self._again:
            self._again.discard(key)
            self._wake(key, None)
