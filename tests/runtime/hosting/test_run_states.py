"""Tests of `RunTask`, a run in memory, under random events, commits and ends of its code."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch
from uuid import uuid4

import pytest
from django.db import DataError
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sessions_app.errors import Fenced, NonDeterminism, StorageUnavailable
from sessions_app.hosting import run_task, run_writes
from sessions_app.hosting.lease import Lease, LeaseFreshness
from sessions_app.hosting.run_selection import ConversationRecord, StartedRun
from sessions_app.hosting.run_states import CODE_CANCELLED, TABLE, RunEvent, RunState
from sessions_app.hosting.run_task import RunTask
from sessions_app.journal.journal import Journal
from sessions_app.journal.stop_point import StopPoint
from sessions_app.models import Run
from sessions_app.models.host_lease import HostKey
from sessions_app.storage.records import RunRecord
from sessions_app.storage.writer import Lane, writer
from sessions_app.workflows import Person

pytestmark = pytest.mark.formless
Status, Event = Run.Status, RunEvent
ENDS = {RunState.COMPLETING, RunState.CANCELLING, RunState.FAILING, RunState.SUSPENDING}
OVER = {*ENDS, RunState.ENDED, RunState.EVICTED}
# Events that take a run out of memory, so that the run never completes there.
LEAVES = [Event.PARK, Event.DRAIN, Event.LOST, Event.TOO_LONG, Event.HALT, Event.REPLAY]
MISMATCH = partial(NonDeterminism, 1, "it differs", recorded_call="step a", new_call="step b")


def test_code_that_comes_to_its_end_leaves_no_state_as_it_was() -> None:
    ends = (Event.RETURNED, Event.RAISED, Event.UNWOUND, Event.MISMATCHED, Event.CUT_OFF)
    of_code = [state for state in RunState if state not in OVER]
    without = [(state, event) for state in of_code for event in ends if (state, event) not in TABLE]
    assert without == [(RunState.WORKING, Event.UNWOUND)]
    assert all(
        TABLE.get((state, event), RunState.EVICTED) in OVER for state in of_code for event in ends
    )
    assert {TABLE[state, Event.CUT_OFF] for state in of_code} == {RunState.EVICTED}
    last = (RunState.ENDED, RunState.EVICTED)
    assert not [state for state, _ in TABLE if state in last]


class RunStates(RuleBasedStateMachine):
    """A state machine in which code, writer and host act only when a rule makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.words: asyncio.Queue[str] = asyncio.Queue()
        self.stubborn = False
        # Events before the code ended, and texts that the code produced after its eviction.
        self.events: list[RunEvent] = []
        self.stored: list[str] = []
        self.late: set[str] = set()
        self.ends: list[Run.Status] = []
        self.steps: list[AbstractContextManager[None]] = []
        self.writes: list[tuple[Any, Lane, asyncio.Future[Any]]] = []
        self.has_met_fault = False
        self.patches = ExitStack()
        self.patches.enter_context(patch.multiple(writer, write=self.write, submit=self.submit))
        # A rule, not a timer, decides that a stop is given up.
        self.patches.enter_context(patch.object(run_task, "IDLE_AFTER", 10_000))

    # --- stand-ins for the pool, the workflow and the database

    @asynccontextmanager
    async def open_pool(self, _request: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(run=self.open_run, run_info=Mock())

    @asynccontextmanager
    async def open_run(self, *_: object) -> AsyncIterator[Any]:
        execution = SimpleNamespace(position=0, calls=Counter({"": 0}), reads_journal=False)
        execution.evict = Mock()
        yield SimpleNamespace(
            execution=execution, interrupt=lambda: True, result_stream=self.code, module="m"
        )

    async def code(self, to_type: type) -> AsyncGenerator[str, None]:
        while True:
            try:
                word = await self.words.get()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
                word = "late"
            if word == "return":
                return
            if word in ERRORS:
                self.has_met_fault = word == "fault"
                raise ERRORS[word]()
            text = f"{word}{self.words.qsize()}{len(self.late)}{uuid4()}"
            if self.run.run.state in CODE_CANCELLED:
                self.late.add(text)
            yield text

    def write(self, work: Any, lane: Lane) -> "asyncio.Future[Any]":
        future = asyncio.get_running_loop().create_future()
        self.writes.append((work, lane, future))
        return future

    def submit(self, work: Any, lane: Lane) -> "Future[None]":
        future: Future[None] = Future()
        future.set_result(None)
        return future

    # --- rules of the state machine

    def turn(self, call: Callable[[], object] = int) -> None:
        async def do() -> None:
            call()
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(do())

    @initialize(stopped=st.sampled_from([False, False, False, True]), begins=st.booleans())
    def take_up(self, stopped: bool, begins: bool) -> None:
        key = HostKey.of_conversation(uuid4(), "w")
        leased_run = run_writes.LeasedRun(Lease(key, 1), RunRecord(uuid4(), uuid4(), "m", "page"))
        stop = StopPoint(position=0) if stopped else None
        owner = ConversationRecord("c", "w", Person(1, "ann"))
        started = StartedRun(leased_run, owner, "hello", {}, 1, Journal({}), None, stop)
        self.run = RunTask(started, Mock(open=self.open_pool), Lane(), LeaseFreshness())
        self.events += [Event.STOP] * stopped
        start = partial(self.run.start, lambda _: None)
        if begins:
            self.turn(start)
            assert self.run.run.runner is not None
        else:  # the next events come before the run's code has begun

            async def do() -> None:
                start()

            self.loop.run_until_complete(do())

    @property
    def is_over(self) -> bool:
        return self.run.run.state in OVER

    def note(self, event: RunEvent) -> None:
        if not self.is_over:
            self.events.append(event)

    @rule(event=st.sampled_from([*LEAVES, Event.STOP, Event.BLOCK]))
    def leave(self, event: RunEvent) -> None:
        self.note(event)
        if event is Event.BLOCK:
            self.turn(partial(self.run.block, "at its line"))
        else:
            self.turn(partial(self.run.apply, event))

    @rule(error=st.sampled_from([Fenced("k", 1, 2), StorageUnavailable(), DataError()]))
    def fail_a_write(self, error: Exception) -> None:
        self.note(Event.REFUSED if isinstance(error, DataError) else Event.FAULT)
        self.turn(partial(self.run.run.apply_error, error))

    @rule()
    def give_a_stop_up(self) -> None:
        self.turn(self.run._stopping._abort_clean_up)

    @precondition(lambda self: not (self.steps or self.is_over))
    @rule()
    def begin_a_step(self) -> None:
        step = self.run.waits.stepping()
        step.__enter__()
        self.steps.append(step)

    @precondition(lambda self: self.steps)
    @rule()
    def end_a_step(self) -> None:
        self.steps.pop().__exit__(None, None, None)
        self.turn(self.run._calls._end_step)

    @rule(word=st.sampled_from(["text", "text", "return", "raise", "mismatch", "fault"]))
    def go_on(self, word: str) -> None:
        self.turn(partial(self.words.put_nowait, word))

    @rule(stubborn=st.booleans())
    def be_stubborn(self, stubborn: bool) -> None:
        self.stubborn = stubborn

    @precondition(lambda self: self.writes)
    @rule()
    def commit(self) -> None:
        self.turn(self.commit_first)

    def commit_first(self) -> None:
        work, lane, future = self.writes.pop(0)
        if future.cancelled():
            return
        if lane.failed:
            future.set_exception(StorageUnavailable())
            return
        future.set_result(None)
        if getattr(work, "func", None) is run_writes.end:
            self.ends.append(work.keywords["status"])
            self.stored.append(work.keywords["text"])
        else:
            tx = Mock()
            work(tx)
            self.stored += [call.args[2].get("text", "") for call in tx.append.call_args_list]

    # --- invariants

    @invariant()
    def nothing_that_thrown_out_code_gives_is_stored(self) -> None:
        assert not [text for text in self.late if text in "".join(self.stored)]

    @invariant()
    def a_run_has_one_end(self) -> None:
        if hasattr(self, "run"):
            assert len(self.ends) <= 1
            assert (self.run.run.state is RunState.ENDED) <= bool(self.ends)

    @invariant()
    def a_run_that_left_never_ends_there_as_completed(self) -> None:
        if self.events:
            assert Status.COMPLETED not in self.ends

    @invariant()
    def a_stopped_run_is_cancelled_or_goes_on_elsewhere(self) -> None:
        others = {Event.DRAIN, Event.LOST, Event.FAULT, Event.REFUSED, Event.BLOCK}
        if self.events and self.events[0] is Event.STOP and not others & set(self.events):
            assert set(self.ends) <= {Status.CANCELLED}

    @invariant()
    def a_run_whose_key_is_lost_fails_for_nothing(self) -> None:
        if self.events and self.events[0] in (Event.LOST, Event.FAULT, Event.PARK, Event.DRAIN):
            assert set(self.ends) <= {Status.SUSPENDED}

    @invariant()
    def code_that_meets_a_fault_of_the_storage_ends_no_run(self) -> None:
        if self.has_met_fault:
            assert not self.ends

    @invariant()
    def a_run_of_a_process_that_stops_leaves_when_no_step_is_under_way(self) -> None:
        if Event.DRAIN in self.events and not self.steps and not self.is_over:
            assert self.run.run.state in CODE_CANCELLED

    @invariant()
    def a_blocked_run_stores_no_end_of_its_own(self) -> None:
        if Event.BLOCK in self.events:
            assert not self.ends

    def teardown(self) -> None:
        """Commit the remaining writes, and lose the key: no write keeps the task alive."""
        try:
            if hasattr(self, "run"):
                self.stubborn = False
                while self.writes:
                    self.commit()
                self.a_run_that_left_never_ends_there_as_completed()
                self.a_stopped_run_is_cancelled_or_goes_on_elsewhere()
                self.a_run_whose_key_is_lost_fails_for_nothing()
                self.turn(partial(self.run.apply, Event.LOST))
                while self.steps:
                    self.end_a_step()
                task = self.run.run.task
                assert task is not None
                assert task.done()
                if not task.cancelled():
                    assert task.exception() is None
        finally:
            self.patches.close()
            self.loop.close()


ERRORS: dict[str, Callable[[], Exception]] = {
    "raise": ValueError,
    "mismatch": MISMATCH,
    "fault": StorageUnavailable,
}


@pytest.mark.slow
def test_a_run_in_memory_keeps_its_rules_whatever_comes() -> None:
    # Skip shrinking, that is, the search for a shorter example: it takes minutes.
    run_state_machine_as_test(
        RunStates,
        settings=settings(max_examples=400, stateful_step_count=20, phases=[Phase.generate]),
    )
