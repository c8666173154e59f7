"""The durable backend of a context: calls are journaled, prompts are asked of people."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

from django.db import Error
from django.utils import timezone
from pydantic_core import from_json

from sessions_app.conversations import arrivals, child_runs, workflow_access
from sessions_app.conversations.child_runs import NewChild
from sessions_app.conversations.messages import IncomingMessage, check_message
from sessions_app.errors import TookTooLong, TooLarge, TooManyCalls
from sessions_app.hosting import run_writes
from sessions_app.hosting.lease import LeaseFreshness
from sessions_app.hosting.output import Output, Write
from sessions_app.hosting.run_selection import StartedRun
from sessions_app.hosting.waiting import RunWaits
from sessions_app.interactions.assigning import ResolvedAssignment, resolve
from sessions_app.journal.journal import Call, CallResult, Entry, wait_id
from sessions_app.journal.stop_point import StopPoint
from sessions_app.prompts import AnyPrompt
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import reads
from sessions_app.storage.connections import close_broken
from sessions_app.storage.faults import is_fault
from sessions_app.storage.records import RunRecord
from sessions_app.storage.storable import check_size
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work
from sessions_app.workflows.backend import (
    OutgoingPrompt,
    RecordedBackend,
    StoredResponse,
    asked_before,
    recorded_response,
)
from sessions_app.workflows.child_calls import ChildCall
from sessions_app.workflows.concurrency import Slot
from sessions_app.workflows.history import PastMessage, ended_runs, read_messages
from sessions_app.workflows.transactional_steps import Attempted

T = TypeVar("T")


class DurableBackend(RecordedBackend):
    """The backend of the context of one run in memory; see `Backend`.

    `step_ended` is called when a step is over, and stored; `overdue` when the run has done as much
    as it may, with what that is; `broken` with the fault of the database that a step met.
    """

    def __init__(
        self,
        started_run: StartedRun,
        write: Write,
        freshness: LeaseFreshness,
        step_ended: Callable[[], None],
        overdue: Callable[[TookTooLong | TooManyCalls], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        super().__init__(started_run.journal, started_run.stop)
        self._leased_run = started_run.leased_run
        self._conversation, self._metadata = started_run.conversation, started_run.metadata
        self._write = write
        self._freshness = freshness
        self._step_ended = step_ended
        self._overdue = overdue
        self._broken = broken
        # Whether this execution has come to the clean-up of a run that was stopped.
        self._cleans_up = False
        # Of the last call that each track has made.
        self._positions: dict[str, int] = {}
        self._size, self._limit = 0, RuntimeSettings.load().MAX_OUTPUT
        self._most_calls = RuntimeSettings.load().MAX_CALLS
        self.output = Output(started_run.leased_run, started_run.cut, write)
        self.waiting = RunWaits()
        # A step came to its end in this execution, and is stored.
        self.stored_step = False
        self._slot = Slot(nullcontext())  # until it has its own

    @property
    def awaits_place(self) -> bool:
        """True while the run can do nothing before it has a place under the limit."""
        return self._slot.is_awaited

    def attach(self, slot: Slot) -> None:
        """Set the slot that is given back while the run waits."""
        self._slot = slot
        slot.limit(RuntimeSettings.load().MAX_RUN_SECONDS, lambda: self._overdue(TookTooLong()))

    def stop_behind(self, position: int, calls: Mapping[str, int]) -> StopPoint:
        """Stop the run behind all that is recorded and all that it has called since."""
        self.stop = StopPoint.behind(self._journal, position, calls)
        return self.stop

    def work_by(self, change: int) -> None:
        """Count the coroutines that work; when the last one waits, store that the run does."""
        self._slot.work_by(change)
        if not self._slot.busy and not self.waiting.nothing:
            self.rest()

    def next_call(self, call: Call) -> None:
        """Note the run's next call, enforce the limit of calls, and begin clean-up behind a stop
        point.
        """
        self._positions[call.track] = call.position
        if call.position > self._most_calls and call.position > self._journal.last_position:
            self._overdue(TooManyCalls(self._most_calls))
        if self.stop is not None and self.stop.has_passed(call) and not self._cleans_up:
            self._cleans_up = True
            stop = self.stop.model_dump(mode="json")
            self.output.settle()
            self._write(partial(run_writes.clean_up, leased_run=self._leased_run, stop=stop))

    @contextmanager
    def _under_way(self, *positions: int) -> Iterator[None]:
        """Note these calls as cut if the run is stopped while they are under way."""
        try:
            yield
        except asyncio.CancelledError:
            if self.stop is not None:
                self.stop.note_cut(*positions)
            raise

    def patched(self, why: str, calls: int) -> bool:
        """Return whether the run has the patch, and store it when the run first comes to it."""
        is_patched = self._journal.patched(why, calls)
        if is_patched is None:
            patches = self._journal.patches = {**self._journal.patches, why: calls}
            self._write(lambda tx: run_writes.patch(tx, self._leased_run, patches))
        return is_patched is not False

    def is_replayed(self, calls: int) -> bool:
        """Return whether the text that follows so many calls was put out before."""
        return calls < self._journal.known_to

    def count(self, text: str) -> None:
        """Count output against the limit, an earlier execution's included.

        Raises:
            TooLarge: it is more than MAX_OUTPUT in all.
        """
        self._size += len(text)
        if self._size > self._limit:
            raise TooLarge("The output of the run", f"{self._limit:,} characters", "MAX_OUTPUT")

    async def put_out(self, text: str, *, is_repeat: bool) -> None:
        """Count the text against the limit, and emit it unless it is a repeat."""
        self.count(text)
        if not is_repeat:
            await self.output.emit(text)

    def has_news(self, calls: Mapping[str, int]) -> bool:
        """Return whether this execution, after so many calls, has recorded anything."""
        recorded_calls = self._journal.calls
        return self.stored_step or any(
            calls[track] > recorded_calls.get(track, 0) for track in calls
        )

    @asynccontextmanager
    async def working(self, call: Call) -> AsyncIterator[None]:
        """Count a step as under way, once the lease is confirmed."""
        await self._freshness.wait_fresh()
        try:
            with self._under_way(call.position), self.waiting.step():
                yield
        except Error as error:
            if not is_fault(error):
                raise
            await close_broken()
            self._broken(error)
            # Its code is not to make something else of it.
            raise asyncio.CancelledError from error
        finally:
            self._step_ended()

    def begin(self, call: Call, title: str) -> None:
        """Store that a step has begun, behind the text before it."""
        self.output.settle()
        self._write(lambda tx: run_writes.begin_step(tx, self._leased_run, call, title))

    async def store(self, work: Callable[[Transaction], None]) -> None:
        """Do a write of the run beside its journal, and wait for the commit."""

        def write(tx: Transaction) -> None:
            self._leased_run.check(tx)
            work(tx)

        await self._write(write)

    async def reserve(self, call: Call, title: str) -> None:
        """Store that a step has begun, and wait for the commit."""
        self.output.settle()
        await self._write(lambda tx: run_writes.begin_step(tx, self._leased_run, call, title))

    def show_part(self, call: Call, number: int, title: str, payload: str | None) -> None:
        """Store a part of a call as a step of its own."""
        self.output.put()  # the text goes on: it is not complete up to here
        show = partial(
            run_writes.show_part,
            leased_run=self._leased_run,
            call=call,
            number=number,
            title=title,
            payload=payload,
        )
        self._write(show)

    def note(self, call: Call, record: CallResult) -> None:
        """Store the result of a call without waiting for the commit."""
        self._write(self._finish_work(call, record))

    async def finish(self, call: Call, record: CallResult) -> None:
        """Store the result of a call, and wait for the commit."""
        await self._write(self._finish_work(call, record))
        self.stored_step = True

    async def transact(self, call: Call, work: Callable[[], Attempted]) -> Attempted:
        """Do the work of a transactional step in the transaction that records its result."""

        def write(tx: Transaction) -> Attempted:
            self._leased_run.check(tx)
            attempt = work()
            if isinstance(attempt, CallResult):
                run_writes.finish_call(tx, self._leased_run, call, self._now(call, attempt))
            return attempt

        self.output.settle()
        attempt = await self._write(write)
        self.stored_step = True
        return attempt

    async def ask(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        """Ask the prompts, or find their recorded answers, and return all responses."""
        responses: dict[int, StoredResponse] = {}
        recorded_prompts: dict[int, AnyPrompt] = {}
        interactions: dict[int, UUID] = {}
        new_prompts: list[tuple[OutgoingPrompt, UUID]] = []
        for outgoing_prompt in outgoing_prompts:
            position, entry = outgoing_prompt.call.position, self.recall(outgoing_prompt.call)
            if entry is not None:
                recorded_prompt, mismatch = asked_before(entry, outgoing_prompt)
                self._note(entry, mismatch)
                if recorded_prompt is not None:
                    recorded_prompts[position] = recorded_prompt
            if entry is not None and entry.finished:
                responses[position] = recorded_response(entry)
            elif entry is not None and entry.interaction is not None:
                interactions[position] = entry.interaction
            else:
                interactions[position] = uuid4()
                new_prompts.append((outgoing_prompt, interactions[position]))
        if interactions:
            with self._under_way(*interactions):
                prompts = _new_prompts(new_prompts, await self._resolve_assignments(new_prompts))
                answers = await self._wait_for_people(set(interactions.values()), prompts)
            responses |= {
                position: answers[interaction] for position, interaction in interactions.items()
            }
        for position, recorded_prompt in recorded_prompts.items():
            responses[position] = replace(responses[position], prompt=recorded_prompt)
        return [responses[prompt.call.position] for prompt in outgoing_prompts]

    async def history(self, call: Call, limit: int) -> list[PastMessage]:
        """Return the last messages of the conversation, of the runs that the journal names."""
        entry, run = self.recall(call), self._leased_run.run
        if entry is None:
            runs = await reads.read(ended_runs, run.id, run.conversation_id, limit)
            self.note(call, CallResult(runs))
            return await reads.read(read_messages, runs, limit)
        return await reads.read(read_messages, entry.result, limit, entry.sequence)

    async def wait_for(self, call: Call, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Wait for an arrival, and return it or its timeout."""
        entry = self._journal.recall(call)
        if entry is not None:
            until = entry.result and datetime.fromisoformat(entry.result)
            return await self._outcome(call, until, None, arrivals.expire)
        return await self._outcome(call, _after(timeout), run_writes.begin_wait, arrivals.expire)

    async def run(self, call: Call, child: ChildCall, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Run a child workflow, and return its result or failure."""
        entry = self._journal.recall(call)
        if entry is not None:
            until = entry.result["until"]
            until = until and datetime.fromisoformat(until)
            return await self._outcome(call, until, None, child_runs.expire)
        begin = partial(run_writes.begin_child, child=await self._new_child(child))
        return await self._outcome(call, _after(timeout), begin, child_runs.expire)

    async def _new_child(self, child: ChildCall) -> NewChild:
        """Build a child run that serves the same request and belongs to this run."""
        run, conversation = self._leased_run.run, self._conversation
        offer = await reads.read(workflow_access.find, conversation.owner.id, child.workflow)
        parent_headers = {
            "workflow-parent-id": str(run.id),
            "workflow-parent-name": conversation.workflow,
        }
        headers = {**(self._metadata.get("headers") or {}), **parent_headers, **child.headers}
        id_ = uuid4()
        message = IncomingMessage(
            str(id_),
            child.text,
            client_format=run.client_format,
            metadata={**self._metadata, "headers": headers},
        )
        check_message(conversation.conversation_id, message)
        key = offer.key(conversation=run.conversation_id, owner=conversation.owner.id)
        title = offer.workflow.title if child.title is None else child.title
        return NewChild(id_, key, message, title)

    async def _outcome(
        self,
        call: Call,
        until: datetime | None,
        begin: Callable[..., CallResult | None] | None,
        expire: Callable[[Transaction, RunRecord, Call], CallResult],
    ) -> CallResult:
        """Wait for what others do under the call; begins to, where that is not recorded."""
        run, alone = self._leased_run.run, self._is_alone
        wait = wait_id(run.id, call.position)
        deadline = self.waiting.sleep(call.position, until) if until else nullcontext()
        with self._under_way(call.position), self.waiting.ask({wait}) as came, deadline:
            if begin is not None:
                self.output.settle()
                work = partial(
                    begin, leased_run=self._leased_run, call=call, until=until, alone=alone
                )
                if (before := await self._write(work)) is not None:
                    return before
            seconds = None if until is None else max((until - timezone.now()).total_seconds(), 0)
            await self._rest_for(asyncio.wait([came], timeout=seconds), alone=alone)
            if came.done():
                response = came.result()[wait].response or {}
                return CallResult(response.get("value"), response.get("error"))
        return await self._write(lambda tx: expire(tx, self._leased_run.check(tx), call))

    async def sleep(self, call: Call, until: datetime) -> None:
        """Sleep until a moment, which is journaled."""
        seconds = (until - timezone.now()).total_seconds()
        is_recorded = self._journal.recall(call) is not None
        if is_recorded and seconds <= 0:
            return
        if self.stop is not None:
            self.stop.check_wait(call)
        alone = self._is_alone
        with self._under_way(call.position), self.waiting.sleep(call.position, until):
            if not is_recorded:
                self.output.settle()
                begin = partial(
                    run_writes.begin_sleep,
                    leased_run=self._leased_run,
                    call=call,
                    until=until,
                    alone=alone,
                )
                await self._write(begin)
            await self._rest_for(asyncio.sleep(max(seconds, 0)), alone=alone)
        await self._write(lambda tx: run_writes.awake(tx, self._leased_run))

    def rests_since(self) -> float | None:
        """Return since when (monotonic) all of the run waits; None while any of it goes on."""
        return None if self._slot.busy > 0 else self.waiting.since()

    def rest(self) -> None:
        """Store that the run only waits."""
        self._write(
            partial(
                run_writes.rest,
                leased_run=self._leased_run,
                waits_for=self.waiting.unanswered_interactions,
                wake_at=self.waiting.wake_at,
            )
        )

    def _note(self, entry: Entry, mismatch: str) -> None:
        if mismatch not in ("", entry.difference):
            self._write(
                lambda tx: run_writes.note_difference(tx, self._leased_run, entry.call, mismatch)
            )

    async def _resolve_assignments(
        self, new_prompts: list[tuple[OutgoingPrompt, UUID]]
    ) -> dict[UUID, ResolvedAssignment]:
        """Look up the candidates of the prompts that are for others; free if there are none."""
        owner = self._conversation.owner.id
        return {
            interaction: await reads.read(resolve, outgoing_prompt.assignment, owner)
            for outgoing_prompt, interaction in new_prompts
            if outgoing_prompt.assignment is not None
        }

    async def _wait_for_people(
        self, interactions: set[UUID], new: list[run_writes.NewPrompt]
    ) -> dict[UUID, StoredResponse]:
        alone = self._is_alone
        with self.waiting.ask(interactions) as answers:
            if new:
                self.output.settle()
                # Not awaited: an answer comes after it, and without it the run ends.
                self._write(
                    partial(
                        run_writes.open_interactions,
                        leased_run=self._leased_run,
                        prompts=new,
                        alone=alone,
                    )
                )
            return await self._rest_for(answers, alone=alone)

    @property
    def _is_alone(self) -> bool:
        """True if what begins to wait now is all that the run does."""
        return self.waiting.nothing and self._slot.busy == 1

    async def _rest_for(self, work: Awaitable[T], *, alone: bool) -> T:
        """Await something without holding a place. The last of several that go on at once to wait
        has the row say that the run only waits; `alone` has said so.
        """
        if not alone and self._slot.busy == 1 and not self.waiting.in_a_step:
            self.rest()
        return await self._slot.release_for(work)

    def _finish_work(self, call: Call, record: CallResult) -> Work[None]:
        self.output.settle()
        record = self._now(call, record)
        return lambda tx: run_writes.finish_call(tx, self._leased_run, call, record)

    def _now(self, call: Call, record: CallResult) -> CallResult:
        """Add the present position of its track to a failed result."""
        if not record.error:
            return record
        return replace(record, last_position=self._positions[call.track])


def _after(seconds: float | None) -> datetime | None:
    return None if seconds is None else timezone.now() + timedelta(seconds=seconds)


def _new_prompts(
    outgoing_prompts: list[tuple[OutgoingPrompt, UUID]], assignments: dict[UUID, ResolvedAssignment]
) -> list[run_writes.NewPrompt]:
    """Build the prompts that are asked at once, as they are stored.

    Raises:
        TooLarge: there are too many, or one of them is too long.
    """
    limits = RuntimeSettings.load()
    if len(outgoing_prompts) > limits.MAX_PROMPTS_AT_ONCE:
        limit_text = f"{limits.MAX_PROMPTS_AT_ONCE:,} prompts"
        raise TooLarge("What is asked at once", limit_text, "MAX_PROMPTS_AT_ONCE")
    new_prompts = []
    for outgoing_prompt, interaction in outgoing_prompts:
        stored_prompt = from_json(outgoing_prompt.json)
        if len(outgoing_prompt.json) > limits.MAX_PROMPT:  # with the marks, which do not count
            subject = (
                f"The {type(outgoing_prompt.prompt).__name__} {outgoing_prompt.prompt.text[:50]!r}"
            )
            check_size(subject, stored_prompt, "MAX_PROMPT")
        assignment = assignments.get(interaction)
        new_prompts.append(
            run_writes.NewPrompt(outgoing_prompt.call, stored_prompt, interaction, assignment)
        )
    return new_prompts
