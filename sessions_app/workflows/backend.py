"""The backend of a context (a hosted run with its journal, or a script), and what it is given."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from pydantic_core import from_json, to_json

from sessions_app.errors import NonDeterminism, SessionsError, Unrecorded
from sessions_app.journal.journal import (
    Call,
    CallResult,
    Entry,
    Journal,
    difference,
    prompt_difference,
    read_recorded,
)
from sessions_app.journal.stop_point import StopPoint
from sessions_app.json_types import JsonObject
from sessions_app.prompts import AnyPrompt, load_typed_prompt
from sessions_app.prompts.assignment import Assignment
from sessions_app.storage.faults import is_fault
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import registry
from sessions_app.workflows.concurrency import Slot
from sessions_app.workflows.history import PastMessage
from sessions_app.workflows.options import BoundFunction
from sessions_app.workflows.steps import ResultType, RunningStep, outcome, result_type

# What came of an attempt; with `Unrecorded` nothing is recorded, and the run is suspended.
Attempted = CallResult | Unrecorded


@dataclass(frozen=True, slots=True)
class OutgoingPrompt:
    """A prompt on its way to a person. `json` is the prompt as `dump_prompt` gives it. Without an
    assignment it is for the owner of the conversation.
    """

    call: Call
    prompt: AnyPrompt
    json: bytes
    assignment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The settlement of an interaction; without a response nobody answered in time.

    `prompt`: what was asked, where the code asks otherwise by now.
    """

    response: JsonObject | None
    by: str | None
    at: datetime | None
    is_default: bool
    prompt: AnyPrompt | None = None


def recorded_response(entry: Entry) -> StoredResponse:
    """Return the settlement that a journal entry records."""
    return StoredResponse(entry.result, entry.by, entry.settled_at, is_default=entry.is_default)


def asked_before(entry: Entry, outgoing_prompt: OutgoingPrompt) -> tuple[AnyPrompt | None, str]:
    """Return the recorded prompt if it is another than the one asked now, and how they differ.

    Raises:
        FormChanged: it waits for the answer to a form that is not there any more.
        NonDeterminism: the class of the recorded prompt is gone, or does not read it any more.
    """
    new_content = from_json(outgoing_prompt.json)
    if entry.prompt is None or entry.prompt == new_content:
        return None, ""
    recorded_prompt = read_recorded(load_typed_prompt, entry.prompt, outgoing_prompt.call)
    if not entry.finished:
        recorded_prompt.check_found()
    return recorded_prompt, prompt_difference(recorded_prompt.model_dump(mode="json"), new_content)


