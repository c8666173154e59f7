"""The counts of questions in people's inboxes, sent to the sockets that ask for them.

One task per process, while there are any. A change anywhere is a hint to it; what it costs is a few
queries for all of them, a few times a second at most.
"""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from chat_app.identity import Identity
from chat_app.inbox.pending_counts import WaitingPrompts, count_waiting
from sessions_app.logs import Log
from sessions_app.models.people import UserId
from sessions_app.notify.groups import listen
from sessions_app.notify.news import PROMPTS
from sessions_app.storage import reads

log = Log(__name__)

PACE = 0.3  # seconds between two looks
SHARE = 3  # and so many times as long as the last took, so that others are read for
SAFETY = 9.0  # seconds without a hint, after which it is looked all the same
IDS = 1000  # in one query
NONE_WAITING = WaitingPrompts()


class CountedSocket(Protocol):
    """A socket that wants its person's count."""

    waiting: WaitingPrompts | None

    @property
    def identity(self) -> Identity | None:
        """The identity of its person, once that is known."""

    def wake(self) -> None:
        """Tell the client, if `waiting` has changed."""


class WaitingCounts:
    """The keeper of its sockets' `waiting` counts, as the database has them."""

    def __init__(self) -> None:
        self._sockets: set[CountedSocket] = set()
        self._change = asyncio.Event()
        self._tasks: list[asyncio.Task[object]] = []

    def add(self, socket: CountedSocket) -> None:
        """Count for a further socket."""
        self._sockets.add(socket)
        if not self._tasks:
            self._change = asyncio.Event()
            create = asyncio.get_running_loop().create_task
            hear = listen(PROMPTS, lambda _: self._change.set())
            self._tasks = [create(hear), create(self._run(), name="waiting counts")]
        self._change.set()

    async def remove(self, socket: CountedSocket) -> None:
        """Remove a socket that has ended."""
        self._sockets.discard(socket)
        if not self._sockets:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SAFETY):
                    await self._change.wait()
            self._change.clear()
            began = time.monotonic()
            try:
                await self._look()
            except Exception:  # the next look tries again
                log.exception("waiting_counts.failed")
            await asyncio.sleep(max(PACE, SHARE * (time.monotonic() - began)))

    async def _look(self) -> None:
        sockets = [
            (socket, socket.identity.person.id) for socket in self._sockets if socket.identity
        ]
        counts = await reads.read(_count, list({owner for _, owner in sockets}))
        for socket, owner in sockets:
            if socket.waiting != (count := counts.get(owner, NONE_WAITING)):
                socket.waiting = count
                socket.wake()


def _count(people: list[UserId]) -> dict[UserId, WaitingPrompts]:
    counts: dict[UserId, WaitingPrompts] = {}
    for start in range(0, len(people), IDS):
        counts |= count_waiting(people[start : start + IDS])
    return counts


waiting_counts = WaitingCounts()
