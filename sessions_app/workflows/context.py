"""The context of a workflow: the API for everything that must survive a crash."""

import inspect
import random
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Literal, NoReturn, TypeVar, overload

from pydantic import BaseModel

from sessions_app.errors import NoPerson, NoRun
from sessions_app.models import AttachedFile, JournalEntry
from sessions_app.prompts import AnyPrompt, Prompt, Response
from sessions_app.prompts.assignment import Escalation, PromptAssignment, To, make_assignment
from sessions_app.storage import clock
from sessions_app.workflows.backend import ChildCall
from sessions_app.workflows.callbacks import callback_url
from sessions_app.workflows.execution import Execution
from sessions_app.workflows.gathering import gather
from sessions_app.workflows.history import PastMessage
from sessions_app.workflows.options import NOT_GIVEN, explicit_options, plain
from sessions_app.workflows.request_context import RequestContext, RequestMetadata, Trace
from sessions_app.workflows.steps import (
    Coro,
    Retry,
    check_retry,
    check_seconds,
    execute,
    piece_type,
)
from sessions_app.workflows.streams import Stream, StreamedStepOptions

T = TypeVar("T")
R = TypeVar("R", bound=Response)
Kind = JournalEntry.Kind
AuthCallback = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Message:
    """The user message that started the run: its text and the attached files."""

    text: str
    client_format: str = ""
    id: str = ""
    files: tuple[AttachedFile, ...] = ()


class RuntimeTypeEnum(StrEnum):
    """The purpose of a run."""

    RUN_OR_SERVE = "run_or_serve"
    EVALUATE = "evaluate"
    OTHER = "other"


# The sign-in callback of the open session, inherited by nested sessions.
user_auth_callback: ContextVar[AuthCallback | None] = ContextVar("user_auth_callback", default=None)