@dataclass(frozen=True, slots=True)
class ChildCall:
    """A workflow that `Context.run` is to run. `headers` name the run it belongs to, and its
    trace.
    """

    workflow: str
    message: object
    title: str | None
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The message as it is stored: a text as it is, else its JSON."""
        return self.message if isinstance(self.message, str) else to_json(self.message).decode()


def dump_returned(workflow: registry.Workflow, value: object) -> object:
    """Return a workflow's return value as JSON values, by its annotation, as of a step.

    Raises:
        NotJson, TooLarge: as for the result of a step.
    """
    return result_type(workflow.function, workflow.name).dump(value)


def load_returned(name: str, stored: object) -> object:
    """Load a workflow's return value by its newest version's annotation."""
    declaration = registry.declared_workflows().get(name)
    if declaration is None or declaration.streams:
        return stored
    return result_type(declaration.function, name).load(stored)


class FaultInStep(SessionsError):
    """The database failed what a transactional step asked of it."""


def attempt(
    function: BoundFunction, returns: ResultType, title: str, step: RunningStep
) -> Attempted:
    """Call the function within the transaction that this thread is in. What it raises undoes what
    it wrote, and nothing else.

    Raises:
        FaultInStep: the transaction cannot go on; all of it may be tried again.
    """
    try:
        with transaction.atomic(), step.inside():
            stored = returns.dump(function())
    except Unrecorded as error:
        return error
    except BaseException as error:  # the thread that writes has to go on
        if is_fault(error):  # a deadlock, a lost connection: the whole transaction is tried again
            raise FaultInStep from error
        return CallResult.of_error(error, title)
    return outcome(stored, title)


class Backend(ABC):
    """The services that a context needs.

    What is not abstract is so where nothing is recorded, nobody watches, and nobody stops a run.
    """

    def attach(self, slot: Slot) -> None:
        """Take the run's slot under the limit, to be given back while it waits."""

    @abstractmethod
    def position_of(self, place: str, after: int) -> int:
        """Return the position recorded for a place; else the next free one behind `after`."""

    def next_call(self, call: Call) -> None:
        """Note the call that the workflow is about to make.

        Raises:
            CancelledError: the run was stopped before it.
        """

    def work_by(self, change: int) -> None:
        """Count so many more (or fewer) calls and coroutines of the run as going on at once."""

    def has_stopped(self, track: str) -> bool:
        """Return whether a track has learned by a call of its own that the run is stopped."""
        return False

    def have_stopped(self, track: str) -> None:
        """Note that a track learns of a stop, if there is one, by what it has gathered."""

    def check_complete(self, calls: Mapping[str, int]) -> None:
        """Check that nothing is recorded of these tracks beyond so many calls.

        Raises:
            NonDeterminism: the journal goes on behind it.
        """

    def recall(self, call: Call) -> Entry | None:
        """Return the journal's entry for the call, if there is one.

        Raises as `next_call` does if the run was stopped in it.
        """
        return None

    def patched(self, why: str, calls: int) -> bool:
        """Return whether the run, after so many calls, has a change of the code.

        See `Context.patched`.
        """
        return True

    @abstractmethod
    def working(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Mark the run as in a step, in which it is not parked; waits until the step may begin."""

    def begin(self, call: Call, title: str) -> None:
        """Record the start of a step that is to be known before it ends: people see it, or it
        streams.

        Ordered before all that follows, not awaited.
        """

    async def store(self, work: Callable[[Transaction], None]) -> None:
        """Do a write of the run beside its journal, fenced like all of them; stored when this
        returns.

        Raises:
            NotImplementedError: the run has no rows.
        """
        raise NotImplementedError

    async def reserve(self, call: Call, title: str) -> None:
        """Record the start of a step that is not to be repeated; stored when this returns."""

    def show_part(self, call: Call, number: int, title: str, payload: str | None) -> None:
        """Show a part of a call as a step of its own: its beginning, or with a payload its end."""

    async def put_out(self, text: str, *, is_repeat: bool) -> None:
        """Put out text for people. `is_repeat`: an earlier execution has put it out."""

    def untold(self) -> list[str]:
        """Return what was put out and is for who reads the runner's results: all of it in a
        script.
        """
        return []

    def note(self, call: Call, record: CallResult) -> None:
        """Record a finished call. Ordered before all that follows, not awaited."""

    async def finish(self, call: Call, record: CallResult) -> None:
        """Record what a step came to; stored when this returns."""

    @abstractmethod
    async def transact(self, call: Call, work: Callable[[], Attempted]) -> Attempted:
        """Do the work, which writes to the database, and record what it came to, in one
        transaction; committed when this returns.
        """

    @abstractmethod
    async def ask(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        """Open the interactions that are not open yet, and wait for all of them."""

    async def history(self, call: Call, limit: int) -> list[PastMessage]:
        """Return what was said in the conversation before the run."""
        return []

    @abstractmethod
    async def wait_for(self, call: Call, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - it is durable
        """Wait for what is sent under the call's name: recorded when this returns."""

    @abstractmethod
    async def run(self, call: Call, child: ChildCall, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - it is durable
        """Run another workflow: recorded when this returns."""

    @abstractmethod
    async def sleep(self, call: Call, until: datetime) -> None:
        """Record the end of the sleep, and wait for it."""


class RecordedBackend(Backend):
    """A backend with the journal of a run, which is hosted, or replayed without effect."""

    def __init__(self, journal: Journal, stop: StopPoint | None) -> None:
        self._journal = journal
        # Where the run was stopped, if it was.
        self.stop = stop
        self.mismatch: NonDeterminism | None = None

    def position_of(self, place: str, after: int) -> int:
        """Return the position of the call at a place, or the next one after `after`."""
        return self._journal.position_of(place, after)

    def has_stopped(self, track: str) -> bool:
        """Return whether a track has learned of the stop."""
        return self.stop is not None and self.stop.is_raised_in(track)

    def have_stopped(self, track: str) -> None:
        """Note that a track has learned of the stop."""
        if self.stop is not None:
            self.stop.have_raised_in(track)

    def recall(self, call: Call) -> Entry | None:
        """Return the journal's entry; a mismatch stays one even if the workflow catches it."""
        try:
            entry = self._journal.recall(call)
        except NonDeterminism as error:
            self.mismatch = error
            raise
        if entry is not None:
            self._note(entry, difference(entry.call.arguments, call.arguments))
        if self.stop is not None:
            self.stop.check(call, entry)
        return entry

    def check_match(self) -> None:
        """Raise NonDeterminism if the workflow has not matched its journal so far."""
        if self.mismatch is not None:
            raise self.mismatch

    def check_complete(self, calls: Mapping[str, int], end: str = "comes to its end") -> None:
        """Raise NonDeterminism unless these tracks, which end here, have matched the journal."""
        try:
            self._journal.check_complete(calls, end)
        except NonDeterminism as error:
            self.mismatch = self.mismatch or error
        self.check_match()

    @abstractmethod
    def _note(self, entry: Entry, mismatch: str) -> None:
        """Note in what a call differs from what is recorded, without harm; if in anything."""
