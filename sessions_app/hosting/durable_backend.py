"""The durable backend of a context: calls are journaled, prompts are asked of people."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from django.utils import timezone

from sessions_app.errors import NonDeterminism, TooLarge
from sessions_app.hosting import run_writes
from sessions_app.hosting.lease_freshness import LeaseFreshness
from sessions_app.hosting.output import Output, Write
from sessions_app.hosting.run_selection import StartedRun
from sessions_app.hosting.waiting import Answer, Waiting
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.storable import check_size, storable
from sessions_app.storage.writer import Work
from sessions_app.workflows.backend import StoredResponse
from sessions_app.workflows.concurrency import Slot
from sessions_app.workflows.journal import Call, CallResult, Entry
from sessions_app.workflows.prompts import AnyPrompt


class DurableBackend:
    """What the context of one run in memory stands on; see `Backend`.

    `step_ended` is called when a step is over, and stored; `overdue` when the run has worked for as
    long as it may.
    """

    def __init__(
        self,
        started: StartedRun,
        write: Write,
        freshness: LeaseFreshness,
        step_ended: Callable[[], None],
        overdue: Callable[[], None],
    ) -> None:
        self._leased = started.leased
        self._journal = started.journal
        self._write = write
        self._freshness = freshness
        self._step_ended = step_ended
        self._overdue = overdue
        self._mismatch: NonDeterminism | None = None
        self.output = Output(started.leased, started.cut, write)
        self.waiting = Waiting()

    def attach(self, slot: Slot) -> None:
        """The slot that is given back while it waits."""
        self._released = slot.released
        slot.limit(RuntimeSettings.load().MAX_RUN_SECONDS, self._overdue)

    def recall(self, call: Call) -> Entry | None:
        """What the journal has; a mismatch suspends the run even if the workflow catches it."""
        try:
            return self._journal.recall(call)
        except NonDeterminism as error:
            self._mismatch = error
            raise

    def check_match(self) -> None:
        """Raise NonDeterminism if the workflow has not matched its journal so far."""
        if self._mismatch is not None:
            raise self._mismatch

    def check_complete(self, position: int) -> None:
        """Raise NonDeterminism unless the workflow, which ends here, has matched its journal."""
        self.check_match()
        self._journal.check_complete(position)

    def is_replayed(self, position: int) -> bool:
        """Whether what is put out behind this position was put out before."""
        return position < self._journal.last_position

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """In a step."""
        await self._freshness.wait_fresh()
        try:
            with self.waiting.step():
                yield
        finally:
            self._step_ended()

    def begin(self, call: Call, title: str) -> None:
        """See `Backend`."""
        self.output.settle()
        self._write(lambda tx: run_writes.begin_step(tx, self._leased, call, title))

    def note(self, call: Call, record: CallResult) -> None:
        """See `Backend`."""
        self._write(self._finished(call, record))

    async def finish(self, call: Call, record: CallResult) -> None:
        """See `Backend`."""
        await self._write(self._finished(call, record))

    async def ask(self, prompts: list[tuple[Call, Any]]) -> list[StoredResponse]:
        """See `Backend`."""
        entries = [self.recall(call) for call, _ in prompts]
        pairs = zip(prompts, entries, strict=True)
        new = _new_prompts([asked for asked, entry in pairs if _is_new(entry)])
        ids = {call.position: interaction for call, _, interaction in new}
        responses: dict[int, StoredResponse] = {}
        waiting: dict[int, Answer] = {}
        for (call, _), entry in zip(prompts, entries, strict=True):
            if entry is not None and entry.finished:
                responses[call.position] = StoredResponse(
                    entry.result, entry.by, entry.settled_at, is_default=entry.is_default
                )
            else:
                interaction = entry.interaction if entry is not None else None
                waiting[call.position] = self.waiting.expect(interaction or ids[call.position])
        if waiting:
            await self._wait_for_people(set(waiting.values()), new)
            responses |= {position: future.result() for position, future in waiting.items()}
        return [responses[call.position] for call, _ in prompts]

    async def sleep(self, call: Call, until: datetime) -> None:
        """See `Backend`."""
        left = (until - timezone.now()).total_seconds()
        recorded = self.recall(call) is not None
        if recorded and left <= 0:
            return
        alone = self.waiting.nothing
        with self.waiting.sleep(call.position, until):
            if not recorded:
                self.output.settle()
                begin = partial(
                    run_writes.begin_sleep, leased=self._leased, call=call, until=until, alone=alone
                )
                await self._write(begin)
            async with self._released():
                await asyncio.sleep(max(left, 0))
        await self._write(lambda tx: run_writes.awake(tx, self._leased))

    def rest(self) -> None:
        """Have the row say that the run only waits."""
        self._write(
            partial(
                run_writes.rest,
                leased=self._leased,
                waits_for=self.waiting.unanswered,
                wake_at=self.waiting.wake_at,
            )
        )

    async def _wait_for_people(self, answers: set[Answer], new: list[run_writes.NewPrompt]) -> None:
        alone = self.waiting.nothing
        if new:
            self.output.settle()
            await self._write(
                partial(run_writes.open_interactions, leased=self._leased, prompts=new, alone=alone)
            )
        with self.waiting.ask(answers):
            async with self._released():
                await asyncio.wait(answers)

    def _finished(self, call: Call, record: CallResult) -> Work[None]:
        self.output.settle()
        return lambda tx: run_writes.finish_call(tx, self._leased, call, record)


def _is_new(entry: Entry | None) -> bool:
    """Whether what is asked there was asked by no earlier execution."""
    return entry is None or not (entry.finished or entry.interaction)


def _new_prompts(asked: list[tuple[Call, AnyPrompt]]) -> list[run_writes.NewPrompt]:
    """Prompts that are asked at once, as they are stored.

    Raises:
        TooLarge: there are too many, or one of them is too long.
    """
    most = RuntimeSettings.load().MAX_PROMPTS_AT_ONCE
    if len(asked) > most:
        raise TooLarge("What is asked at once", f"{most:,} prompts", "MAX_PROMPTS_AT_ONCE")
    new = []
    for call, prompt in asked:
        stored = prompt.model_dump(mode="json")
        check_size(f"The {type(prompt).__name__} {prompt.text[:50]!r}", stored, "MAX_PROMPT")
        new.append((call, storable(stored), uuid4()))
    return new
