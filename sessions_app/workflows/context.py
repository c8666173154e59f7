"""What a workflow may call: everything that must survive a crash goes through its context."""

import random
from asyncio import CancelledError
from collections import Counter, deque
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from typing import Any, Literal, TypeVar, cast
from weakref import WeakSet

from django.utils import timezone

from sessions_app.errors import (
    CalledInStep,
    ChildFailed,
    Gathered,
    NeverAwaited,
    NoRun,
    NothingCame,
    PromptExpired,
    RunEnded,
    StepFailed,
    Unrecorded,
)
from sessions_app.journal.journal import ASK, Call, CallResult, Entry, described
from sessions_app.journal.tracks import current_track, place_of
from sessions_app.models import AttachedFile, JournalEntry
from sessions_app.prompts import Prompt, Response, dump_prompt, on_one_card
from sessions_app.prompts.assignment import Assignment, Escalation, To, make_assignment
from sessions_app.storage.faults import is_fault
from sessions_app.storage.storable import check_size, storable
from sessions_app.workflows.backend import Asked, Backend, StoredResponse
from sessions_app.workflows.callbacks import callback_url
from sessions_app.workflows.child_calls import ChildCall, load_returned
from sessions_app.workflows.gathering import Work, gather
from sessions_app.workflows.history import PastMessage
from sessions_app.workflows.options import NOT_GIVEN, given_options, plain
from sessions_app.workflows.request_context import RequestMetadata
from sessions_app.workflows.run_info import AuthCallback, Message, RunInfo
from sessions_app.workflows.steps import (
    Retry,
    RunningStep,
    execute,
    name_of,
    piece_type,
    result_type,
    running_step,
    shown,
)
from sessions_app.workflows.streams import Stream, StreamedStep, StreamOptions
from sessions_app.workflows.trace import Trace
from sessions_app.workflows.transactional_steps import Attempted, attempt, check_plain

T = TypeVar("T")
R = TypeVar("R", bound=Response)
Kind = JournalEntry.Kind


