"""The context of a workflow: everything that must survive a crash goes through it."""

import inspect
import random
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Literal, NoReturn, TypeVar, overload

from django.utils import timezone
from pydantic import BaseModel

from sessions_app.errors import NoPerson, NoRun
from sessions_app.models import AttachedFile, JournalEntry
from sessions_app.prompts import Prompt, Response
from sessions_app.prompts.assignment import Assignment, Escalation, To, make_assignment
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
from sessions_app.workflows.streams import Stream, StreamOptions

T = TypeVar("T")
R = TypeVar("R", bound=Response)
Kind = JournalEntry.Kind
AuthCallback = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Message:
    """The user message that started the run. `text` is what the person wrote, `files` what they
    attached.
    """

    text: str
    client_format: str = ""
    id: str = ""
    files: tuple[AttachedFile, ...] = ()


class RuntimeTypeEnum(StrEnum):
    """The purpose of a run."""

    RUN_OR_SERVE = "run_or_serve"
    EVALUATE = "evaluate"
    OTHER = "other"


# That of the session that is open here, and of those within it.
user_auth_callback: ContextVar[AuthCallback | None] = ContextVar("user_auth_callback", default=None)


async def refuse(*_: object) -> NoReturn:
    """Raise NoPerson, in the place of a callback that is not there."""
    raise NoPerson


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts about a run: its user, request and input.

    `message` is as it was given to the run, of any type that the workflow takes; `parent` is the id
    and name of the step that called it. `authenticate` signs the person in; else nobody can.
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
    """The second argument of a workflow: the way to people, steps and everything durable.

    Calls take positions in the order in which they are made, and replay compares them by position;
    so make them in an order that does not depend on time, chance or outside data.
    """

    def __init__(self, info: RunInfo, execution: Execution) -> None:
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
        self._execution = execution

    @staticmethod
    def get() -> "Context":
        """Return the context of the run that this code is part of.

        Raises:
            NoRun: it is part of none.
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
        """The files that the person attached to the message; a child has its parent's."""
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
        """The manager that asks people."""
        return UserInteractionManager(self)

    @property
    def builder(self) -> Any:
        """The result of the workflow's builder; None if it has none.

        Raises:
            RunEnded: the run is over, and the builder may be closed.
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
        """Run the function once, and return its recorded result ever after.

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
            once: never runs it again, not even after a crash before the result is stored. That it
                begins is stored before it does, which costs one more commit.

        Raises:
            OutcomeUnknown: with `once`, it was begun and its result is not stored; recorded.
            StepFailed: it raised, after all retries, or its result is longer than MAX_STEP_RESULT
                (`TooLarge`); recorded, so replay raises it too.
            ResultRefused: it has run, and its result cannot be stored.
            AmbiguousOption: the function takes an argument that has the name of an option given.
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
        options = explicit_options(function, args, title=title, name=name)
        bound_function = partial(function, *args, **kwargs)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            # Django has no transactions in these.
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
        step = self._execution.stream(call, bound_function, StreamOptions(**options))
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
        """Ask a person, and wait for the answer: minutes or weeks, it costs nothing.

        Args:
            to: who may answer: `user("ann")`, `group("managers")`, `permission("app.approve")`, or
                several of these; None is the owner of the conversation.
            four_eyes: the owner may not, whatever they belong to.
            share: they may read the conversation, as long as it waits for them.
            votes: so many people must give the same answer; "all" of those whom `to` names.
            due: seconds until it should be answered, which sorts inboxes; nothing happens then. The
                prompt's `timeout` is not before it.
            remind: so many seconds before that, whoever may answer is told again.
            escalate: to whom it goes as well, when nobody has answered after a time.

        Raises:
            PromptExpired: its deadline passed and it declares no default.
            TooFewPeople: `to` names too few people for `votes` and `four_eyes`.
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
        work = self._ask(prompt, assignment)
        return self._execution.expect(work, f"The question {_quote([prompt])}")

    def ask_all(
        self, prompts: Sequence[Prompt[R]], *, to: To | None = None, together: str = ""
    ) -> Coro[list[R]]:
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
        prompts = list(prompts)  # a generator gives them once
        work = self._execution.ask(prompts, make_assignment(to), together)
        return self._execution.expect(work, f"The question {_quote(prompts)}")

    def history(self, limit: int = 20) -> Coro[list[PastMessage]]:
        """Return the last `limit` messages of the conversation before this run's, oldest first.

        They are those of people, and what runs that are over have said. Replay has the same. In a
        script there are none. As many as have MAX_STEP_RESULT characters together.
        """
        return self._execution.expect(self._execution.history(limit), "The history")

    def wait_for(self, name: str, *, timeout: float | None = None) -> Coro[Any]:
        """Wait for what the world sends under this name (`runs.send`), and return its payload.

        Several under one name are given one after another, in the order in which they came, also if
        that was before. Waiting costs nothing, as with `ask`.

        Raises:
            NothingCame: nothing came within so many seconds; recorded, so replay raises it too.
        """
        check_seconds("timeout=", timeout)
        work = self._execution.wait_for(name, timeout)
        return self._execution.expect(work, f"The wait for {name!r}")

    def callback_url(self, name: str, id: str = "") -> str:
        """Return a URL for another site: what it posts there, as JSON, comes to `wait_for(name)`.

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
        message: object,
        *,
        title: str | None = None,
        timeout: float | None = None,
    ) -> Coro[Any]:
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
        check_seconds("timeout=", timeout)
        child = ChildCall(workflow, message, title, self.trace.headers)
        return self._execution.expect(self._execution.run(child, timeout), f"The run of {workflow}")

    def gather(self, *calls: Coro[object], return_exceptions: bool = False) -> Coro[list[Any]]:
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
        work = gather(self._execution, calls, return_exceptions=return_exceptions)
        return self._execution.expect(work, "gather")

    def sleep(self, seconds: float) -> Coro[None]:
        """Wait, durably: a restart does not begin it anew, and a long one holds no memory."""
        check_seconds("context.sleep()", seconds)
        work = self._execution.sleep(seconds)
        return self._execution.expect(work, f"The sleep of {seconds} s")

    def now(self) -> datetime:
        """Return the time, aware; replay has the same."""
        now = self._execution.record_once(Kind.NOW, lambda: timezone.now().isoformat())
        return datetime.fromisoformat(now)

    def random(self) -> float:
        """Return a random number in [0, 1); replay has the same. Not for secrets."""
        number: float = self._execution.record_once(Kind.RANDOM, random.random)
        return number

    def patched(self, why: str) -> bool:
        """Return whether this run has a change of the workflow's code.

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
        return self._execution.patched(why)

    def show(self, name: str, payload: str = "") -> None:
        """Show a step on the page that has happened; `payload` is markdown.

        Raises:
            TooLarge: it is longer than MAX_SHOWN.
        """
        self._execution.show(name, payload)

    def add_usage(self, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Report tokens that a language model took and gave, as its answer says; calls add up.

        OpenAI's clients get the sums as `usage`. A replay does not count them again.

        Raises:
            ValueError: a number is negative.
        """
        if prompt_tokens < 0 or completion_tokens < 0:
            raise ValueError("a number of tokens is negative")
        used = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        self._execution.record_once(Kind.USAGE, lambda: used)

    async def _ask(self, prompt: Prompt[R], assignment: Assignment | None) -> R:
        return (await self._execution.ask([prompt], assignment))[0]


# The context of the run that the current task executes.
current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)


class UserInteractionManager:
    """The part of a context that asks people, under the name that NAT's workflows know."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def prompt_user_input(self, content: Prompt[R]) -> R:
        """Ask a person and wait, as `Context.ask` does.

        Raises:
            PromptExpired: its deadline passed and it declares no default.
            NoPerson: the session has nobody to ask.
        """
        return await self._context.ask(content)


def _quote(prompts: Sequence[Prompt[R]]) -> str:
    return ", ".join(repr(str(getattr(prompt, "text", prompt))[:50]) for prompt in prompts)
