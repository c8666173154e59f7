"""Everything that this runtime raises. The docstring is the message.

After `Refused` nothing was written: the caller asked for something that cannot be. A
`WorkflowError` is raised into workflow code. `NonDeterminism`, `Unrecorded`, `TooManyCalls` and
`UnknownVersion` suspend the run.
"""

from typing import TYPE_CHECKING, Any

from django.utils.text import format_lazy
from django.utils.translation import pgettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class SessionsError(Exception):
    """Something went wrong in the session runtime."""

    def __init__(self, message: "StrOrPromise | None" = None) -> None:
        # Translate lazily: errors are raised in threads that have no language of a reader set.
        super().__init__(message or pgettext_lazy("hitl", (type(self).__doc__ or "").strip()))

    @property
    def for_people(self) -> str:
        """The text that people read of it."""
        return str(self)


def for_people(error: BaseException, raiser: str) -> str:
    """Return the text that people read of an error. Our own errors are written for people; of
    others, which may hold internals, they read the name alone.
    """
    if isinstance(error, SessionsError):
        return error.for_people
    return f"{raiser} raised {type(error).__name__}."


class Refused(SessionsError):
    """The request cannot be carried out; nothing was written."""


class Invalid(Refused):
    """The content is not valid. `details` says what would be."""

    def __init__(self, message: "StrOrPromise", **details: object) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = details


class UnknownWorkflow(Refused):
    """No such workflow is offered here."""

    def __init__(self, name: str, workflows: list[str]) -> None:
        super().__init__(
            f"There is no workflow {name!r} here. Offered are: {', '.join(workflows) or 'none'}."
        )
        self.workflows = workflows


class Busy(Refused):
    """This workflow accepts one message at a time. Wait for the run to end, or stop it first."""


