"""An execution of a workflow function: the calls that it makes and their outcomes."""

import threading
from asyncio import CancelledError
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, TypeVar, cast
from weakref import WeakSet

from sessions_app.errors import (
    CalledInStep,
    CalledInThread,
    ChildFailed,
    Gathered,
    NeverAwaited,
    NoRun,
    NothingCame,
    PromptExpired,
    ResultRefused,
    RunEnded,
    StepFailed,
    Unrecorded,
)
from sessions_app.journal.journal import (
    ASK,
    REFUSED,
    Call,
    CallResult,
    JournalRecord,
    describe_arguments,
    read_recorded,
)
from sessions_app.journal.tracks import current_track, place_of
from sessions_app.models import JournalEntry
from sessions_app.prompts import AnyPrompt, Prompt, Response, dump_prompt, on_one_card
from sessions_app.prompts.assignment import PromptAssignment
from sessions_app.storage import clock
from sessions_app.storage.faults import is_fault
from sessions_app.storage.storable import check_size, storable
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows.backend import (
    Attempted,
    Backend,
    ChildCall,
    OutgoingPrompt,
    StoredResponse,
    attempt,
    load_returned,
)
from sessions_app.workflows.history import PastMessage
from sessions_app.workflows.options import BoundFunction, plain
from sessions_app.workflows.steps import (
    Coro,
    ResultType,
    RunningStep,
    name_of,
    off_loop,
    outcome,
    result_type,
    running_step,
)
from sessions_app.workflows.streams import (
    REASONING,
    ReasoningSteps,
    StreamedStep,
    StreamedStepOptions,
)

T = TypeVar("T")
R = TypeVar("R", bound=Response)
Kind = JournalEntry.Kind


