"""The host of one key (a conversation, or a user's runs of a workflow): executes the key's runs."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeVar
from uuid import UUID

from sessions_app.errors import ConversationGone, Fenced, StorageUnavailable
from sessions_app.hosting.lease import (
    JobCheck,
    Lease,
    LeaseFreshness,
    LeaseState,
    release_lease,
    take_lease,
)
from sessions_app.hosting.run_selection import (
    ConversationRecord,
    DrivenRuns,
    RunSighting,
    Selection,
    select_runs,
)
from sessions_app.hosting.run_states import RunEvent, RunState
from sessions_app.hosting.run_task import RunTask
from sessions_app.logs import Log
from sessions_app.models.host_lease import HostKey
from sessions_app.pool.workflow_pool import WorkflowPool
from sessions_app.storage.faults import is_fault
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Lane, Work, writer
from sessions_app.workflows.backend import FaultInStep

log = Log(__name__)

T = TypeVar("T")

# Seconds for which a host without runs and builder keeps its lease for a possible next message.
LINGER = 5.0
# Seconds between two checks for waiting runs, in a host that must end to make room for other hosts.
EVICTION_CHECK = 0.5
# Minimum seconds between two checks of a host for runs to evict.
MOMENT = 0.01
# Maximum of runs in memory that are stopped after one selection.
STOPPED_AT_ONCE = 4
# Seconds until a run is resumed after a failed write.
RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class HostingOptions:
    """The options of a process for hosting keys.

    `park_after`: seconds until a waiting run is evicted. `drain`: seconds that a run may take to
    stop. `replay_everywhere` (for tests): evict each run after each step, and before its end.
    """

    park_after: float
    drain: float
    freshness: LeaseFreshness = field(default_factory=LeaseFreshness)
    replay_everywhere: bool = False


class OfferedSelection:
    """A selection of runs by a host that waits: a message's transaction may make it, too.

    A transaction takes it off the host's list of offers; from then on the host waits for it.
    """

    def __init__(self, host: "Host", lease: Lease, driven_runs: DrivenRuns) -> None:
        self._host = host
        self._select = partial(select_runs, lease=lease, driven_runs=driven_runs)
        self._loop = asyncio.get_running_loop()
        self._selection: Selection | None = None
        self.is_over = asyncio.Event()

    def run(self, tx: Transaction) -> None:
        """Select the runs, in the thread of the writer."""
        self._selection = self._select(tx)

    def committed(self, tx: Transaction) -> None:
        """Have the host use the selection, in its event loop."""
        tx.call_in(self._loop, partial(self._end, self._selection))

    def rolled_back(self) -> None:
        """Have the host select by itself."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._end, None)

    def _end(self, selection: Selection | None) -> None:
        self._host.end_offer(selection)
        self.is_over.set()