class Context:
    """The second argument of a workflow.

    Calls take positions in the order in which they are made, and replay compares them by position;
    so make them in an order that does not depend on time, chance or outside data.
    """

    def __init__(self, info: RunInfo, backend: Backend) -> None:
        # A `Message` where it is a text, else as it was given to the run.
        self.message: Any = info.message
        self.user = info.request.user
        self.conversation_id = info.request.conversation_id
        message_id = info.message.id if isinstance(info.message, Message) else ""
        self.user_message_id = info.request.user_message_id or message_id
        self.run_id = info.run_id
        self.metadata: RequestMetadata = info.request.metadata
        self.options: Any = info.options
        self.runtime_type = info.runtime_type
        self.user_auth_callback: AuthCallback = info.authenticate
        # The caller's name for this run where it gave one.
        self.workflow_run_id = info.request.workflow_run_id or info.run_id
        self.workflow_parent_id, self.workflow_parent_name = info.parent
        self.trace = Trace.of_run(self.run_id, info.request.trace)
        self._user_id = info.request.user_id
        self._builder = info.builder
        self._backend = backend
        # The highest of its calls.
        self.position = 0
        # How many calls each track has made; and whether there are others than the workflow's own.
        self.calls: Counter[str] = Counter({"": 0})
        self._has_tracks = False
        self._ended = self._closed = self._left = False
        self._streams: WeakSet[StreamedStep] = WeakSet()
        # What calls have given to the workflow, which is to await it.
        self._expected: deque[tuple[Coroutine[Any, Any, Any], str]] = deque()
        self._put_out_texts: list[str] = []
        # What a step could not be recorded for. The run is to go on with that step, once its code
        # is mended, so each later call raises it again.
        self.mistake: Unrecorded | None = None

    @staticmethod
    def get() -> "Context":
        """The context of the run that this code is part of.

        Raises:
            NoRun: it is part of none.
        """
        context = current_context.get()
        if context is None:
            raise NoRun
        return context

    @property
    def input_message(self) -> Any:
        """What the run was given: a text, or another value that the workflow takes."""
        return self.message.text if isinstance(self.message, Message) else self.message

    @property
    def files(self) -> tuple[AttachedFile, ...]:
        """What the person attached to the message; a child has its parent's."""
        return self.message.files if isinstance(self.message, Message) else ()

    @property
    def user_id(self) -> str:
        """The user's id as text; empty where nobody is identified."""
        return self._user_id

    @property
    def workflow_trace_id(self) -> int:
        """The id of the trace that the run belongs to, 128 bits; replay has the same."""
        return self.trace.trace_id

    @property
    def user_interaction_manager(self) -> "UserInteractionManager":
        """Asks people."""
        return UserInteractionManager(self)

    @property
    def builder(self) -> Any:
        """What the workflow's builder made; None if it has none.

        Raises:
            RunEnded: the run is over, and the builder may be closed.
        """
        if self._closed:
            raise RunEnded
        return self._builder

    def check_awaited(self) -> None:
        """The workflow has come to its end, one way or the other.

        Raises:
            NeverAwaited: it has not awaited what a call gave it.
            Unrecorded: a step of it could not be recorded.
        """
        forgotten = [one for one in self._expected if getcoroutinestate(one[0]) == CORO_CREATED]
        self._expected.clear()
        for work, _ in forgotten:
            work.close()
        if self.mistake is not None:
            raise self.mistake
        if forgotten:
            raise NeverAwaited(forgotten[0][1])

    def has_put_out(self, result: Any) -> bool:
        """Whether this is the end of what streams have put out, so that people have it."""
        texts = self._put_out_texts
        return bool(texts and isinstance(result, str) and result) and "".join(texts).endswith(
            result
        )

    def leave(self) -> None:
        """The run is taken out of memory, and is not over: what its code calls while it is unwound
        does nothing, and raises its cancellation again.
        """
        self._left = True
        for stream in self._streams:
            stream.abandon()

    def interrupt(self) -> None:
        """A person stops the run: what streams gave so far is all that they ever give."""
        for stream in self._streams:
            stream.leave()

    def end(self) -> None:
        """The run is over; later calls raise `RunEnded`. A step under way may come to its end."""
        self._ended = True
        for stream in self._streams:
            stream.abandon()

    def close(self) -> None:
        """Nothing of the run is under way any more; its builder is given back."""
        self.end()
        with suppress(NeverAwaited, Unrecorded):  # it had no chance to await it
            self.check_awaited()
        self._closed = True
        self._builder = None

    def step(
        self,
        function: Callable[..., Awaitable[T]] | Callable[..., T],
        /,
        *args: Any,
        title: str | None = NOT_GIVEN,
        name: str | None = NOT_GIVEN,
        retry: Retry | None = NOT_GIVEN,
        timeout: float | None = NOT_GIVEN,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, T]:
        """Run the function once, and have its result ever after.

        A plain function runs in a thread. The result must have a JSON form; the function's return
        annotation says how it is read back. A crash before the result is stored runs it again.

        Arguments by keyword that are not known beforehand, such as those that a model chooses for a
        tool, belong into a `functools.partial`, where no option has their names.

        Args:
            title: shows the step on the page, with its result.
            name: what replay knows it by; else the function's own name.
            retry: tries again when it raises.
            timeout: seconds that a try may take, after which it raises `TimeoutError`. One in a
                thread is left to itself then: nothing ends a thread.

        Raises:
            StepFailed: it raised, after all retries, or its result is longer than MAX_STEP_RESULT
                (`TooLarge`); recorded, so replay raises it too.
            NotJson: its result cannot be stored.
            AmbiguousOption: the function takes an argument that has the name of an option given.
        """
        options = given_options(
            function, args, title=title, name=name, retry=retry, timeout=timeout
        )
        given = partial(function, *args, **kwargs)
        call = self._function_call(Kind.STEP, given, options)
        tried = partial(execute, given, options.get("retry"), options.get("timeout"))
        work = self._step(call, given, options.get("title") or "", tried)
        return self._expect(work, f"Step {call.name}")

    def transactional_step(
        self,
        function: Callable[..., T],
        /,
        *args: Any,
        title: str | None = NOT_GIVEN,
        name: str | None = NOT_GIVEN,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, T]:
        """Have the function write to the database exactly once: what it writes with the ORM is
        committed in the transaction that records its result.

        It is a plain function, and does nothing but read and write the database `default`, quickly:
        others wait for it. It may be called again where the transaction is not committed, with all
        undone. Else it is as `step`.

        Raises:
            StepFailed: it raised, and wrote nothing; recorded, so replay raises it too.
            NotJson: its result cannot be stored; it wrote nothing.
            TypeError: it is no plain function.
            AmbiguousOption: as of `step`.
        """
        options = given_options(function, args, title=title, name=name)
        given = partial(function, *args, **kwargs)
        check_plain(given.func)
        call = self._function_call(Kind.STEP, given, options)
        work = self._transactional_step(call, given, options.get("title") or "")
        return self._expect(work, f"Step {call.name}")

    def stream(  # noqa: PLR0913 - as `ask`
        self,
        function: Callable[..., AsyncIterable[T] | Iterable[T] | Awaitable[AsyncIterable[T]]],
        /,
        *args: Any,
        name: str | None = NOT_GIVEN,
        title: str | None = NOT_GIVEN,
        show: bool = NOT_GIVEN,
        reasoning: str = NOT_GIVEN,
        retry: Retry | None = NOT_GIVEN,
        timeout: float | None = NOT_GIVEN,
        **kwargs: Any,
    ) -> "Stream[T]":
        """Run the function once, and have its pieces as they come; ever after from the journal.

        Texts are put out as text of the run, so the workflow need not yield them; where it does,
        nothing is shown twice. All else that has a JSON form is given to the workflow only. A crash
        before its end runs it again, and takes the cut text back. What is called in the loop must
        not be the context: it comes after the loop. Who leaves the loop ends the step.

        Args:
            name: what the journal calls it, as of a step.
            title: shows the step on the page too.
            show: whether the texts are put out; they are by default.
            reasoning: the title of the steps that show its `Reasoning`, by default that; empty
                shows none.
            retry: tries again when it raises before its first piece.
            timeout: seconds that it may take in all, with all tries.

        Raises:
            StepFailed: it raised, it took too long (`TimeoutError`), or it gave more than
                MAX_STEP_RESULT (`TooLarge`). Recorded with the pieces up to there.
            NotJson: a piece cannot be stored.
            AmbiguousOption: as of `step`.
            Gathered: it is called in a coroutine that `gather` runs.
        """
        self._check_own("stream", "its text would come in an order that replay does not have")
        shown_as = {"title": title, "show": show, "reasoning": reasoning}
        options = given_options(function, args, name=name, retry=retry, timeout=timeout, **shown_as)
        given = partial(function, *args, **kwargs)
        call = self._function_call(Kind.STREAM, given, options)
        options.pop("name", None)
        running, how = RunningStep(self, call.name), StreamOptions(**options)
        step = StreamedStep(self._backend, call, given, how, self._put_out, running)
        self._streams.add(step)
        return Stream(step, piece_type(plain(given.func), call.name))

    def ask(  # noqa: PLR0913 - a declaration, read like a form
        self,
        prompt: Prompt[R],
        *,
        to: To | None = None,
        four_eyes: bool = False,
        share: bool = False,
        votes: int | Literal["all"] = 1,
        due: float | None = None,
        remind: float | Sequence[float] = (),
        escalate: Escalation | Sequence[Escalation] = (),
    ) -> Coroutine[Any, Any, R]:
        """Ask a person, and wait for the answer: minutes or weeks, it costs nothing.

        Args:
            to: who may answer: `user("ann")`, `group("managers")`, `permission("app.approve")`, or
                several of these; None is the owner of the conversation.
            four_eyes: the owner may not, whatever they belong to.
            share: they may read the conversation, as long as it waits for them.
            votes: so many people must give the same answer; "all" of those whom `to` names.
            due: seconds until it should be answered, which sorts inboxes; nothing happens then.
            remind: so many seconds before that, whoever may answer is told again.
            escalate: to whom it goes as well, when nobody has answered after a time.

        Raises:
            PromptExpired: its deadline passed and it declares no default.
            TooLarge: it is longer than MAX_PROMPT.
            UnknownAssignee: `to` or `escalate` names a user or a group that there is not.
            ValueError: the arguments make no sense together.
        """
        assignment = make_assignment(
            to,
            four_eyes=four_eyes,
            share=share,
            votes=votes,
            due=due,
            remind=remind,
            escalate=escalate,
        )
        return self._expect(self._ask(prompt, assignment), f"The question {_quoted([prompt])}")

    def ask_all(
        self, prompts: Sequence[Prompt[R]], *, to: To | None = None, together: str = ""
    ) -> Coroutine[Any, Any, list[R]]:
        """Ask several prompts at once, to be answered in any order; the responses in theirs.

        Args:
            to: as of `ask`, for all of them.
            together: the title of one card that has them all, and one button: it answers all of
                them, or none.

        Raises:
            PromptExpired: one of them expired without a default; the others are settled by then.
            TooLarge: one is longer than MAX_PROMPT, or they are more than MAX_PROMPTS_AT_ONCE.
            ValueError: they cannot be asked together.
        """
        if together:
            prompts = on_one_card(prompts, together, self._next_place()[0])
        assignment = make_assignment(to)
        return self._expect(self._ask_all(prompts, assignment), f"The question {_quoted(prompts)}")

    def history(self, limit: int = 20) -> Coroutine[Any, Any, list[PastMessage]]:
        """The conversation before this run's message, oldest first: the last `limit` messages.

        Those of people, and what runs that are over have said. Replay has the same. In a script
        there are none. As many as have MAX_STEP_RESULT characters together.
        """
        return self._expect(self._history(limit), "The history")

    def wait_for(self, name: str, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Wait for what the world sends under this name (`runs.send`), and return its payload.

        Several under one name are given one after another, in the order in which they came, also if
        that was before. Waiting costs nothing, as with `ask`.

        Raises:
            NothingCame: nothing came within so many seconds; recorded, so replay raises it too.
        """
        return self._expect(self._wait_for(name, timeout), f"The wait for {name!r}")

    def callback_url(self, name: str, id: str = "") -> str:
        """A URL for another site: what is posted there, as JSON, comes to `wait_for(name)`.

        It is signed, and works without signing in, once: what is posted again is thrown away. It is
        the same whenever the workflow makes it.

        Args:
            id: tells several of one name apart.

        Raises:
            ImproperlyConfigured: HITL has no CALLBACKS_URL.
        """
        return callback_url(self.run_id, name, id)

    def run(
        self,
        workflow: str,
        message: Any,
        *,
        title: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Run another workflow that is offered, once, and return what it returns; of one that
        streams, its text.

        It is a run of its own in this conversation: people see what it says, and answer what it
        asks, there. Waiting for it costs nothing, as with `ask`. It is stopped where this run ends
        before it.

        Args:
            message: a text, or what else the workflow takes and has a JSON form.
            title: of the step that shows it on the page; else the workflow's, empty shows none.
            timeout: seconds that it may take in all, the waiting for people included.

        Raises:
            ChildFailed: it failed, was stopped, or took longer than its timeout; recorded, so
                replay raises it too.
            UnknownWorkflow: it is not offered, or not to the conversation's owner.
            Invalid: the message is empty or too long.
        """
        return self._expect(self._run(workflow, message, title, timeout), f"The run of {workflow}")

    def gather(
        self, *calls: Coroutine[Any, Any, Any], return_exceptions: bool = False
    ) -> Coroutine[Any, Any, list[Any]]:
        """Run calls of this context and coroutines of your own at once, and return their results.

        Calls are steps, prompts, waits and runs; results are in the order of the arguments. All
        come to their ends first. Where some fail, the first of them is raised, in the order of the
        arguments, so that replay raises the same. `asyncio.gather` raises what fails first in time,
        and the calls in its coroutines have no order that replay could keep.

        Args:
            return_exceptions: have what one failed with (such as `StepFailed`) in its place, and
                raise none of them.

        Raises:
            TypeError: one is no coroutine.
        """
        try:
            gathered = self._gathered_call(calls)
        except BaseException:
            _close(calls)
            raise
        work = self._gather(calls, gathered, return_exceptions=return_exceptions)
        return self._expect(work, "gather")

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait, durably: a restart does not begin it anew, and a long one holds no memory."""
        return self._expect(self._sleep(seconds), f"The sleep of {seconds} s")

    def now(self) -> datetime:
        """The time, aware; replay has the same."""
        return datetime.fromisoformat(
            self._noted(Kind.NOW, lambda: timezone.now().isoformat()),
        )

    def random(self) -> float:
        """A random number in [0, 1); replay has the same. Not for secrets."""
        number: float = self._noted(Kind.RANDOM, random.random)
        return number

    def patched(self, why: str) -> bool:
        """Whether this run has a change of the workflow's code.

        Runs that come here for the first time have it, those that went by here before do not. So
        old runs go on with the old code:

            if context.patched("book before paying"):
                await context.step(book)

        Args:
            why: names the change; a constant. Where several calls have it, a run has all of it or
                nothing.

        Raises:
            RunEnded: the run is over.
            Gathered: it is called in a coroutine that `gather` runs.
        """
        self._check_runs()
        self._check_own("patched", "which of them is the first may differ in a replay")
        return self._backend.patched(why, self.calls[""])

    def show(self, name: str, payload: str = "") -> None:
        """Show a step on the page that has happened; `payload` is markdown.

        Raises:
            TooLarge: it is longer than MAX_SHOWN.
        """
        call = self._call(Kind.SHOW, Kind.SHOW.value, name, payload)
        if self._backend.recall(call) is None:
            check_size("What is to be shown", [name, payload], "MAX_SHOWN")
            self._backend.note(call, CallResult(title=name, payload=payload))

    def add_usage(self, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Report tokens that a language model took and gave, as its answer says; calls add up.

        OpenAI's clients get the sums as `usage`. A replay does not count them again.

        Raises:
            ValueError: a number is negative.
        """
        if prompt_tokens < 0 or completion_tokens < 0:
            raise ValueError("a number of tokens is negative")
        used = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        self._noted(Kind.USAGE, lambda: used)

    async def _ask(self, prompt: Prompt[R], assignment: Assignment | None) -> R:
        return (await self._ask_all([prompt], assignment))[0]

    async def _ask_all(
        self, prompts: Sequence[Prompt[R]], assignment: Assignment | None
    ) -> list[R]:
        asked = [self._asked(prompt, assignment) for prompt in prompts]
        return list(map(_respond, prompts, await self._backend.ask(asked)))

    async def _history(self, limit: int) -> list[PastMessage]:
        return await self._backend.history(self._call(Kind.HISTORY, "history", limit), limit)

    async def _wait_for(self, name: str, seconds: float | None) -> Any:
        call = self._call(Kind.WAIT, name)
        recorded = self._backend.recall(call)
        done: Entry | CallResult
        if recorded is not None and recorded.finished:
            done = recorded
        else:
            done = await self._backend.wait_for(call, seconds)
        if done.error is not None:
            raise NothingCame(name)
        return done.result

    async def _run(
        self, workflow: str, message: Any, title: str | None, seconds: float | None
    ) -> Any:
        call = self._call(Kind.RUN, workflow, message)
        recorded = self._backend.recall(call)
        done: Entry | CallResult
        if recorded is not None and recorded.finished:
            done = recorded
        else:
            child = ChildCall(workflow, message, title, self.trace.headers)
            done = await self._backend.run(call, child, seconds)
        if done.error is not None:
            raise ChildFailed.of(workflow, done.error)
        return load_returned(workflow, done.result)

    def _gathered_call(self, calls: Sequence[Any]) -> Call | None:
        """Return the call of `gather` itself, which begins tracks for coroutines of the author's.

        None where all are calls of the context: these have their order, and need no tracks.
        """
        strange = [one for one in calls if not iscoroutine(one)]
        if strange:
            raise TypeError(
                "context.gather() takes calls of the context without await, such as "
                f"context.step(…), and coroutines: {strange[0]!r:.100} is none."
            )
        if all(map(self._is_call, calls)):
            return None
        names = [one.__qualname__ for one in calls]
        call = self._call(Kind.GATHER, f"gather of {len(calls)}", *names)
        self._has_tracks = True
        return call

    async def _gather(
        self, calls: Sequence[Work], gathered: Call | None, *, return_exceptions: bool
    ) -> list[Any]:
        here, works = current_track.get(), list[Work]()
        try:
            tracks = [here] * len(calls) if gathered is None else self._begin(gathered, len(calls))
            works = [self._on(track, one) for track, one in zip(tracks, calls, strict=True)]
            return await gather(
                dict(zip(works, tracks, strict=True)),
                self._work_by,
                self._may_cancel,
                return_exceptions=return_exceptions,
            )
        except CancelledError:
            self._backend.have_stopped(here)
            raise
        finally:
            _close([*works, *calls])  # where they had no chance to begin

    def _begin(self, gathered: Call, number: int) -> list[str]:
        if self._backend.recall(gathered) is None:
            self._backend.note(gathered, CallResult())
        tracks = [f"{gathered.position}.{one}" for one in range(number)]
        self.calls.update(dict.fromkeys(tracks, 0))
        return tracks

    async def _on(self, track: str, work: Work) -> Any:
        """Await the work in its track, and check that it made all calls recorded of that track."""
        is_new = track != current_track.get()
        current_track.set(track)
        result = await work
        if is_new:
            self._backend.check_complete({track: self.calls[track]})
        return result

    def _work_by(self, more: int) -> None:
        if not self._left:
            self._backend.work_by(more)

    def _may_cancel(self, track: str) -> bool:
        """Return False for a track that is cleaning up already, which is limited in time."""
        return self._left or not self._backend.has_stopped(track)

    def _is_call(self, work: Any) -> bool:
        return any(work is expected for expected, _ in self._expected)

    async def _sleep(self, seconds: float) -> None:
        call = self._call(Kind.SLEEP, "sleep", seconds)
        recorded = self._backend.recall(call)
        if recorded is None:
            until = timezone.now() + timedelta(seconds=seconds)
        else:
            until = datetime.fromisoformat(recorded.result)
        await self._backend.sleep(call, until)

    def _noted(self, kind: Kind, draw: Callable[[], Any]) -> Any:
        call = self._call(kind, kind.value)
        recorded = self._backend.recall(call)
        if recorded is not None:
            return recorded.result
        value = draw()
        self._backend.note(call, CallResult(value))
        return value

    def _asked(self, prompt: Any, assignment: Assignment | None) -> Asked:
        if assignment is not None:
            assignment.check_prompt(prompt)
        return Asked(self._next(ASK, prompt.kind), prompt, dump_prompt(prompt), assignment)

    def _function_call(self, kind: Kind, given: "partial[Any]", options: Mapping[str, Any]) -> Call:
        keywords = [given.keywords] if given.keywords else []
        name = options.get("name") or name_of(given)
        return self._call(kind, name, *given.args, *keywords)

    def _call(self, kind: Kind, name: str, *arguments: Any) -> Call:
        return self._next(kind.value, name, described(*arguments) if arguments else "")

    def _next(self, kind: str, name: str, arguments: str = "") -> Call:
        self._check_runs()
        for stream in self._streams:
            stream.check_reader()
        position, place = self._next_place()
        call = Call(position, kind, storable(name[:200]), arguments, place)
        self._backend.next_call(call)
        self.calls[call.track] += 1
        self.position = max(self.position, position)
        return call

    def _next_place(self) -> tuple[int, str]:
        """The position and the place of the next call on this track."""
        track = current_track.get()
        number = self.calls[track] + 1
        if not self._has_tracks:
            return number, ""
        place = place_of(track, number)
        return self._backend.position_of(place, self.position), place

    def _check_own(self, method: str, why: str) -> None:
        if current_track.get():
            raise Gathered(method, why)

    def _check_runs(self) -> None:
        step = running_step.get()
        if step is not None and step.caller is self:
            step.mistake = self.mistake = CalledInStep(step.name)
        if self.mistake is not None:
            raise self.mistake
        if self._left:
            raise CancelledError("the run is out of memory: this call does nothing")
        if self._ended:
            raise RunEnded

    async def _put_out(self, text: str, *, again: bool) -> None:
        self._put_out_texts.append(text)
        await self._backend.put_out(text, again=again)

    def _expect(self, work: Coroutine[Any, Any, T], what: str) -> Coroutine[Any, Any, T]:
        """Have it be an error of the run if nobody ever awaits it."""
        try:
            self._check_runs()
        except BaseException:
            work.close()
            raise
        while self._expected and getcoroutinestate(self._expected[0][0]) != CORO_CREATED:
            self._expected.popleft()
        self._expected.append((work, what))
        return work

    async def _step(
        self,
        call: Call,
        function: "partial[Any]",
        title: str,
        run: Callable[[], Awaitable[Any]],
    ) -> Any:
        self._check_runs()  # it may be awaited in a step, though it was called outside
        returns = result_type(plain(function.func), call.name)
        recorded = self._backend.recall(call)
        if recorded is not None and recorded.finished:
            if recorded.error is not None:
                raise StepFailed.of(call.name, recorded.error)
            return returns.load(recorded.result)
        if title and recorded is None:
            self._backend.begin(call, title)
        async with self._backend.working(call):
            try:
                with RunningStep(self, call.name).inside():
                    stored = returns.dump(await run())
            except Unrecorded:
                raise
            except Exception as error:
                if is_fault(error):
                    raise  # it is not the step's; nothing is recorded
                failed = {"type": type(error).__name__, "message": str(error)[:2000]}
                record = CallResult(error=failed, title=title, payload=failed["message"])
                await self._backend.finish(call, record)
                raise StepFailed.of(call.name, failed) from error
            payload = shown(stored) if isinstance(stored, str) else ""
            await self._backend.finish(call, CallResult(stored, title=title, payload=payload))
        return returns.load(stored)

    async def _transactional_step(self, call: Call, function: "partial[Any]", title: str) -> Any:
        self._check_runs()  # it may be awaited in a step, though it was called outside
        returns = result_type(plain(function.func), call.name)
        recorded = self._backend.recall(call)
        done: Entry | Attempted
        if recorded is not None and recorded.finished:
            done = recorded
        else:
            async with self._backend.working(call):
                running = RunningStep(self, call.name)
                work = partial(attempt, function, returns, title, running)
                done = await self._backend.transact(call, work)
        if isinstance(done, Unrecorded):
            raise done
        if done.error is not None:
            raise StepFailed.of(call.name, done.error)
        return returns.load(done.result)


# The context of the run that the current task executes.
current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)


class UserInteractionManager:
    """Asks people, under the name that the NeMo Agent Toolkit's workflows know."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def prompt_user_input(self, content: Prompt[R]) -> R:
        """Ask a person and wait, as `Context.ask` does.

        Raises:
            PromptExpired: its deadline passed and it declares no default.
            NoPerson: the session has nobody to ask.
        """
        return await self._context.ask(content)


def _close(works: Sequence[Any]) -> None:
    for work in works:
        if iscoroutine(work):
            work.close()


def _quoted(prompts: Sequence[Prompt[R]]) -> str:
    return ", ".join(repr(str(getattr(prompt, "text", prompt))[:50]) for prompt in prompts)


def _respond(asked: Prompt[R], answered: StoredResponse) -> R:
    # An answer is one to the prompt that the person saw.
    prompt = cast("Prompt[R]", answered.prompt or asked)
    if answered.response is None:
        raise PromptExpired(prompt.text)
    return prompt.respond(
        answered.response,
        by=answered.by,
        at=answered.at,
        is_default=answered.is_default,
        votes=prompt.votes_in(answered.response),
    )