class TooMany(Refused):
    """There are too many of something. `seconds` says when to come back."""

    def __init__(self, things: "StrOrPromise", seconds: int) -> None:
        minutes = format_lazy(pgettext_lazy("hitl", "{n} minutes"), n=-(-seconds // 60))
        wait = f"{seconds} s" if seconds < 120 else minutes
        text = pgettext_lazy("hitl", "Too many {what}. Try again in {when}.")
        super().__init__(format_lazy(text, what=things, when=wait))
        self.seconds = seconds


class TooManyRuns(Refused):
    """A run began another one, which began another one, beyond a limit."""

    @classmethod
    def in_a_row(cls, limit: int) -> "TooManyRuns":
        """Return the error that too many runs have begun one another."""
        return cls(
            f"{limit} runs have begun one another, as many as may. Find the one that begins "
            "itself, or have one run do more of the work."
        )

    @classmethod
    def of_a_message(cls, limit: int) -> "TooManyRuns":
        """Return the error that one message has led to too many runs."""
        return cls(
            f"One message has led to {limit:,} further runs, as many as RUNS_PER_MESSAGE in HITL "
            "allows. Find the run that begins others without end, or raise RUNS_PER_MESSAGE."
        )

    @classmethod
    def of_a_user(cls, limit: int) -> "TooManyRuns":
        """Return the error that a user has too many unfinished runs for one more."""
        return cls(
            f"One user has {limit:,} unfinished runs, as many as RUNS_PER_USER in HITL allows. "
            "Stop some of them, or raise RUNS_PER_USER."
        )


class NotFound(Refused):
    """There is no such thing here."""


class Fenced(Refused):
    """A newer host has the key; the write of the older one is refused."""

    def __init__(self, key: str, generation: int, current: int) -> None:
        super().__init__(f"Host {key} #{generation} was replaced by #{current}; it writes no more.")


class StorageUnavailable(SessionsError):
    """The database could not save this. Nothing was stored; try again."""


class ConversationGone(SessionsError):
    """The conversation was deleted."""

    def __init__(self, conversation: object) -> None:
        super().__init__(f"Conversation {conversation} was deleted.")


class WorkflowError(SessionsError):
    """A workflow used its context in a way that cannot work."""


class NonDeterminism(WorkflowError):
    """The workflow does not match its journal."""

    def __init__(self, position: int, change: str, *, recorded_call: str, new_call: str) -> None:
        super().__init__(
            f"The workflow no longer matches its journal at position {position}: {change} "
            f"(recorded there is {recorded_call}, the code now calls {new_call}). Put calls "
            'that were added behind `if context.patched("what was changed"):`, give a renamed step '
            "its recorded name by name=, or deploy the code that recorded it; then resume the run. "
            "What must differ between two executions (time, random numbers, outside data) "
            "belongs into context.now(), context.random() or a step."
        )


class FormChanged(NonDeterminism):
    """A form that a run has asked is no longer there, or no longer reads the answer."""

    def __init__(self, form: str, problem: str) -> None:
        SessionsError.__init__(
            self,
            f"The run has asked the form {form!r}, which cannot be used now: {problem}. Keep it "
            "under that name for as long as runs have it, such as by `Old = New` in its module; "
            "then resume the run.",
        )


class Unrecorded(WorkflowError):
    """The code did what cannot be recorded. Once it is fixed, the run goes on with it."""


class NotJson(Unrecorded):
    """A step's result cannot be stored as JSON."""

    @classmethod
    def of(cls, subject: str, reason: str) -> "NotJson":
        """Make the error of a result that has no JSON form, for this reason."""
        return cls(
            f"{subject} cannot be stored as JSON: {reason}. Return plain values, dataclasses or "
            "pydantic models, and keep clients and handles in the builder."
        )


class ResultRefused(NotJson):
    """A step has run, and its result cannot be stored: it is not called again.

    `kept` is the result as JSON by the classes of its parts, None where that loses something too;
    `annotation` is the one that does not describe it.
    """

    def __init__(self, message: str, *, kept: object = None, annotation: str = "") -> None:
        super().__init__(message)
        self.kept = kept
        self.annotation = annotation

    @classmethod
    def at(
        cls, position: int, error: Unrecorded, *, kept: object = None, annotation: str = ""
    ) -> "ResultRefused":
        """Make the error of the step at a position, with what an operator can do."""
        fix = "Fix its return annotation and resume the run. Or f" if kept is not None else "F"
        return cls(
            f"{error} The step has run, and resuming does not call it again. {fix}ork the run at "
            f"position {position}: that calls it again.",
            kept=kept,
            annotation=annotation,
        )


class CalledInStep(Unrecorded):
    """A step called the context of its run."""

    def __init__(self, step: str) -> None:
        super().__init__(
            f"The context was called in the step {step}. A step is recorded as one piece, and not "
            "executed again, so what it calls has no place in the journal. Await the function "
            "itself, without a step around it, and have it call context.step() for what must not "
            "be repeated; or return what the call needs, and call after the step."
        )


class CalledInThread(Unrecorded):
    """A workflow called its context in another thread."""

    def __init__(self) -> None:
        super().__init__(
            "The context was called in another thread, such as by asyncio.run() in "
            "asyncio.to_thread(). The event loop there never gets the answer, and replay cannot "
            "keep the order of calls from threads. Call the context in the workflow itself, and "
            "the function that needs a thread by context.step()."
        )


class WaitsInTimeLimit(Unrecorded):
    """A workflow waits for a person, a message or a sleep within a time limit of asyncio."""

    def __init__(self, caller: str) -> None:
        super().__init__(
            f"{caller} waits within asyncio.timeout or asyncio.wait_for. Such a limit is not "
            "recorded: it begins anew after a restart, and never passes while the run is out of "
            "memory. Give the call the time instead, as in TextPrompt(…, timeout=60) or "
            "context.wait_for(…, timeout=60); then resume the run."
        )


class TooLarge(WorkflowError):
    """What a workflow hands over is larger than a setting allows."""

    def __init__(self, subject: str, limit: str, setting: str) -> None:
        super().__init__(
            f"{subject} has more than {limit}, which is what {setting} in HITL allows."
        )


class TookTooLong(WorkflowError):
    """A run worked for longer than MAX_RUN_SECONDS in HITL allows; waiting is not counted."""


class TooManyCalls(WorkflowError):
    """A run has made more calls of its context than a setting allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The run has made {limit:,} calls of its context, as many as MAX_CALLS in HITL "
            "allows. If its journal shows a loop without an end, stop it and fix the workflow; "
            "else raise MAX_CALLS and resume it."
        )


class StepFailed(WorkflowError):
    """A step raised, after all its retries. `error_type` names the exception's class.

    People read the message only where it `is_public`: of an error of ours.
    """

    def __init__(
        self, step: str, error_type: str, message: str, *, is_public: bool = False
    ) -> None:
        super().__init__(f"Step {step} failed: {error_type}: {message}")
        self.step = step
        self.error_type = error_type
        self.is_public = is_public

    @property
    def for_people(self) -> str:
        return str(self) if self.is_public else f"Step {self.step} failed: {self.error_type}."

    @classmethod
    def of(cls, step: str, error: dict[str, Any]) -> "StepFailed":
        """Rebuild the error from its journal entry."""
        is_unknown = error["type"] == OutcomeUnknown.__name__
        failed = (OutcomeUnknown if is_unknown else cls)(
            step, error["type"], error["message"], is_public=error.get("is_public", False)
        )
        for note in error.get("notes", ()):  # exception notes are shown to workflow authors only
            failed.add_note(note)
        return failed


class OutcomeUnknown(StepFailed):
    """A step with `once=True` was begun and cut off: nobody knows what it has done."""


class AmbiguousOption(WorkflowError):
    """A keyword is an option of a step, and may be an argument of its function as well."""

    def __init__(self, option: str, function: str) -> None:
        super().__init__(
            f"{option}= is an option of the step, and {function} takes an argument of this name as "
            "well. Give the function its arguments by functools.partial; what stands beside that "
            f"is an option: context.step(partial({function}, {option}=…), …) is the argument, "
            f"context.step(partial({function}, …), {option}=…) is the option."
        )


class StreamUnread(WorkflowError):
    """A workflow called its context while it was reading a stream."""

    def __init__(self, step: str) -> None:
        super().__init__(
            f"The context was called while the stream {step} was being read. Its pieces are "
            "recorded when it ends, so what depends on them comes after the loop: gather there "
            "what you need of them, or leave the loop first."
        )


class Gathered(WorkflowError):
    """A coroutine that `context.gather` runs calls what only the workflow itself may."""

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(
            f"context.{method}() was called in a coroutine that context.gather() runs: {reason}. "
            "Call it outside of that, or make the coroutine a workflow, and context.run() it."
        )


class NeverAwaited(WorkflowError):
    """A workflow called its context, and did not await what it got."""

    def __init__(self, call: str) -> None:
        super().__init__(
            f"{call} was never awaited, so it did not happen. Write `await context.…`, or await "
            "the task or the `asyncio.gather` that it was given to, before the workflow ends."
        )


class PromptExpired(WorkflowError):
    """Nobody answered in time, and the prompt declares no default."""

    def __init__(self, text: str) -> None:
        super().__init__(f"Nobody answered in time: {text!r}")


class NothingCame(WorkflowError):
    """What a run waited for did not come in time."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Nothing came in time for {name!r}.")
        self.name = name


class ChildFailed(WorkflowError):
    """A run that this one ran did not complete. `status` is `failed`, `cancelled`, `timeout` or
    `refused`, if a limit did not let it begin; `reason` is what people read of it.
    """

    BEGINNING = "The run of "

    def __init__(self, workflow: str, status: str, reason: str) -> None:
        text = f"{self.BEGINNING}{workflow!r} came to no result ({status}). {reason}".strip()
        # Of a child of a child, people read only of the innermost one that came to no result.
        super().__init__(reason if reason.startswith(self.BEGINNING) else text)
        self.workflow = workflow
        self.status = status
        self.reason = reason

    @classmethod
    def of(cls, workflow: str, error: dict[str, Any]) -> "ChildFailed":
        """Rebuild the error from its journal entry."""
        return cls(workflow, error["type"], error["message"])


class RunEnded(WorkflowError):
    """The run has ended: its context can do nothing more. Await all work before you return."""


class UnknownAssignee(WorkflowError):
    """A prompt is for somebody who does not exist."""

    def __init__(self, assignee: str) -> None:
        self.assignee = assignee
        super().__init__(
            f"A prompt is for the {assignee}, which does not exist. Create it in the admin (a user "
            "must be active), or correct to=; then resume the run."
        )


class TooFewPeople(WorkflowError):
    """A prompt needs more people than it is for."""

    def __init__(self, needed: int, able: int) -> None:
        super().__init__(
            f"A prompt needs the answers of {needed} people, and {able} of those it is for may "
            "answer: four_eyes= leaves out the owner of the conversation. Name more in to=, or a "
            "group; then resume the run."
        )


class NoPerson(WorkflowError):
    """This session has nobody to ask: give session() a user_input_callback."""


class NotReplayable(SessionsError):
    """A run that is recorded could not go on with the code as it is."""


class UnknownVersion(SessionsError):
    """No installed application declares the version of the workflow that began a run."""

    def __init__(self, name: str, version: int, versions: list[int]) -> None:
        super().__init__(
            f"Version {version} of the workflow {name!r}, which started the run, is no longer "
            f"declared; declared are: {', '.join(map(str, versions))}. Declare it again beside "
            f"them (@workflow(name={name!r}, version={version})) and resume the run, or stop it."
        )


class BuilderFailed(SessionsError):
    """The workflow's builder could not be built. It is tried anew by the next run."""


class NoRun(SessionsError):
    """This code is not part of a run: call it in a workflow, or inside of `session.run()`."""