async def refuse(*_: object) -> NoReturn:
    """Raise NoPerson: the default for a missing callback."""
    raise NoPerson


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts about a run: its user, request and input.

    `message` is the run's input, of any type that the workflow accepts; `parent` is the id and name
    of the step that called the run. `authenticate` signs the person in; the default always fails.
    """

    message: Any
    request: RequestContext
    run_id: str
    builder: object
    options: BaseModel
    parent: tuple[str | None, str | None] = (None, None)
    authenticate: AuthCallback = refuse
    runtime_type: RuntimeTypeEnum = RuntimeTypeEnum.RUN_OR_SERVE


class Context:
    """The second argument of a workflow: the API for prompts, steps and everything durable.

    Each call is numbered when it is made, and a replay compares calls by this position; so the
    order of calls must not depend on time, chance or outside data.
    """

    def __init__(self, info: RunInfo, execution: Execution) -> None:
        # A `Message` if the input is text, else the input unchanged.
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
        # The id of the run that the caller has chosen, or else our own.
        self.workflow_run_id = info.request.workflow_run_id or info.run_id
        self.workflow_parent_id, self.workflow_parent_name = info.parent
        self.trace = Trace.of_run(self.run_id, info.request.trace)
        self._user_id = info.request.user_id
        self._execution = execution

    @staticmethod
    def get() -> "Context":
        """Return the context of the run that this code is part of.

        Raises:
            NoRun: this code is not part of a run.
        """
        context = current_context.get()
        if context is None:
            raise NoRun
        return context

    @property
    def input_message(self) -> Any:
        """The input of the run: a text, or another value that the workflow takes."""
        return self.message.text if isinstance(self.message, Message) else self.message

    @property
    def files(self) -> tuple[AttachedFile, ...]:
        """The files attached to the message; a child run has its parent's files."""
        return self.message.files if isinstance(self.message, Message) else ()

    @property
    def user_id(self) -> str:
        """The user's id as text; empty for anonymous use."""
        return self._user_id

    @property
    def workflow_trace_id(self) -> int:
        """The id of the run's trace, 128 bits; the same in a replay."""
        return self.trace.trace_id

    @property
    def user_interaction_manager(self) -> "UserInteractionManager":
        """The manager that asks people."""
        return UserInteractionManager(self)

    @property
    def builder(self) -> Any:
        """The object that the workflow's builder made, or None without a builder.

        Raises:
            RunEnded: the run is over, so the object may already be closed.
        """
        return self._execution.builder

    @overload
    def step(
        self,
        function: Callable[..., Awaitable[T]],
        /,
        *args: object,
        title: str | None = ...,
        name: str | None = ...,
        retry: Retry | None = ...,
        timeout: float | None = ...,
        once: bool = ...,
        **kwargs: object,
    ) -> Coro[T]: ...

    @overload
    def step(
        self,
        function: Callable[..., T],
        /,
        *args: object,
        title: str | None = ...,
        name: str | None = ...,
        retry: Retry | None = ...,
        timeout: float | None = ...,
        once: bool = ...,
        **kwargs: object,
    ) -> Coro[T]: ...

    def step(
        self,
        function: Callable[..., object],
        /,
        *args: object,
        title: str | None = NOT_GIVEN,
        name: str | None = NOT_GIVEN,
        retry: Retry | None = NOT_GIVEN,
        timeout: float | None = NOT_GIVEN,
        once: bool = NOT_GIVEN,
        **kwargs: object,
    ) -> Coro[Any]:
        """Run the function once, and return its recorded result in every replay.

        A plain function runs in a thread. The result must have a JSON form, which is read back by
        the function's return annotation. After a crash before the result is stored, the function
        runs again.

        Pass keyword arguments with unpredictable names, such as a model's arguments for a tool, in
        a `functools.partial`: there, no option can collide with them.

        Args:
            title: shows the step on the page, with its result.
            name: the name in the journal, for replay; by default the function's own name.
            retry: tries again after an error.
            timeout: seconds per try, after which the try raises `TimeoutError`. A thread cannot be
                ended: the function continues there, and its result is ignored.
            once: never runs the function again, even after a crash before the result is stored. The
                start is stored beforehand, which costs one more commit.

        Raises:
            OutcomeUnknown: with `once`, the start is stored and the result is not; recorded.
            StepFailed: the function raised, after all retries, or the result is longer than
                MAX_STEP_RESULT (`TooLarge`); recorded, so replay raises the same.
            ResultRefused: the function has run, and the result cannot be stored.
            AmbiguousOption: a given option has the name of an argument of the function.
        """
        options = explicit_options(
            function, args, title=title, name=name, retry=retry, timeout=timeout, once=once
        )
        check_retry(options.get("retry"))
        check_seconds("timeout=", options.get("timeout"))
        bound_function = partial(function, *args, **kwargs)
        call = self._execution.function_call(Kind.STEP, bound_function, options.get("name"))
        run = partial(execute, bound_function, options.get("retry"), options.get("timeout"))
        title, is_once = options.get("title") or "", options.get("once", False)
        work = self._execution.step(call, bound_function, title, run, once=is_once)
        return self._execution.expect(work, f"Step {call.name}")

    def transactional_step(
        self,
        function: Callable[..., T],
        /,
        *args: object,
        title: str | None = NOT_GIVEN,
        name: str | None = NOT_GIVEN,
        **kwargs: object,
    ) -> Coro[T]:
        """Run a function whose database writes happen exactly once.

        Writes by the ORM are committed in the transaction that records the result. The plain
        function may only read and write the database `default`, and has to be quick: other writes
        wait. If the transaction is not committed, all is undone and the function may be called
        again. Otherwise this is like `step`.

        Raises:
            StepFailed: the function raised, and wrote nothing; recorded, so replay raises the same.
            NotJson: the result cannot be stored; nothing was written.
            TypeError: the function is async.
            AmbiguousOption: as for `step`.
        """
        options = explicit_options(function, args, title=title, name=name)
        bound_function = partial(function, *args, **kwargs)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            # Django has no transactions in async functions, so such a function is refused.
            raise TypeError("transactional_step() takes a plain function: 'def', not 'async def'.")
        call = self._execution.function_call(Kind.STEP, bound_function, options.get("name"))
        work = self._execution.transactional_step(call, bound_function, options.get("title") or "")
        return self._execution.expect(work, f"Step {call.name}")

    def stream(  # noqa: PLR0913 - as `ask`
        self,
        function: Callable[..., AsyncIterable[T] | Iterable[T] | Awaitable[AsyncIterable[T]]],
        /,
        *args: object,
        name: str | None = NOT_GIVEN,
        title: str | None = NOT_GIVEN,
        show: bool = NOT_GIVEN,
        reasoning: str = NOT_GIVEN,
        retry: Retry | None = NOT_GIVEN,
        timeout: float | None = NOT_GIVEN,
        **kwargs: object,
    ) -> "Stream[T]":
        """Run the function once, and return its pieces as they come, in a replay from the journal.

        Text pieces are shown as text of the run, so the workflow need not yield them; if it does,
        they are not shown twice. Other pieces with a JSON form are for the workflow only. After a
        crash before the end, the function runs again and the cut text is taken back. Do not call
        the context inside the loop, only after the loop. Leaving the loop ends the step.

        Args:
            name: the name in the journal, as for a step.
            title: shows the step on the page too.
            show: whether text pieces are shown; true by default.
            reasoning: the title of the steps that show `Reasoning` pieces, "Reasoning" by default;
                empty shows none.
            retry: tries again after an error before the first piece.
            timeout: seconds for the whole stream, including all tries.

        Raises:
            StepFailed: the function raised, took too long (`TimeoutError`), or gave more than
                MAX_STEP_RESULT (`TooLarge`). Recorded with the pieces so far.
            NotJson: a piece cannot be stored.
            AmbiguousOption: as for `step`.
            Gathered: the call is in a coroutine that `gather` runs.
        """
        self._execution.check_own(
            "stream", "its text would come in an order that replay does not have"
        )
        shown_as = {"title": title, "show": show, "reasoning": reasoning}
        options = explicit_options(
            function, args, name=name, retry=retry, timeout=timeout, **shown_as
        )
        check_retry(options.get("retry"))
        check_seconds("timeout=", options.get("timeout"))
        bound_function = partial(function, *args, **kwargs)
        call = self._execution.function_call(Kind.STREAM, bound_function, options.pop("name", None))
        step = self._execution.stream(call, bound_function, StreamedStepOptions(**options))
        return Stream(step, piece_type(plain(bound_function.func), call.name))

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
    ) -> Coro[R]:
        """Ask a person, and wait for the answer, for minutes or weeks; waiting costs nothing.

        Args:
            to: the candidates: `user("ann")`, `group("managers")`, `permission("app.approve")`, or
                several of these; None is the owner of the conversation.
            four_eyes: excludes the owner, even if the owner is a candidate.
            share: lets the candidates read the conversation while the prompt is open.
            votes: the number of people who must give the same answer; "all" means everybody in
                `to`.
            due: seconds until the prompt should be answered, which sorts inboxes; nothing happens
                then. The prompt's `timeout` must not be earlier.
            remind: seconds before `due` at which candidates are notified again.
            escalate: further candidates when nobody has answered after a time.

        Raises:
            PromptExpired: the deadline passed and the prompt declares no default.
            TooFewPeople: `to` names too few people for `votes` and `four_eyes`.
            TooLarge: the prompt is longer than MAX_PROMPT.
            UnknownAssignee: `to` or `escalate` names a user or a group that does not exist.
            ValueError: the arguments contradict each other.
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
        work = self._ask(prompt, assignment)
        return self._execution.expect(work, f"The question {_quote([prompt])}")

    def ask_all(
        self, prompts: Sequence[Prompt[R]], *, to: To | None = None, together: str = ""
    ) -> Coro[list[R]]:
        """Ask several prompts at once, answered in any order; responses are in the order of
        `prompts`.

        Args:
            to: as for `ask`, for all prompts.
            together: the title of one card for all prompts, with one button that answers all or
                none.

        Raises:
            PromptExpired: a prompt expired without a default; the others are settled by then.
            TooLarge: a prompt is longer than MAX_PROMPT, or there are more than
                MAX_PROMPTS_AT_ONCE.
            ValueError: the prompts cannot be asked together.
        """
        prompts = list(prompts)  # a generator can be read only once
        work = self._execution.ask(prompts, make_assignment(to), together)
        return self._execution.expect(work, f"The question {_quote(prompts)}")

    def history(self, limit: int = 20, *, calls: bool = False) -> Coro[list[PastMessage]]:
        """Return the last `limit` messages of the conversation before this run's, oldest first.

        Messages of people and text of finished runs; the same in a replay. The list is cut at
        MAX_STEP_RESULT characters in total, and is empty in a script.

        Args:
            calls: return each run's calls, too, as they were executed (`PastCall`): also of runs
                that failed or were stopped, whose text may be empty.
        """
        return self._execution.expect(self._execution.history(limit, calls=calls), "The history")

    def wait_for(self, name: str, *, timeout: float | None = None) -> Coro[Any]:
        """Wait for data sent by `runs.send` under this name (an arrival), and return its payload.

        Arrivals of one name are returned one by one in the order of sending, also those sent before
        this call. Waiting costs nothing, as with `ask`.

        Raises:
            NothingCame: nothing came within `timeout` seconds; recorded, so replay raises the same.
        """
        check_seconds("timeout=", timeout)
        work = self._execution.wait_for(name, timeout)
        return self._execution.expect(work, f"The wait for {name!r}")

    def callback_url(self, name: str, id: str = "") -> str:
        """Return a URL for another site: JSON posted there arrives at `wait_for(name)`.

        The URL is signed and needs no sign-in. Only the first post counts. Repeated calls return
        the same URL.

        Args:
            id: distinguishes several URLs of one name.

        Raises:
            ImproperlyConfigured: HITL has no CALLBACKS_URL.
        """
        return callback_url(self.run_id, name, id)

    def run(
        self,
        workflow: str,
        message: object,
        *,
        title: str | None = None,
        timeout: float | None = None,
    ) -> Coro[Any]:
        """Run another offered workflow once, and return its result.

        The result of a streaming workflow is its text. The child is a run of its own in this
        conversation, where people read its output and answer its prompts. Waiting costs nothing, as
        with `ask`. If this run ends first, the child is stopped.

        Args:
            message: a text, or another value with a JSON form that the workflow takes.
            title: the title of the step on the page; by default the workflow's, empty shows none.
            timeout: seconds for the whole child run, including the waiting for people.

        Raises:
            ChildFailed: the child failed, was stopped, or took too long; recorded, so replay raises
                the same.
            UnknownWorkflow: the workflow is not offered, or not to the conversation's owner.
            Invalid: the message is empty or too long.
        """
        check_seconds("timeout=", timeout)
        child = ChildCall(workflow, message, title, self.trace.headers)
        return self._execution.expect(self._execution.run(child, timeout), f"The run of {workflow}")

    def gather(self, *calls: Coro[object], return_exceptions: bool = False) -> Coro[list[Any]]:
        """Run calls of this context and coroutines of your own at once, and return their results.

        Calls are steps, prompts, waits and runs; results are in the order of the arguments. All
        finish first. Of several errors, the first in the order of the arguments is raised, so that
        replay raises the same. `asyncio.gather` would raise the error that is first in time, and
        calls in its coroutines have no order that replay could keep.

        Args:
            return_exceptions: return errors (such as `StepFailed`) among the results instead of
                raising.

        Raises:
            TypeError: an argument is not a coroutine.
        """
        work = gather(self._execution, calls, return_exceptions=return_exceptions)
        return self._execution.expect(work, "gather")

    def sleep(self, seconds: float) -> Coro[None]:
        """Sleep durably: a restart does not begin the sleep anew; a long sleep needs no memory."""
        check_seconds("context.sleep()", seconds)
        work = self._execution.sleep(seconds)
        return self._execution.expect(work, f"The sleep of {seconds} s")

    def now(self) -> datetime:
        """Return the current time, aware; the same in a replay."""
        now = self._execution.record_once(Kind.NOW, lambda: clock.now().isoformat())
        return datetime.fromisoformat(now)

    def random(self) -> float:
        """Return a random number in [0, 1), the same in a replay. Not for secrets."""
        number: float = self._execution.record_once(Kind.RANDOM, random.random)
        return number

    def patched(self, why: str) -> bool:
        """Return whether this run has a change of the workflow's code.

        Runs that first reach this call with the new code have the change; runs that passed here
        before do not, and go on with the old code:

            if context.patched("book before paying"):
                await context.step(book)

        Args:
            why: a constant that names the change. Several calls with the same name all give the
                same answer in one run.

        Raises:
            RunEnded: the run is over.
            Gathered: the call is in a coroutine that `gather` runs.
        """
        return self._execution.patched(why)

    def asked_before(self) -> AnyPrompt | None:
        """Return the prompt that an earlier execution asked by the next call; None without one.

        For code that asks only on a condition, such as the policy of a tool: if the condition has
        changed since, the code can still `ask` this prompt, and gets the answer.
        """
        return self._execution.asked_before()

    def show(self, name: str, payload: str = "") -> None:
        """Show a finished step on the page; `payload` is markdown.

        Raises:
            TooLarge: the payload is longer than MAX_SHOWN.
        """
        self._execution.show(name, payload)

    def add_usage(self, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Report the tokens that a call to a language model used; the reports of a run add up.

        OpenAI's clients get the sums as `usage`. A replay does not count tokens again.

        Raises:
            ValueError: a number is negative.
        """
        if prompt_tokens < 0 or completion_tokens < 0:
            raise ValueError("a number of tokens is negative")
        used = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        self._execution.record_once(Kind.USAGE, lambda: used)

    async def _ask(self, prompt: Prompt[R], assignment: PromptAssignment | None) -> R:
        return (await self._execution.ask([prompt], assignment))[0]


# The context of the run that executes in the current task.
current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)


class UserInteractionManager:
    """The part of a context for asking people, under the name that NAT's workflows use."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def prompt_user_input(self, content: Prompt[R]) -> R:
        """Ask a person and wait, as `Context.ask` does.

        Raises:
            PromptExpired: the deadline passed and the prompt declares no default.
            NoPerson: the session has nobody to ask.
        """
        return await self._context.ask(content)


def _quote(prompts: Sequence[Prompt[R]]) -> str:
    return ", ".join(repr(str(getattr(prompt, "text", prompt))[:50]) for prompt in prompts)