class Host:
    """The host of a key; exists while runs or a builder are in memory, and a moment longer.

    `on_selected` is called once the first selected runs have requested their slots.
    """

    def __init__(
        self,
        key: HostKey,
        pool: WorkflowPool,
        options: HostingOptions,
        job_check: JobCheck | None = None,
        on_selected: Callable[[], None] | None = None,
    ) -> None:
        self.key = key
        self._pool = pool
        self._options = options
        self._job_check = job_check
        self._on_selected = on_selected
        self._lease = Lease(key, 0)
        self._lane = Lane()
        self._runs: dict[UUID, RunTask] = {}
        # Runs that were in memory when the database failed: the failure is not counted as a crash.
        self.excused: set[UUID] = set()
        self._conversations: Mapping[UUID, ConversationRecord] = {}
        # True if the last selection left a run queued, because the run must wait for other runs.
        self._has_later_runs = False
        self._news: list[InteractionSettled] = []
        # The offer of the waiting host, if no transaction has taken it.
        self._offers: list[OfferedSelection] = []
        self._seen: frozenset[RunSighting] = frozenset()
        # `_changed` wakes the host's loop for any reason; with `woken` the loop also selects new
        # runs from the database.
        self._changed = asyncio.Event()
        self.woken = False
        self._stopping = False
        self._evicting = False
        self._evicts_at_once = False
        self._released = False
        self.fenced = False
        # True if the database was unreachable for so long that another host may have the key.
        self.abandoned = False
        self._not_before = 0.0

    def wake(self, settlement: InteractionSettled | None = None) -> None:
        """Wake the host for work: a run to start or stop, or an answer for a waiting run."""
        if settlement is not None:
            if (task := self._runs.get(settlement.run)) is not None:
                task.waits.receive_settlement(settlement)
                return
            self._news.append(settlement)
        self._request_selection()

    def select_within(self, tx: Transaction) -> bool:
        """Have a transaction with work for this host select the runs; return whether it does.

        Called by any thread: taking an element off a list is atomic.
        """
        if not tx.takes_followers:
            return False
        try:
            tx.followers.append(self._offers.pop())
        except IndexError:
            return False
        return True

    def end_offer(self, selection: Selection | None) -> None:
        """Use the selection of a transaction, or select again without one."""
        if selection is None:
            self._request_selection()
        else:
            self._use_selection(selection)

    @property
    def generation(self) -> int:
        """The generation of the lease; 0 before the host has one."""
        return self._lease.generation

    @property
    def runs(self) -> list[RunTask]:
        """The runs in memory."""
        return list(self._runs.values())

    @property
    def awaits_slots(self) -> bool:
        """True if the host has active runs, and all of them wait for concurrency slots."""
        active = [run for run in self._runs.values() if run.idle_since() is None]
        return bool(active) and all(run.waits.slot.is_awaited for run in active)

    @property
    def awaited_interactions(self) -> set[UUID]:
        """The interactions that the host's runs wait for."""
        return set().union(*(run.waits.unanswered_interactions for run in self._runs.values()))

    def check_lease(self, lease: LeaseState | None) -> None:
        """Abandon the runs if the lease was lost; wake the host if it has to close its builder."""
        if lease is None or not self.generation:
            return
        if lease.generation > self.generation:
            self.mark_fenced()
        elif lease.evict and not self._evicting:
            self._request_selection()

    def notice_run(self, sighting: RunSighting) -> None:
        """Wake the host if a lookup found a run of the key to start, or a new stop request."""
        run, _, stop = sighting
        if sighting not in self._seen and (stop or run not in self._runs):
            self._request_selection()

    def stop(self) -> None:
        """Stop the host: all runs finish their current steps, and leave memory."""
        self._stopping = True
        self._changed.set()

    def mark_fenced(self) -> None:
        """Abandon all runs: another host has the key."""
        if not self.fenced:
            log.warning("host.fenced", key=self.key, generation=self.generation)
        self.fenced = True
        self._abandon_runs()

    def abandon(self) -> None:
        """Abandon all runs: the database is unreachable, so another host may take the key soon."""
        if not self.abandoned:
            log.warning("host.dropped", key=self.key, generation=self.generation)
        self.abandoned = True
        self._abandon_runs()

    def _abandon_runs(self) -> None:
        # Cancel immediately: code that waits for a confirmed lease must not go on without a lease.
        for task in self._runs.values():
            task.apply(RunEvent.LOST)
        self._changed.set()

    def evict_waiting_runs(self) -> None:
        """Evict waiting runs immediately from now on, and end after the last one, for other hosts.

        Only the first call wakes the host: each wake-up postpones eviction, so a host that is woken
        all the time would never evict.
        """
        if not self._evicts_at_once:
            self._evicts_at_once = True
            self._changed.set()

    def _request_selection(self) -> None:
        self.woken = True
        self._changed.set()

    async def main(self) -> None:
        """Take the lease, and execute the key's runs until none is left."""
        if not await self._take_lease():
            return
        try:
            await self._select_runs()
            while not self._ending and (await self._wait() or not await self._release()):
                if self.woken:
                    await self._select_runs()
        finally:
            if not self._released:
                await self._release()

    @property
    def _ending(self) -> bool:
        return self._stopping or self.fenced or self.abandoned

    async def _take_lease(self) -> bool:
        take = partial(take_lease, key=self.key, job_check=self._job_check)
        while not self._stopping:
            try:
                self._lease = await self._write(take)
            except StorageUnavailable:
                await asyncio.sleep(RETRY_AFTER)
            except Fenced:
                self.mark_fenced()
                return False
            else:
                return True
        return False

    async def _select_runs(self) -> None:
        # Delay the next selection if the database has just been unreachable.
        await asyncio.sleep(max(self._not_before - time.monotonic(), 0))
        if self._ending:
            return
        self.woken = False
        driven_runs = DrivenRuns(
            frozenset(self._runs), frozenset(self.excused), self._conversations
        )
        select = partial(select_runs, lease=self._lease, driven_runs=driven_runs)
        try:
            selection = await self._write(select)
        except Fenced:
            self.mark_fenced()
        except (StorageUnavailable, ConversationGone):  # retry, without the deleted runs
            self._not_before = time.monotonic() + RETRY_AFTER
            self._request_selection()
        else:
            self._use_selection(selection)

    def _use_selection(self, selection: Selection) -> None:
        """Start and stop the runs that a committed selection lists."""
        self.excused.clear()
        self._conversations = selection.conversations
        self._has_later_runs = selection.has_later_runs
        self._seen = selection.seen
        self._evicting = selection.evict
        if selection.more:
            self._request_selection()
        for started_run in selection.started:
            new_task = RunTask(
                started_run,
                self._pool,
                Lane(order_of=self._lane),
                self._options.freshness,
                replay_everywhere=self._options.replay_everywhere,
            )
            self._runs[new_task.id] = new_task
            new_task.start(self._forget_run)
        if self._on_selected is not None:
            asyncio.get_running_loop().call_soon(self._on_selected)
            self._on_selected = None
        # Deliver answers that arrived after the runs were read in the selection's transaction.
        news, self._news = self._news, []
        for settlement in news:
            if (task := self._runs.get(settlement.run)) is not None:
                task.waits.receive_settlement(settlement)
        self._stop_runs(selection.stopping)
        self._changed.set()

    def _stop_runs(self, runs: Iterable[UUID]) -> None:
        """Stop the first `STOPPED_AT_ONCE` runs that do not stop yet; the next selection goes on.

        So the writes of many runs that end do not keep other writes waiting.
        """
        tasks = (self._runs[run] for run in runs if run in self._runs)
        stopped = islice((task for task in tasks if task.apply(RunEvent.STOP)), STOPPED_AT_ONCE)
        if len(list(stopped)) == STOPPED_AT_ONCE:
            self._request_selection()

    async def _wait(self) -> bool:
        """Wait for work, and evict waiting runs; return False if nothing is left to do."""
        driven_runs = DrivenRuns(
            frozenset(self._runs), frozenset(self.excused), self._conversations
        )
        offer = OfferedSelection(self, self._lease, driven_runs)
        self._offers.append(offer)
        try:
            async with asyncio.timeout(self._seconds_to_next_action()):
                await self._changed.wait()
            self._changed.clear()
        except TimeoutError:
            since = time.monotonic() - self._park_after
            for task in self._runs.values():
                idle_since = task.idle_since()
                if idle_since is not None and idle_since <= since:
                    task.park()
            await self._withdraw(offer)
            # A wake-up at the moment of the timeout also returns True: the caller handles it.
            return bool(self._runs) or self._changed.is_set()
        await self._withdraw(offer)
        return True

    async def _withdraw(self, offer: OfferedSelection) -> None:
        """Take back the offer, or wait for the transaction that has taken it."""
        try:
            self._offers.remove(offer)
        except ValueError:
            await offer.is_over.wait()

    def _seconds_to_next_action(self) -> float:
        """Return the seconds after which the host must check its runs even if nothing wakes it."""
        now = time.monotonic()
        if not self._runs:
            if self._evicting or self._evicts_at_once:
                return 0
            idle = self._pool.idle_until(self.key.user)
            return LINGER if idle is None else max(idle - now, 0)
        times = [since for run in self._runs.values() if (since := run.idle_since()) is not None]
        if times:
            return max(min(times) + self._park_after - now, 0) + MOMENT
        return EVICTION_CHECK if self._evicts_at_once else max(self._options.park_after, MOMENT)

    @property
    def _park_after(self) -> float:
        return 0 if self._evicts_at_once else self._options.park_after

    def _forget_run(self, task: RunTask) -> None:
        del self._runs[task.id]
        failure = task.run.failure
        if isinstance(failure, Fenced):
            self.mark_fenced()
        if is_fault(failure):
            self._not_before = time.monotonic() + RETRY_AFTER
        # A failure of the database is no crash of the run, except in a query of the run's own step:
        # such a query may be the cause, and may fail at each attempt.
        was_raised_by_step = failure is not None and isinstance(failure.__cause__, FaultInStep)
        if self.abandoned or (isinstance(failure, StorageUnavailable) and not was_raised_by_step):
            self.excused.add(task.id)
        if self._has_later_runs or task.run.state is not RunState.ENDED:
            # Select again: a queued run may start now, or this evicted run may have got an answer.
            self.woken = True
        self._changed.set()

    async def _release(self) -> bool:
        """Evict the runs, close the builder, and only then release the lease.

        Return False, and keep the lease, if new work came during the eviction and the host need not
        end.
        """
        in_memory = list(self._runs.values())
        ids = {task.id for task in in_memory}
        await self._drain(in_memory)
        if self.key.user:
            await self._pool.user_builders.evict(self.key.user)
        self.excused |= ids
        if self.woken and not self._ending:
            return False
        self._released = True
        if self.fenced or self.abandoned:
            return True
        # Work that comes from now on is announced again by the release, or found by the next host.
        self.woken = False
        try:
            await self._write(partial(release_lease, lease=self._lease, run_ids=ids))
        except Fenced:
            self.mark_fenced()
        except StorageUnavailable:
            self.abandon()
        return True

    async def _drain(self, runs: list[RunTask]) -> None:
        for task in runs:
            task.apply(RunEvent.DRAIN)
        tasks = [task.run.task for task in runs if task.run.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._options.drain)
        for slow in late:
            slow.cancel()
        if late:
            await asyncio.wait(late, timeout=self._options.drain)

    def _write(self, work: Work[T]) -> "asyncio.Future[T]":
        """Queue a write that keeps its order with the writes of the host's runs."""
        return writer.write(work, Lane(order_of=self._lane))
