"""The waits of a run in memory, for answers and ends of sleeps, and the writes of these waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sessions_app.errors import WaitsInTimeLimit
from sessions_app.hosting import run_writes
from sessions_app.hosting.run_in_memory import RunInMemory
from sessions_app.journal.journal import Call, CallResult, wait_id
from sessions_app.models import Interaction
from sessions_app.storage import clock
from sessions_app.storage.records import InteractionSettled
from sessions_app.workflows.backend import StoredResponse
from sessions_app.workflows.concurrency import Slot
from sessions_app.workflows.time_limits import time_limit_around

T = TypeVar("T")
Answers = dict[UUID, StoredResponse]


@dataclass(slots=True, eq=False)
class _Ask:
    """A call of `ask` that waits; the future `answers` is done once each interaction has one."""

    interactions: set[UUID]
    answers: asyncio.Future[Answers]


class RunWaits:
    """The waits and steps that are under way in one run in memory.

    While the run only waits, its status in the database is `waiting`, so that it needs no host.
    """

    def __init__(self, run: RunInMemory) -> None:
        self._run = run
        self.slot = Slot(nullcontext())  # placeholder until the run gets its concurrency slot
        # Answers not returned yet; an answer may come before a replay reaches its `ask`.
        self._answers: Answers = {}
        self._asks: list[_Ask] = []
        self._sleeps: dict[int, datetime] = {}
        self._steps = 0
        self._since = 0.0

    @property
    def has_step(self) -> bool:
        """True while a step is under way."""
        return self._steps > 0

    @property
    def is_empty(self) -> bool:
        """True while the run neither executes a step nor waits."""
        return not (self._steps or self._asks or self._sleeps)

    @property
    def unanswered_interactions(self) -> set[UUID]:
        """The ids of interactions for which a call of `ask` still waits."""
        interaction_sets = (ask.interactions for ask in self._asks if not ask.answers.done())
        return set().union(*interaction_sets) - self._answers.keys()

    def receive_settlement(self, settlement: InteractionSettled) -> None:
        """Note the final status of an interaction, and wake an `ask` that has all answers now."""
        is_default = settlement.status == Interaction.Status.EXPIRED
        self._answers[settlement.interaction] = StoredResponse(
            settlement.response, settlement.by, settlement.at, is_default=is_default
        )
        for ask in self._asks:
            self._resolve(ask)

    def _resolve(self, ask: _Ask) -> None:
        if not ask.answers.done() and ask.interactions <= self._answers.keys():
            ask.answers.set_result(
                {interaction: self._answers.pop(interaction) for interaction in ask.interactions}
            )

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Count a step as under way during the block."""
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
            self._since = time.monotonic()

    @contextmanager
    def asking(self, interactions: set[UUID]) -> Iterator[asyncio.Future[Answers]]:
        """Count a wait for answers during the block, and yield a future of all the answers."""
        self._since = time.monotonic()
        ask = _Ask(interactions, asyncio.get_running_loop().create_future())
        self._resolve(ask)
        self._asks.append(ask)
        try:
            yield ask.answers
        finally:
            self._asks.remove(ask)

    @contextmanager
    def sleeping(self, position: int, until: datetime) -> Iterator[None]:
        """Count a sleep as under way during the block."""
        self._since = time.monotonic()
        self._sleeps[position] = until
        try:
            yield
        finally:
            del self._sleeps[position]

    def add_active(self, change: int) -> None:
        """Change the number of working coroutines; when it falls to 0, store that the run waits."""
        self.slot.add_active(change)
        if not self.slot.busy and not self.is_empty:
            self.mark_waiting()

    def idle_since(self) -> float | None:
        """Return the monotonic time since which the run only waits; None if it also does work.

        An `ask` that has all answers counts as work, because it continues once the run has a slot.
        """
        goes_on = self.slot.busy > 0 or self._steps or any(ask.answers.done() for ask in self._asks)
        return self._since if (self._asks or self._sleeps) and not goes_on else None

    def mark_waiting(self) -> None:
        """Store that the run only waits."""
        waits_for, wake_at = self.unanswered_interactions, min(self._sleeps.values(), default=None)
        self._run.record(run_writes.mark_waiting, waits_for=waits_for, wake_at=wake_at)

    async def ask(self, interactions: set[UUID], new: list[run_writes.NewPrompt]) -> Answers:
        """Wait for people's answers to all of the interactions; open the `new` ones first."""
        only_waits = self._only_waits
        with self.asking(interactions) as answers:
            if new:
                # Do not await this write: no answer can precede it, and a failure ends the run.
                self._run.output.flush()
                self._run.record(run_writes.open_interactions, new, only_waits=only_waits)
            return await self._await_without_slot(answers, only_waits=only_waits)

    async def settlement(
        self,
        call: Call,
        until: datetime | None,
        begin: Callable[..., CallResult | None] | None,
    ) -> CallResult | None:
        """Wait for an arrival or the end of a child run; `begin` records a new call first.

        Return None on a timeout.
        """
        wait, only_waits = wait_id(self._run.leased_run.run.id, call.position), self._only_waits
        deadline = self.sleeping(call.position, until) if until else nullcontext()
        with self.asking({wait}) as came, deadline:
            if begin is not None:
                self._run.output.flush()
                begun = self._run.record(begin, call, until=until, only_waits=only_waits)
                if (before := await begun) is not None:
                    return before
            seconds = None if until is None else max((until - clock.now()).total_seconds(), 0)
            await self._await_without_slot(
                asyncio.wait([came], timeout=seconds), only_waits=only_waits
            )
            if not came.done():
                return None
            response = came.result()[wait].response or {}
            return CallResult(response.get("value"), response.get("error"))

    async def sleep(self, call: Call, until: datetime, *, is_recorded: bool) -> None:
        """Sleep until a moment; first record the sleep, unless an earlier execution has done so."""
        seconds, only_waits = (until - clock.now()).total_seconds(), self._only_waits
        with self.sleeping(call.position, until):
            if not is_recorded:
                self._run.output.flush()
                await self._run.record(
                    run_writes.begin_sleep, call, until=until, only_waits=only_waits
                )
            await self._await_without_slot(asyncio.sleep(max(seconds, 0)), only_waits=only_waits)

    def _refuse_time_limit(self, task: "asyncio.Task[Any] | None") -> None:
        caller = "" if self._run.runner is None else time_limit_around(self._run.runner.work)
        if not caller and task is not None and task is not self._run.task:
            caller = time_limit_around(task.get_coro())
        if caller:
            self._run.halt(WaitsInTimeLimit(caller))

    @property
    def _only_waits(self) -> bool:
        return self.is_empty and self.slot.busy == 1

    async def _await_without_slot(self, work: Awaitable[T], *, only_waits: bool) -> T:
        """Await some work, and release the run's concurrency slot meanwhile.

        If no other coroutine of the run works, store that the run only waits. With
        `only_waits`, the write that began the wait has already stored this.
        """
        if not only_waits and self.slot.busy == 1 and not self.has_step:
            self.mark_waiting()
        # The coroutines around this wait can be looked at once they are suspended.
        loop = asyncio.get_running_loop()
        look = loop.call_soon(self._refuse_time_limit, asyncio.current_task())
        try:
            return await self.slot.release_for(work)
        finally:
            look.cancel()  # an answer that was there already suspends nothing
