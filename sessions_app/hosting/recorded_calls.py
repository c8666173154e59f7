"""The backend of a hosted run's context, which records the run's calls in its journal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from django.db import Error
from pydantic_core import from_json

from sessions_app.conversations import arrivals, child_runs, workflow_access
from sessions_app.conversations.child_runs import NewChild
from sessions_app.conversations.messages import IncomingMessage, check_message
from sessions_app.errors import TooLarge
from sessions_app.hosting import run_writes
from sessions_app.hosting.lease import LeaseFreshness
from sessions_app.hosting.run_in_memory import RunInMemory
from sessions_app.hosting.run_limits import RunLimits
from sessions_app.hosting.run_selection import StartedRun
from sessions_app.hosting.run_states import RunEvent
from sessions_app.hosting.waiting import RunWaits
from sessions_app.interactions.assigning import resolve
from sessions_app.journal.journal import Call, CallResult, JournalRecord
from sessions_app.journal.stop_point import StopPoint
from sessions_app.prompts import AnyPrompt
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import clock, reads
from sessions_app.storage.connections import close_broken
from sessions_app.storage.faults import is_fault
from sessions_app.storage.records import RunRecord
from sessions_app.storage.storable import check_size
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows.backend import (
    Attempted,
    ChildCall,
    OutgoingPrompt,
    RecordedBackend,
    StoredResponse,
    asked_before,
    recorded_response,
)
from sessions_app.workflows.concurrency import Slot
from sessions_app.workflows.history import PastMessage, ended_runs, read_messages


class RecordedCalls(RecordedBackend):
    """The backend of the context of one run in memory; see `Backend`."""

    def __init__(
        self,
        started_run: StartedRun,
        run: RunInMemory,
        freshness: LeaseFreshness,
        *,
        replay_everywhere: bool = False,
    ) -> None:
        super().__init__(started_run.journal, started_run.stop)
        self._run, self._leased_run = run, run.leased_run
        self._conversation, self._metadata = started_run.conversation, started_run.metadata
        self._freshness = freshness
        self._replay_everywhere = replay_everywhere
        self._limits = RunLimits(run)
        self.waits = RunWaits(run)
        # True once this execution has reached the clean-up of a stopped run.
        self._cleans_up = False
        # Position of each track's last call, in the workflow's own code or a gathered coroutine.
        self._positions: dict[str, int] = {}
        # True once a step of this execution has ended and is stored.
        self._stored_step = False

    def attach(self, slot: Slot) -> None:
        """Set the slot that the run releases while waiting."""
        self.waits.slot = slot
        self._limits.limit_time(slot)

    def add_active(self, change: int) -> None:
        """Change the number of working coroutines; when it falls to 0, store that the run waits."""
        self.waits.add_active(change)

    def stop_behind(self, position: int, calls: Mapping[str, int]) -> StopPoint:
        """Set the run's stop point after all calls that are recorded or made; return this point."""
        self.stop = StopPoint.behind(self._journal, position, calls)
        return self.stop

    def next_call(self, call: Call) -> None:
        """Note the next call, enforce the limit of calls, and begin clean-up after a stop point."""
        self._positions[call.track] = call.position
        if call.position > self._journal.last_position:
            self._limits.check_calls(call.position)
        if self.stop is not None and self.stop.has_passed(call) and not self._cleans_up:
            self._cleans_up = True
            stop = self.stop.model_dump(mode="json")
            self._run.output.flush()
            self._run.record(run_writes.clean_up, stop=stop)

    @contextmanager
    def _under_way(self, *positions: int) -> Iterator[None]:
        """Note these calls as interrupted if the run is stopped during the block."""
        try:
            yield
        except asyncio.CancelledError:
            if self.stop is not None:
                self.stop.note_cut(*positions)
            raise

    def patched(self, why: str, calls: int) -> bool:
        """Return whether the run has the patch (a code change); store a patch at its first use."""
        is_patched = self._journal.patched(why, calls)
        if is_patched is None:
            patches = self._journal.patches = {**self._journal.patches, why: calls}
            self._run.record(run_writes.patch, patches)
        return is_patched is not False

    def is_replayed(self, calls: int) -> bool:
        """Return whether an earlier execution put out the text after this number of calls."""
        return calls < self._journal.output_replayed_until

    async def show_output(self, text: str, *, is_repeat: bool) -> None:
        """Count the text against the limit of output, and emit the text unless it is a repeat."""
        self._limits.count_output(text)
        if not is_repeat:
            await self._run.output.emit(text)

    def is_unreplayed(self) -> bool:
        """Return whether a test must replay the run, as this execution has recorded new calls."""
        if not self._replay_everywhere or self._run.runner is None:
            return False
        calls, recorded_calls = self._run.runner.execution.calls, self._journal.calls
        return self._stored_step or any(
            calls[track] > recorded_calls.get(track, 0) for track in calls
        )

    @asynccontextmanager
    async def working(self, call: Call) -> AsyncIterator[None]:
        """Wait until the lease is confirmed, and count a step as under way during the block."""
        await self._freshness.wait_fresh()
        try:
            with self._under_way(call.position), self.waits.stepping():
                yield
        except Error as error:
            if not is_fault(error):
                raise
            await close_broken()
            self._run.apply_error(error)
            # Cancel, because workflow code could convert a database error to an error of its own.
            raise asyncio.CancelledError from error
        finally:
            self._end_step()

    def _end_step(self) -> None:
        if self.waits.has_step:  # only the end of the last step goes on
            return
        # All steps are stored, so a replay will not run them again: the run may be evicted now.
        self._run.apply(RunEvent.STEPS_OVER)
        if self._stored_step and self.is_unreplayed():
            self._run.apply(RunEvent.REPLAY)

    def begin(self, call: Call, title: str) -> None:
        """Store the start of a step, after the text that the run has put out before the step."""
        self._run.output.flush()
        self._run.record(run_writes.begin_step, call, title)

    async def store(self, work: Callable[[Transaction], None]) -> None:
        """Write rows of the run that are not part of its journal, and wait for the commit."""

        def write(tx: Transaction) -> None:
            self._leased_run.check(tx)
            work(tx)

        await self._run.write(write)

    async def reserve(self, call: Call, title: str) -> None:
        """Store the start of a step, and wait for the commit."""
        self._run.output.flush()
        await self._run.record(run_writes.begin_step, call, title)

    def show_part(self, call: Call, number: int, title: str, payload: str | None) -> None:
        """Store an event that shows a part of a call to people, as a separate step."""
        self._run.output.put()  # not `flush()`: later text may continue the same piece
        self._run.record(run_writes.show_part, call, number=number, title=title, payload=payload)

    def note(self, call: Call, record: CallResult) -> None:
        """Store the result of a call without waiting for the commit."""
        self._finish(call, record)

    async def finish(self, call: Call, record: CallResult) -> None:
        """Store the result of a call, and wait for the commit."""
        await self._finish(call, record)
        self._stored_step = True

    async def transact(self, call: Call, work: Callable[[], Attempted]) -> Attempted:
        """Do the work of a transactional step in the transaction that records the result."""

        def write(tx: Transaction) -> Attempted:
            self._leased_run.check(tx)
            attempt = work()
            if isinstance(attempt, CallResult):
                run_writes.finish_call(tx, self._leased_run, call, self._now(call, attempt))
            return attempt

        self._run.output.flush()
        attempt = await self._run.write(write)
        self._stored_step = True
        return attempt

    async def ask(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        """Ask the prompts, or find the recorded answers, and return all responses."""
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
                prompts = await self._new_prompts(new_prompts)
                answers = await self.waits.ask(set(interactions.values()), prompts)
            responses |= {
                position: answers[interaction] for position, interaction in interactions.items()
            }
        for position, recorded_prompt in recorded_prompts.items():
            responses[position] = replace(responses[position], prompt=recorded_prompt)
        return [responses[prompt.call.position] for prompt in outgoing_prompts]

    async def history(self, call: Call, limit: int, *, calls: bool) -> list[PastMessage]:
        """Return the last messages of the conversation, from the runs that the journal names."""
        entry, run = self.recall(call), self._leased_run.run
        if entry is None:
            runs = await reads.read(ended_runs, run.id, run.conversation_id, limit)
            self.note(call, CallResult(runs))
            return await reads.read(read_messages, runs, limit, calls=calls)
        return await reads.read(read_messages, entry.result, limit, entry.sequence, calls=calls)

    async def wait_for(self, call: Call, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Wait for an arrival, and return the arrival or its timeout."""
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
        """Build a child of this run, with the metadata of the same request."""
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
        return NewChild(id_, key, message, title, conversation.owner.id)

    async def _outcome(
        self,
        call: Call,
        until: datetime | None,
        begin: Callable[..., CallResult | None] | None,
        expire: Callable[[Transaction, RunRecord, Call], CallResult],
    ) -> CallResult:
        """Wait for an arrival or the end of a child run; `begin` records a new call first."""
        with self._under_way(call.position):
            result = await self.waits.settlement(call, until, begin)
        if result is not None:
            return result
        return await self._run.write(lambda tx: expire(tx, self._leased_run.check(tx), call))

    async def sleep(self, call: Call, until: datetime) -> None:
        """Sleep until a moment that the journal records."""
        is_recorded = self._journal.recall(call) is not None
        if is_recorded and until <= clock.now():
            return
        if self.stop is not None:
            self.stop.check_wait(call)
        with self._under_way(call.position):
            await self.waits.sleep(call, until, is_recorded=is_recorded)
        await self._run.record(run_writes.mark_awake)

    def _note(self, entry: JournalRecord, mismatch: str) -> None:
        if mismatch not in ("", entry.difference):
            self._run.record(run_writes.note_difference, entry.call, mismatch)

    async def _new_prompts(
        self, outgoing_prompts: list[tuple[OutgoingPrompt, UUID]]
    ) -> list[run_writes.NewPrompt]:
        """Build the prompts of one `ask` in their stored form, with their candidates."""
        owner, limits = self._conversation.owner.id, RuntimeSettings.load()
        if len(outgoing_prompts) > limits.MAX_PROMPTS_AT_ONCE:
            limit_text = f"{limits.MAX_PROMPTS_AT_ONCE:,} prompts"
            raise TooLarge("What is asked at once", limit_text, "MAX_PROMPTS_AT_ONCE")
        new_prompts = []
        for outgoing, interaction in outgoing_prompts:
            stored_prompt = from_json(outgoing.json)
            if len(outgoing.json) > limits.MAX_PROMPT:  # perhaps too long: count exactly
                subject = f"The {type(outgoing.prompt).__name__} {outgoing.prompt.text[:50]!r}"
                check_size(subject, stored_prompt, "MAX_PROMPT")
            resolved = None
            if outgoing.assignment is not None:
                resolved = await reads.read(resolve, outgoing.assignment, owner)
            stored_form = (stored_prompt, outgoing.json.decode())
            new_prompts.append(
                run_writes.NewPrompt(outgoing.call, *stored_form, interaction, resolved)
            )
        return new_prompts

    def _finish(self, call: Call, record: CallResult) -> "asyncio.Future[None]":
        self._run.output.flush()
        return self._run.record(run_writes.finish_call, call, self._now(call, record))

    def _now(self, call: Call, record: CallResult) -> CallResult:
        """Add to the result of a failed call the position of the latest call in the same track."""
        if not record.error:
            return record
        return replace(record, last_position=self._positions[call.track])


def _after(seconds: float | None) -> datetime | None:
    return None if seconds is None else clock.now() + timedelta(seconds=seconds)
