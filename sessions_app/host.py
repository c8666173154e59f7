"""A host owns one key: it keeps the key's lease and its builder, and drives the key's runs."""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog

from sessions_app import runs, take_up
from sessions_app.contact import Contact
from sessions_app.errors import ConversationGone, Fenced, StorageUnavailable
from sessions_app.event_log import InteractionSettled, Lane, Work, writer
from sessions_app.hosted_run import HostedRun, Leaving
from sessions_app.models import Conversation
from sessions_app.session import SessionManager

log = structlog.get_logger(__name__)

T = TypeVar("T")

# How long a host without runs and without a builder stays, to spare the next message the lease.
LINGER = 5.0
# After a write failed: how long until the run is taken up again.
RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a process hosts.

    Seconds until a run that waits is parked, and for a run to stop in good order.
    """

    park_after: float
    drain: float
    contact: Contact = field(default_factory=Contact)


class Host:
    """Lives as long as it has runs in memory or a builder, and a moment longer."""

    def __init__(
        self,
        keeper: take_up.Keeper,
        manager: SessionManager,
        terms: Terms,
        claim: take_up.Claim | None = None,
    ) -> None:
        self.key = keeper.key
        self._keeper = keeper
        self._manager = manager
        self._terms = terms
        self._claim = claim
        self._hold = runs.Hold(keeper.key, 0)
        self._lane = Lane()
        self._runs: dict[UUID, HostedRun] = {}
        self._news: list[InteractionSettled] = []
        self._seen: frozenset[take_up.Seen] = frozenset()
        self._woken = asyncio.Event()
        self._stopping = False
        self._evicting = False
        self._hurried = False
        self.fenced = False
        # The database was away for so long that another may have the key.
        self.dropped = False
        self._not_before = 0.0
        # Runs that the database let down: to take them up again is no crash of theirs.
        self.blameless: set[UUID] = set()
        self._conversations: dict[UUID, Conversation] = {}

    def wake(self, settled: InteractionSettled | None = None) -> None:
        """There is work: a run to take up or to stop, or the answer that a run waits for."""
        hosted = self._runs.get(settled.run) if settled is not None else None
        if hosted is not None and settled is not None:
            hosted.settled(settled)
            return
        if settled is not None:
            self._news.append(settled)
        self._woken.set()

    @property
    def woken(self) -> bool:
        """Whether work came that it has not looked at."""
        return self._woken.is_set()

    @property
    def generation(self) -> int:
        """Of its lease; 0 before it has one."""
        return self._hold.generation

    @property
    def awaited(self) -> set[UUID]:
        """The interactions that its runs wait for."""
        return set().union(*(run.awaited for run in self._runs.values()))

    def checked(self, lease: take_up.Lease | None) -> None:
        """What a look at the database found of its lease."""
        if lease is None or not self.generation:
            return
        if lease.generation > self.generation:
            self.lose()
        elif lease.evict and not self._evicting:
            self._woken.set()

    def noticed(self, seen: take_up.Seen) -> None:
        """What a look at the database found of its key: wakes it if that is news."""
        run, _, stop = seen
        if seen not in self._seen and (stop or run not in self._runs):
            self._woken.set()

    def stop(self) -> None:
        """Let go of all runs, in good order."""
        self._stopping = True
        self._woken.set()

    def lose(self) -> None:
        """Another host has the key: nothing of this one is to go on."""
        if not self.fenced:
            log.warning("host.fenced", key=self.key, generation=self.generation)
        self.fenced = True
        self._abandon()

    def drop(self) -> None:
        """The database is not to be reached: let go of all before another takes the key."""
        if not self.dropped:
            log.warning("host.dropped", key=self.key, generation=self.generation)
        self.dropped = True
        self._abandon()

    def _abandon(self) -> None:
        # At once: what waits for a fresh look must not go on after it.
        for hosted in self._runs.values():
            hosted.leave(Leaving.LOST)
        self._woken.set()

    def make_room(self) -> None:
        """Others need the place: park what waits now, and end if nothing is left."""
        self._park(since=time.monotonic())
        self._hurried = True
        self._woken.set()

    async def main(self) -> None:
        """Take the lease and drive the runs until there are none."""
        if not await self._take_lease():
            return
        try:
            await self._take_up()
            while not self._ending:
                if not await self._wait():
                    break
                await self._take_up()
        finally:
            await self._let_go()

    @property
    def _ending(self) -> bool:
        return self._stopping or self.fenced or self.dropped

    async def _take_lease(self) -> bool:
        take = partial(take_up.take_lease, keeper=self._keeper, claim=self._claim)
        while not self._stopping:
            try:
                self._hold = await self._write(take)
            except StorageUnavailable:
                await asyncio.sleep(RETRY_AFTER)
            except Fenced:
                self.lose()
                return False
            else:
                return True
        return False

    async def _take_up(self) -> None:
        # The database was away a moment ago: do not press it.
        await asyncio.sleep(max(self._not_before - time.monotonic(), 0))
        if self._ending:
            return
        self._woken.clear()
        driven = take_up.Driven(
            frozenset(self._runs), frozenset(self.blameless), self._conversations
        )
        try:
            found = await self._write(partial(take_up.take_up, hold=self._hold, driven=driven))
        except Fenced:
            self.lose()
            return
        except (StorageUnavailable, ConversationGone):  # one that is gone is not seen again
            self._not_before = time.monotonic() + RETRY_AFTER
            self._woken.set()
            return
        self.blameless.clear()
        self._seen = found.seen
        self._evicting = found.evict
        for started in found.started:
            hosted = self._hosted(started)
            self._runs[started.run.id] = hosted
            hosted.start(self._left)
        self._pass_on(found)

    def _hosted(self, started: take_up.Started) -> HostedRun:
        lane = Lane(beside=self._lane)
        return HostedRun(started, self._hold, self._manager, lane, self._terms.contact)

    def _pass_on(self, found: take_up.Found) -> None:
        # Answers that came between the look and here.
        for settled in self._news:
            if (known := self._runs.get(settled.run)) is not None:
                known.settled(settled)
        self._news.clear()
        for run in found.stopping:
            if (known := self._runs.get(run)) is not None:
                known.leave(Leaving.STOP)

    async def _wait(self) -> bool:
        """Wait for work; park what rests. False if there is none, and none came for a while."""
        try:
            async with asyncio.timeout(self._until_something()):
                await self._woken.wait()
        except TimeoutError:
            self._park(since=time.monotonic() - self._terms.park_after)
            return bool(self._runs)
        return True

    def _until_something(self) -> float:
        """Seconds until something is to be done without being woken."""
        now = time.monotonic()
        if not self._runs:
            if self._evicting or self._hurried:
                return 0
            idle = self._manager.idle_until(self._keeper.user_id)
            return LINGER if idle is None else max(idle - now, 0)
        rests = [since for run in self._runs.values() if (since := run.rests_since()) is not None]
        park_after = self._terms.park_after
        if rests:
            return max(min(rests) + park_after - now, 0) + 0.01
        return park_after

    def _park(self, *, since: float) -> None:
        for hosted in self._runs.values():
            rests = hosted.rests_since()
            if rests is not None and rests <= since:
                hosted.park()

    def _left(self, hosted: HostedRun) -> None:
        del self._runs[hosted.run.id]
        if isinstance(hosted.failure, Fenced):
            self.lose()
        if self.dropped:
            self.blameless.add(hosted.run.id)
        if isinstance(hosted.failure, StorageUnavailable):
            self.blameless.add(hosted.run.id)
            self._not_before = time.monotonic() + RETRY_AFTER
        # What waits behind it has its turn, and an answer that it did not get to see.
        self._woken.set()

    async def _let_go(self) -> None:
        """Take the runs out of memory, close the builder, and only then let others have the key."""
        held = list(self._runs.values())
        await self._leave(held)
        if self._keeper.user_id:
            await self._manager.evict(self._keeper.user_id)
        ids = [hosted.run.id for hosted in held]
        self.blameless.update(ids)
        if self.fenced or self.dropped:
            return
        self._woken.clear()
        try:
            await self._write(partial(take_up.let_go, hold=self._hold, run_ids=ids))
        except Fenced:
            self.lose()
        except StorageUnavailable:
            self.drop()

    async def _leave(self, held: list[HostedRun]) -> None:
        for hosted in held:
            hosted.leave(Leaving.DRAIN)
        tasks = [hosted.task for hosted in held if hosted.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._terms.drain)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=self._terms.drain)

    def _write(self, work: Work[T]) -> "asyncio.Future[T]":
        """Write in the order of what its runs write."""
        return writer.write(work, Lane(beside=self._lane))
