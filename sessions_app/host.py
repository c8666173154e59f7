"""A host owns one key: it keeps the key's lease and drives the key's runs."""

import asyncio
import os
import socket
import time
from functools import partial
from uuid import UUID

import structlog

from sessions_app import runs, take_up
from sessions_app.errors import ConversationGone, Fenced, StorageUnavailable
from sessions_app.event_log import InteractionSettled, writer
from sessions_app.hosted_run import HostedRun, Leaving
from sessions_app.models import Conversation
from sessions_app.session import SessionManager

log = structlog.get_logger(__name__)

WORKER = f"{socket.gethostname()}:{os.getpid()}"
# How long a host without runs stays, to spare the next message the lease.
LINGER = 5.0
# After a write failed: how long until the run is taken up again.
RETRY_AFTER = 1.0


class Host:
    """Lives as long as it has runs in memory, and a moment longer."""

    def __init__(
        self, key: str, manager: SessionManager, *, user_id: str, park_after: float
    ) -> None:
        self.key = key
        self._manager = manager
        self._user_id = user_id
        self._park_after = park_after
        self._hold = runs.Hold(key, 0)
        self._runs: dict[UUID, HostedRun] = {}
        self._news: list[InteractionSettled] = []
        self._woken = asyncio.Event()
        self._stopping = False
        self._fenced = False
        self._not_before = 0.0
        # Runs that the database let down: to take them up again is no crash of theirs.
        self._blameless: set[UUID] = set()
        self._conversations: dict[UUID, Conversation] = {}

    def wake(self, settled: InteractionSettled | None) -> None:
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

    def stop(self) -> None:
        """Let go of all runs, in good order."""
        self._stopping = True
        self._woken.set()

    async def main(self) -> None:
        """Take the lease and drive the runs until there are none."""
        while not await self._take_lease():  # noqa: ASYNC110 - a retry, not a wait for an event
            await asyncio.sleep(RETRY_AFTER)
        try:
            await self._take_up()
            while not (self._stopping or self._fenced):
                if not await self._wait():
                    break
                await self._take_up()
        finally:
            await self._let_go()

    async def _take_lease(self) -> bool:
        lease = partial(
            take_up.take_lease,
            key=self.key,
            worker=WORKER,
            workflow=self._manager.entry.name,
            user_id=self._user_id,
        )
        try:
            self._hold = await writer.write(lease)
        except StorageUnavailable:
            return self._stopping
        return True

    async def _take_up(self) -> None:
        # The database was away a moment ago: do not press it.
        await asyncio.sleep(max(self._not_before - time.monotonic(), 0))
        self._woken.clear()
        driven = take_up.Driven(
            frozenset(self._runs), frozenset(self._blameless), self._conversations
        )
        try:
            found = await writer.write(partial(take_up.take_up, hold=self._hold, driven=driven))
        except (Fenced, ConversationGone):
            self._fenced = True
            return
        except StorageUnavailable:
            self._not_before = time.monotonic() + RETRY_AFTER
            self._woken.set()
            return
        self._blameless.clear()
        for started in found.started:
            hosted = HostedRun(started, self._hold, self._manager)
            self._runs[started.run.id] = hosted
            hosted.start(self._left)
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
        patience = self._patience()
        try:
            async with asyncio.timeout(patience):
                await self._woken.wait()
        except TimeoutError:
            self._park()
            return bool(self._runs)
        return True

    def _patience(self) -> float:
        """Seconds until something is to be done without being woken."""
        now = time.monotonic()
        if not self._runs:
            return LINGER
        rests = [since for run in self._runs.values() if (since := run.rests_since()) is not None]
        if rests:
            return max(min(rests) + self._park_after - now, 0) + 0.01
        return self._park_after

    def _park(self) -> None:
        limit = time.monotonic() - self._park_after
        for hosted in self._runs.values():
            since = hosted.rests_since()
            if since is not None and since <= limit:
                hosted.park()

    def _left(self, hosted: HostedRun) -> None:
        del self._runs[hosted.run.id]
        self._fenced = self._fenced or isinstance(hosted.failure, Fenced)
        if isinstance(hosted.failure, StorageUnavailable):
            self._blameless.add(hosted.run.id)
            self._not_before = time.monotonic() + RETRY_AFTER
        # What waits behind it has its turn, and an answer that it did not get to see.
        self._woken.set()

    async def _let_go(self) -> None:
        held = list(self._runs.values())
        for hosted in held:
            hosted.leave(Leaving.DRAIN)
        tasks = [hosted.task for hosted in held if hosted.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        ids = [hosted.run.id for hosted in held]
        if not self._fenced:
            try:
                await writer.write(partial(take_up.let_go, hold=self._hold, run_ids=ids))
            except (Fenced, StorageUnavailable):
                log.warning("host.release_failed", key=self.key)