class Execution:
    """An execution of a workflow function, on which the author's `Context` is built.

    The methods for a context's calls immediately check that the run may make calls, and return an
    awaitable.
    """

    def __init__(self, backend: Backend, builder: object) -> None:
        self.backend = backend
        self._builder = builder
        self._thread = threading.get_ident()
        # The highest position of a call so far.
        self.position = 0
        # Number of calls by track. `has_tracks` is true if gathered coroutines have tracks beside
        # the track of the workflow itself ("").
        self.calls: Counter[str] = Counter({"": 0})
        self.has_tracks = False
        self.is_evicted = self._has_ended = self._is_closed = False
        self._streams: WeakSet[StreamedStep] = WeakSet()
        # Visible steps with the reasoning that the workflow yields, under the unused position 0.
        self.reasoning = ReasoningSteps(backend, Call(0, "yield", "reasoning"), REASONING)
        # Coroutines that calls have returned, which the workflow must await.
        self._expected: deque[tuple[Coro[object], str]] = deque()
        self._shown_texts: list[str] = []
        # The reason why a step or call could not be recorded. Each later call raises this error
        # again, so that the run goes on at that step or call once the workflow's code is fixed.
        self.mistake: Unrecorded | None = None

    @property
    def builder(self) -> object:
        """The result of the workflow's builder; see `Context.builder`."""
        if self._is_closed:
            raise RunEnded
        return self._builder

    def check_awaited(self) -> None:
        """Check at the end of the workflow that all coroutines of its calls were awaited.

        Raises:
            NeverAwaited: a coroutine was not awaited.
            Unrecorded: a step could not be recorded.
        """
        unawaited = [
            expected
            for expected in self._expected
            if getcoroutinestate(expected[0]) == CORO_CREATED
        ]
        self._expected.clear()
        for work, _ in unawaited:
            work.close()
        if self.mistake is not None:
            raise self.mistake
        if unawaited:
            raise NeverAwaited(unawaited[0][1])

    def has_shown(self, result: object) -> bool:
        """Return whether streamed steps have just shown this result as their last text."""
        is_text = bool(self._shown_texts and isinstance(result, str) and result)
        return is_text and "".join(self._shown_texts).endswith(str(result))

    @property
    def reads_journal(self) -> bool:
        """True while the workflow reads a recorded stream, whose text is already in the log."""
        return any(stream.is_repeat for stream in self._streams)

    def evict(self) -> None:
        """Evict the unfinished run: calls from its `finally` blocks only raise CancelledError."""
        self.is_evicted = True
        for stream in self._streams:
            stream.forget_reader()

    def interrupt(self) -> None:
        """Record open streams with their pieces so far, because a person stops the run."""
        for stream in self._streams:
            stream.finish_early()

    def end(self) -> None:
        """Make later calls raise `RunEnded`. A step under way may finish."""
        self._has_ended = True
        for stream in self._streams:
            stream.forget_reader()

    def close(self) -> None:
        """Release the builder, because no code of the run is active any more."""
        self.end()
        with suppress(NeverAwaited, Unrecorded):  # close unawaited calls: the run is over
            self.check_awaited()
        self._is_closed = True
        self._builder = None

    def check_own(self, method: str, reason: str) -> None:
        """Raise Gathered if the caller, a method of the context, runs inside of a `gather`."""
        if current_track.get():
            raise Gathered(method, reason)

    def check_may_call(self) -> None:
        """Raise an error if the context permits no call now, for example after the run's end."""
        step = running_step.get()
        if step is not None and step.caller is self:
            step.mistake = self.mistake = CalledInStep(step.name)
        elif threading.get_ident() != self._thread:  # refuse: asyncio is not thread-safe
            self.mistake = CalledInThread()
        if self.mistake is not None:
            raise self.mistake
        if self.is_evicted:
            raise CancelledError("the run is out of memory: this call does nothing")
        if self._has_ended:
            raise RunEnded

    def expect(self, work: Coro[T], description: str) -> Coro[T]:
        """Register a call's coroutine, so that the run fails if the workflow never awaits it."""
        try:
            self.check_may_call()
        except BaseException:
            work.close()
            raise
        while self._expected and getcoroutinestate(self._expected[0][0]) != CORO_CREATED:
            self._expected.popleft()
        self._expected.append((work, description))
        return work

    def is_expected(self, work: object) -> bool:
        """Return whether a call of the context returned this coroutine."""
        return any(work is expected_work for expected_work, _ in self._expected)

    def call(self, kind: Kind, name: str, *arguments: object) -> Call:
        """Create a call with the next position of the current track."""
        return self._next(kind.value, name, describe_arguments(*arguments) if arguments else "")

    def function_call(self, kind: Kind, function: BoundFunction, name: str | None) -> Call:
        """Create a call with the next position, to execute a function."""
        keywords = [function.keywords] if function.keywords else []
        return self.call(kind, name or name_of(function), *function.args, *keywords)

    def _next(self, kind: str, name: str, arguments: str = "") -> Call:
        self.check_may_call()
        for stream in self._streams:
            stream.check_reader()
        self.reasoning.end()
        position, place = self.next_place()
        call = Call(position, kind, storable(name[:200]), arguments, place)
        self.backend.next_call(call)
        self.calls[call.track] += 1
        self.position = max(self.position, position)
        return call

    def next_place(self) -> tuple[int, str]:
        """Return the next call's position in the journal, and its place (track and number)."""
        track = current_track.get()
        number = self.calls[track] + 1
        if not self.has_tracks:
            return number, ""
        place = place_of(track, number)
        return self.backend.position_of(place, self.position), place

    def begin_tracks(self, call: Call, number: int) -> list[str]:
        """Create a track, a separate numbering of calls, for each coroutine of a `gather`."""
        if self.backend.recall(call) is None:
            self.backend.note(call, CallResult())
        tracks = [f"{call.position}.{index}" for index in range(number)]
        self.calls.update(dict.fromkeys(tracks, 0))
        return tracks

    def record_once(self, kind: Kind, draw: Callable[[], object]) -> Any:
        """Return the recorded value of a call; without a record, record a new value of `draw`."""
        call = self.call(kind, kind.value)
        entry = self.backend.recall(call)
        if entry is not None:
            return entry.result
        value = draw()
        self.backend.note(call, CallResult(value))
        return value

    def patched(self, why: str) -> bool:
        """Return whether the run uses a change of the workflow's code, for `Context.patched`."""
        self.check_may_call()
        self.check_own("patched", "which of them is the first may differ in a replay")
        return self.backend.patched(why, self.calls[""])

    def asked_before(self) -> AnyPrompt | None:
        """Return the recorded prompt of the next call, for `Context.asked_before`."""
        self.check_may_call()
        return self.backend.asked_at(self.next_place()[0])

    def show(self, name: str, payload: str) -> None:
        """Show a step with a payload, for `Context.show`."""
        call = self.call(Kind.SHOW, Kind.SHOW.value, name, payload)
        if self.backend.recall(call) is None:
            check_size("What is to be shown", [name, payload], "MAX_SHOWN")
            self.backend.note(call, CallResult(title=name, payload=payload))

    async def ask(
        self, prompts: Sequence[Prompt[R]], assignment: PromptAssignment | None, together: str = ""
    ) -> list[R]:
        """Ask prompts and return their responses, for `Context.ask_all`."""
        for prompt in prompts:
            if not isinstance(prompt, Prompt):
                raise TypeError(
                    "context.ask() takes a prompt, and context.ask_all() a list of them, such as "
                    f'context.ask(TextPrompt(text="Your name?")); {prompt!r:.100} is none'
                )
        if together:
            prompts = on_one_card(prompts, together, self.next_place()[0])
        outgoing_prompts = []
        for prompt in cast("Sequence[AnyPrompt]", prompts):
            if assignment is not None:
                assignment.check_prompt(prompt)
            call = self._next(ASK, prompt.kind)
            outgoing_prompts.append(OutgoingPrompt(call, prompt, dump_prompt(prompt), assignment))
        return list(map(_respond, prompts, await self.backend.ask(outgoing_prompts)))

    async def history(self, limit: int, *, calls: bool) -> list[PastMessage]:
        """Return earlier messages, for `Context.history`."""
        call = self.call(Kind.HISTORY, "history", limit)
        return await self.backend.history(call, limit, calls=calls)

    async def wait_for(self, name: str, seconds: float | None) -> object:
        """Wait for data sent to the run under this name, for `Context.wait_for`."""
        call = self.call(Kind.WAIT, name)
        call_result = self._finished_entry(call) or await self.backend.wait_for(call, seconds)
        if call_result.error is not None:
            raise NothingCame(name)
        return call_result.result

    async def run(self, child: ChildCall, seconds: float | None) -> object:
        """Run a child workflow, for `Context.run`."""
        call = self.call(Kind.RUN, child.workflow, child.message)
        call_result = self._finished_entry(call) or await self.backend.run(call, child, seconds)
        if call_result.error is not None:
            raise ChildFailed.of(child.workflow, call_result.error)
        return read_recorded(partial(load_returned, child.workflow), call_result.result, call)

    async def sleep(self, seconds: float) -> None:
        """Sleep durably, for `Context.sleep`."""
        call = self.call(Kind.SLEEP, "sleep", seconds)
        entry = self.backend.recall(call)
        if entry is None:
            until = clock.now() + timedelta(seconds=seconds)
        else:
            until = datetime.fromisoformat(entry.result)
        await self.backend.sleep(call, until)

    async def step(
        self,
        call: Call,
        function: BoundFunction,
        title: str,
        run: Callable[[], Awaitable[object]],
        *,
        once: bool = False,
    ) -> Any:
        """Await `run`, which calls the function, unless the result is recorded.

        With `once`, a recorded start is enough to prevent the call.
        """
        self.check_may_call()  # check again: the call's coroutine may be awaited inside of a step
        returns = result_type(plain(function.func), call.name)
        entry = self.backend.recall(call)
        if entry is not None and entry.finished:
            return await off_loop(partial(self._recorded, entry, call, returns), entry.result)
        if title and entry is None and not once:
            self.backend.begin(call, title)
        async with self.backend.working(call):
            if once and entry is not None:
                raise await self._fail(call, CallResult.unknown(title))
            if once:
                await self.backend.reserve(call, title)
            running_step = RunningStep(self, call.name)
            try:
                with running_step.inside():
                    result = await run()
                    dump = partial(returns.dump_result, result, call.position)
                    stored = await off_loop(dump, result)
            except ResultRefused as error:
                await self.backend.finish(call, CallResult.refused(error, title))
                raise
            except (Exception, SystemExit) as error:
                if isinstance(error, Unrecorded) or is_fault(error):
                    raise  # not an error of the step's own code: leave no record
                failed = CallResult.of_error(error, title)
                failed = replace(failed, attempts=running_step.attempts)
                raise await self._fail(call, failed) from error
            record = replace(outcome(stored, title), attempts=running_step.attempts)
            await self.backend.finish(call, record)
        return await off_loop(partial(returns.load, stored), stored)

    def _recorded(self, entry: JournalRecord, call: Call, returns: ResultType) -> Any:
        """Return the recorded result of a step, or raise its error."""
        if entry.error is None:
            return read_recorded(returns.load, entry.result, call)
        if REFUSED not in entry.error:
            raise StepFailed.of(call.name, entry.error)
        try:
            return returns.load_refused(entry)
        except ResultRefused as error:
            self.mistake = error  # ends the run even if workflow code catches the error
            raise

    async def _fail(self, call: Call, failed: CallResult) -> StepFailed:
        """Record the failure of a step, and return the error for the caller to raise."""
        await self.backend.finish(call, failed)
        return StepFailed.of(call.name, failed.error or {})

    async def transactional_step(self, call: Call, function: BoundFunction, title: str) -> Any:
        """Call the function in a transaction of the backend, unless its result is recorded."""
        self.check_may_call()  # check again: the call's coroutine may be awaited inside of a step
        returns = result_type(plain(function.func), call.name)
        call_result: JournalRecord | Attempted | None = self._finished_entry(call)
        if call_result is None:
            async with self.backend.working(call):
                running_step = RunningStep(self, call.name)
                work = partial(attempt, function, returns, title, running_step)
                # The writer's thread executes the work, with the context variables of the run.
                call_result = await self.backend.transact(call, partial(copy_context().run, work))
        if isinstance(call_result, Unrecorded):
            raise call_result
        if call_result.error is not None:
            raise StepFailed.of(call.name, call_result.error)
        return read_recorded(returns.load, call_result.result, call)

    def stream(
        self, call: Call, function: BoundFunction, options: StreamedStepOptions
    ) -> StreamedStep:
        """Create a streamed step, whose pieces the workflow reads by a `Stream`."""
        running_step = RunningStep(self, call.name)
        step = StreamedStep(self.backend, call, function, options, self._show_output, running_step)
        self._streams.add(step)
        return step

    async def _show_output(self, text: str, *, is_repeat: bool) -> None:
        self._shown_texts.append(text)
        await self.backend.show_output(text, is_repeat=is_repeat)

    def _finished_entry(self, call: Call) -> JournalRecord | None:
        """Return the entry of the call if it is finished."""
        entry = self.backend.recall(call)
        return entry if entry is not None and entry.finished else None


async def store(work: Callable[[Transaction], None]) -> None:
    """Write rows of the run other than its journal, from code inside a step of the run.

    Raises:
        NoRun: this code is not part of a run's step.
        NotImplementedError: the run is a script's, and has no rows.
    """
    step = running_step.get()
    if step is None or not isinstance(step.caller, Execution):
        raise NoRun
    await step.caller.backend.store(work)


def _respond(asked_prompt: Prompt[R], stored_response: StoredResponse) -> R:
    # If the code asks a different prompt by now, interpret the answer by the recorded prompt, which
    # the person has seen.
    prompt = cast("Prompt[R]", stored_response.prompt or asked_prompt)
    if stored_response.response is None:
        raise PromptExpired(prompt.text)
    return prompt.respond(
        stored_response.response,
        by=stored_response.by,
        at=stored_response.at,
        is_default=stored_response.is_default,
        votes=prompt.votes_in(stored_response.response),
    )
