"""Recorded runs as files, and their replay against the current code, without side effects.

A replay executes workflow code; each call of its context returns the recorded outcome.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, Self
from uuid import UUID

from django.utils import timezone
from pydantic import BaseModel, ConfigDict

from sessions_app.errors import NotReplayable, SessionsError
from sessions_app.journal.journal import Call, CallResult, Journal, JournalRecord, line_of
from sessions_app.journal.stop_point import StopPoint
from sessions_app.json_types import JsonObject
from sessions_app.models import JournalEntry, Run, attached_files
from sessions_app.models.people import Person
from sessions_app.pool.workflow_pool import WorkflowPool
from sessions_app.storage import reads
from sessions_app.workflows import registry
from sessions_app.workflows.backend import (
    Attempted,
    ChildCall,
    OutgoingPrompt,
    RecordedBackend,
    StoredResponse,
    asked_before,
    recorded_response,
)
from sessions_app.workflows.context import Message
from sessions_app.workflows.history import PastMessage, read_messages
from sessions_app.workflows.request_context import RequestContext

# Timeout in seconds of a replay; calls of the context take no time, or never return.
RUN_TIMEOUT = 10.0
# A replay counts as finished after so many rounds of the event loop without a new call.
ROUNDS = 50


class RunHistory(BaseModel):
    """A run's recorded history, as `manage.py export_history` writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    recorded_at: datetime
    run: UUID
    status: str
    workflow: str
    version: int
    patches: dict[str, int]
    text: str
    client_format: str
    message_id: str
    conversation_id: str
    user: Person
    metadata: JsonObject
    # The last call before the run was stopped by a person, if clean-up calls followed.
    stop: StopPoint | None = None
    journal: list[JournalRecord]
    # Results of `context.history` calls, by position.
    past: dict[int, list[PastMessage]]

    @classmethod
    def of(cls, run: UUID) -> Self:
        """Read the history of a run in its current state.

        Raises:
            Run.DoesNotExist: there is no run of that id.
        """
        row = Run.objects.select_related("conversation__owner").get(pk=run)
        journal = Journal.load(row.id).entries
        return cls(
            recorded_at=timezone.now(),
            run=row.id,
            status=row.status,
            workflow=row.workflow,
            version=row.version or 1,
            patches=row.patches or {},
            text=row.text,
            client_format=row.client_format,
            message_id=row.message_id,
            conversation_id=row.conversation.conversation_id,
            user=Person.of(row.conversation.owner),
            metadata=row.metadata,
            stop=None if row.stop_point is None else StopPoint.model_validate(row.stop_point),
            journal=journal,
            past={
                entry.call.position: read_messages(
                    entry.result, 2 * len(entry.result), entry.sequence, calls=True
                )
                for entry in journal
                if entry.call.kind == JournalEntry.Kind.HISTORY
            },
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay. `problem` is the reason why the run could not continue, or "".

    `differences`: harmless differences from the record.
    """

    history: RunHistory
    problem: str
    differences: list[str]


async def replay_history(file: Path | str) -> list[str]:
    """Replay a file of `manage.py export_history`, with the workflow as declared now.

    No step is executed and nothing is stored; builders are built. Returns the harmless differences
    from the record.

    Raises:
        NotReplayable: the run would be suspended, or fail; says why.
        pydantic.ValidationError: the file is not a history.
    """
    history = RunHistory.model_validate_json(await asyncio.to_thread(Path(file).read_bytes))
    pool = await WorkflowPool(registry.resolve(history.workflow, None, None)).build()
    try:
        result = await replay(history, pool)
    finally:
        await pool.shutdown()
    if result.problem:
        raise NotReplayable(result.problem)
    return result.differences


async def replay(history: RunHistory, pool: WorkflowPool) -> Replay:
    """Execute the workflow with recorded outcomes, until it ends or makes an unrecorded call."""
    backend = ReplayBackend(history)
    problem = ""
    try:
        await _execute(history, pool, backend)
    except SessionsError as error:
        problem = _with_line(str(error), backend.mismatch or error)
    except Exception as error:  # noqa: BLE001 - workflow code may raise anything
        problem = _with_line(f"The workflow raises {type(error).__name__}: {error}.", error)
    return Replay(history, problem, backend.differences)


async def replay_all(runs: Iterable[UUID]) -> AsyncIterator[Replay]:
    """Replay these runs in their current state, one after the other."""
    pools: dict[str, WorkflowPool | SessionsError] = {}
    try:
        for run in runs:
            try:
                history = await reads.read(RunHistory.of, run)
            except Run.DoesNotExist:  # skip a run deleted since the list was made
                continue
            name = history.workflow
            if name not in pools:
                try:  # build the workflow's builder, as a host does
                    pools[name] = await WorkflowPool(registry.get(name)).build()
                except SessionsError as error:
                    pools[name] = error
            pool = pools[name]
            if isinstance(pool, SessionsError):
                yield Replay(history, str(pool), [])
            else:
                yield await replay(history, pool)
    finally:
        for pool in pools.values():
            if isinstance(pool, WorkflowPool):
                await pool.shutdown()


class ReplayBackend(RecordedBackend):
    """A backend that answers calls from a recorded journal; calls without an outcome never return.

    No step is executed, nothing is stored.
    """

    def __init__(self, history: RunHistory) -> None:
        stop = history.stop and history.stop.model_copy(deep=True)
        entries = {entry.call.position: entry for entry in history.journal}
        super().__init__(Journal(entries, history.patches), stop)
        self._history = history
        # Descriptions of harmless differences from the record.
        self.differences: list[str] = []
        # `calls`: number of calls so far. `stands`: True if one of these calls waits for ever.
        self.calls = 0
        self.is_blocked = False

    def next_call(self, call: Call) -> None:
        """Raise CancelledError at the call where the recorded run was stopped."""
        if self.stop is not None:
            self.stop.has_passed(call)

    def recall(self, call: Call) -> JournalRecord | None:
        """Return the recorded entry of a call, and count the call."""
        self.calls += 1
        return super().recall(call)

    def is_beyond(self, calls: Mapping[str, int]) -> bool:
        """Return whether all recorded calls are made, given the number of calls made by track."""
        return self._journal.first_beyond(calls) is None

    def patched(self, why: str, calls: int) -> bool:
        """Return whether the recorded run has the named code change, at this number of calls."""
        return self._journal.patched(why, calls) is not False

    @asynccontextmanager
    async def working(self, call: Call) -> AsyncIterator[None]:
        """Wait for ever: a replay executes no step."""
        await self._wait_forever()
        yield

    async def transact(self, call: Call, work: Callable[[], Attempted]) -> Attempted:
        """Raise AssertionError: `working` waits for ever, so no step gets here."""
        raise AssertionError("its `working` stands for ever")

    async def ask(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        """Return the recorded responses if they are complete, else wait for ever."""
        responses: list[StoredResponse] = []
        for outgoing_prompt in outgoing_prompts:
            entry = self.recall(outgoing_prompt.call)
            if entry is None:
                continue
            prompt, mismatch = asked_before(entry, outgoing_prompt)
            self._note(entry, mismatch)
            if entry.finished:
                responses.append(replace(recorded_response(entry), prompt=prompt))
        if len(responses) < len(outgoing_prompts):
            await self._wait_forever()
        return responses

    async def history(self, call: Call, limit: int, *, calls: bool) -> list[PastMessage]:
        """Return the earlier messages that the recorded call returned."""
        if self.recall(call) is None:
            await self._wait_forever()
        past = self._history.past[call.position]
        if not calls:
            past = [replace(one, calls=()) for one in past if one.text or not one.calls]
        return past[-limit:] if limit else []

    async def wait_for(self, call: Call, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Wait for ever: no data arrive that are not recorded."""
        await self._wait_forever()
        raise AssertionError("it stands for ever")

    async def run(self, call: Call, child: ChildCall, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Wait for ever: a child run without a recorded end never ends."""
        await self._wait_forever()
        raise AssertionError("it stands for ever")

    async def sleep(self, call: Call, until: datetime) -> None:
        """Return if the sleep was over when the history was recorded; else wait for ever."""
        if self._journal.recall(call) is None or until > self._history.recorded_at:
            await self._wait_forever()

    async def _wait_forever(self) -> None:
        """Wait for ever, on a future that nothing sets."""
        self.is_blocked = True
        await asyncio.get_running_loop().create_future()

    def _note(self, entry: JournalRecord, mismatch: str) -> None:
        if mismatch:
            self.differences.append(f"position {entry.call.position}, {entry.call}: {mismatch}")


async def _execute(history: RunHistory, pool: WorkflowPool, backend: ReplayBackend) -> None:
    files = attached_files(history.metadata)
    message = Message(history.text, history.client_format, history.message_id, files)
    request = RequestContext.of_stored(
        history.metadata,
        history.user,
        conversation_id=history.conversation_id,
        user_message_id=history.message_id,
    )
    async with (
        pool.open(request) as opened,
        opened.run(opened.run_info(message, str(history.run)), backend, history.version) as runner,
    ):

        async def execute() -> None:
            async with aclosing(runner.result_stream(to_type=str)) as chunks:
                async for _ in chunks:
                    pass

        task = asyncio.create_task(execute())
        try:
            await _wait_until_blocked(task, backend)
            calls, is_over = dict(runner.execution.calls), task.done()
        finally:
            runner.execution.end()
            task.cancel()
            await asyncio.wait([task], timeout=RUN_TIMEOUT)
        if backend.mismatch is not None:
            raise backend.mismatch
        if not is_over:
            return
        error = None if task.cancelled() or history.stop else task.exception()
        if error is None:
            backend.check_complete(calls)
        elif history.status != Run.Status.FAILED or not backend.is_beyond(calls):
            raise error


async def _wait_until_blocked(task: "asyncio.Task[None]", backend: ReplayBackend) -> None:
    """Wait until the replay has ended, or makes no more calls.

    Raises:
        NotReplayable: the workflow waits for something other than calls of its context.
    """
    until, blocked_rounds, calls = time.monotonic() + RUN_TIMEOUT, 0, 0
    while blocked_rounds < ROUNDS and backend.mismatch is None and not task.done():
        if time.monotonic() > until:
            raise NotReplayable(
                f"For {RUN_TIMEOUT:.0f} s the workflow has made only calls that are recorded. Put "
                "what waits for something else into a step."
            )
        await asyncio.sleep(0 if backend.is_blocked else 0.001)
        blocked_rounds = blocked_rounds + 1 if backend.is_blocked and backend.calls == calls else 0
        calls = backend.calls


def _with_line(problem: str, error: BaseException) -> str:
    line = line_of(error)
    return f"{problem} At {line}." if line else problem
