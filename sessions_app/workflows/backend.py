"""The interface between a workflow's context and its backend: a hosted run, or a script."""

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
    Journal,
    JournalRecord,
    difference,
    prompt_difference,
    read_recorded,
)
from sessions_app.journal.stop_point import StopPoint
from sessions_app.json_types import JsonObject
from sessions_app.prompts import AnyPrompt, load_typed_prompt
from sessions_app.prompts.assignment import PromptAssignment
from sessions_app.storage.faults import is_fault
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import registry
from sessions_app.workflows.concurrency import Slot
from sessions_app.workflows.history import PastMessage
from sessions_app.workflows.options import BoundFunction
from sessions_app.workflows.steps import ResultType, RunningStep, outcome, result_type

# Outcome of a transactional step. An `Unrecorded` error leaves no record, and suspends the run.
Attempted = CallResult | Unrecorded


@dataclass(frozen=True, slots=True)
class OutgoingPrompt:
    """A prompt that a workflow asks, before it is stored; `json` is the output of `dump_prompt`.

    Without an assignment, the prompt is for the owner of the conversation.
    """

    call: Call
    prompt: AnyPrompt
    json: bytes
    assignment: PromptAssignment | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The final outcome of an interaction; `response` is None if nobody answered in time.

    `prompt`: the recorded prompt, if the changed code now asks a different one.
    """

    response: JsonObject | None
    by: str | None
    at: datetime | None
    is_default: bool
    prompt: AnyPrompt | None = None


def recorded_response(entry: JournalRecord) -> StoredResponse:
    """Return the outcome of an interaction that a journal entry records."""
    return StoredResponse(entry.result, entry.by, entry.settled_at, is_default=entry.is_default)


def asked_before(
    entry: JournalRecord, outgoing_prompt: OutgoingPrompt
) -> tuple[AnyPrompt | None, str]:
    """Return the recorded prompt if it differs from the new one, and a description of the
    difference.

    Raises:
        FormChanged: the recorded prompt is open and asks for a form that no longer exists.
        NonDeterminism: the recorded prompt's class is gone, or can no longer read the record.
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
    """A call of `Context.run`: the workflow to start; `headers` name the calling run and trace."""

    workflow: str
    message: object
    title: str | None
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The message in stored form: text unchanged, anything else as JSON."""
        return self.message if isinstance(self.message, str) else to_json(self.message).decode()


def dump_returned(workflow: registry.Workflow, value: object) -> object:
    """Return a workflow's return value as JSON values, by its annotation, as for a step.

    Raises:
        NotJson, TooLarge: as for the result of a step.
    """
    return result_type(workflow.function, workflow.name).dump(value)


def load_returned(name: str, stored: object) -> object:
    """Convert a stored return value of a workflow by the annotation of the newest version."""
    declaration = registry.declared_workflows().get(name)
    if declaration is None or declaration.streams:
        return stored
    return result_type(declaration.function, name).load(stored)


class FaultInStep(SessionsError):
    """The database failed during a transactional step."""


def attempt(
    function: BoundFunction, returns: ResultType, title: str, step: RunningStep
) -> Attempted:
    """Call a step's function in the current transaction; an error undoes only its own writes.

    Raises:
        FaultInStep: the database failed; the caller must retry the whole transaction.
    """
    try:
        with transaction.atomic(), step.inside():
            stored = returns.dump(function())
    except Unrecorded as error:
        return error
    except BaseException as error:  # the writer thread must survive any error of the function
        if is_fault(error):  # for example a deadlock: retry the whole transaction
            raise FaultInStep from error
        return CallResult.of_error(error, title)
    return outcome(stored, title)


class Backend(ABC):
    """The services that a workflow's context needs: a journal, prompts, waits, and output.

    The defaults suit a backend that records nothing, shows nothing and is never stopped.
    """

    def attach(self, slot: Slot) -> None:
        """Keep the run's concurrency slot, to release it while the run waits."""

    @abstractmethod
    def position_of(self, place: str, after: int) -> int:
        """Return the position recorded for a place in a track, or a new one above `after`."""

    def next_call(self, call: Call) -> None:
        """Note the call that the workflow is about to make.

        Raises:
            CancelledError: the run was stopped before this call.
        """

    def add_active(self, change: int) -> None:
        """Change the number of active calls and coroutines of the run."""

    def has_raised_stop(self, track: str) -> bool:
        """Return whether a call of this track has raised the CancelledError of a stop."""
        return False

    def mark_stop_raised(self, track: str) -> None:
        """Note that a `gather` in this track raises CancelledError, possibly because of a stop."""

    def check_complete(self, calls: Mapping[str, int]) -> None:
        """Check that a replay has made all recorded calls of these tracks.

        Raises:
            NonDeterminism: the journal has further calls.
        """

    def recall(self, call: Call) -> JournalRecord | None:
        """Return the journal's entry for the call, if there is one.

        Raises CancelledError if the run was stopped during this call.
        """
        return None

    def asked_at(self, position: int) -> AnyPrompt | None:
        """Return the prompt that is recorded at the position; None if there is none."""
        return None

    def patched(self, why: str, calls: int) -> bool:
        """Return whether the run uses the code change named `why` after this number of calls.

        See `Context.patched`.
        """
        return True

    @abstractmethod
    def working(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Wait until the step may begin; during the block the run counts as busy, not as idle."""

    def begin(self, call: Call, title: str) -> None:
        """Record the start of a step that people see before its end.

        The write is queued before all later writes of the run, and not awaited.
        """

    async def store(self, work: Callable[[Transaction], None]) -> None:
        """Write rows of the run other than its journal, if this host still has the lease.

        On return the rows are committed.

        Raises:
            NotImplementedError: the run has no rows.
        """
        raise NotImplementedError

    async def reserve(self, call: Call, title: str) -> None:
        """Record the start of a step that must not be repeated; committed on return."""

    def show_part(self, call: Call, number: int, title: str, payload: str | None) -> None:
        """Show people a part of a call as a separate step: its start, or with `payload` its end."""

    def is_replayed(self, calls: int) -> bool:
        """Return whether an earlier execution has shown the output after this number of calls."""
        return False

    async def show_output(self, text: str, *, is_repeat: bool) -> None:
        """Show text to people. `is_repeat`: an earlier execution has already shown the text."""

    def take_new_texts(self) -> list[str]:
        """Return a script's texts since the last call; a hosted run returns none."""
        return []

    def note(self, call: Call, record: CallResult) -> None:
        """Record a finished call: queue the write before all later ones, and do not await it."""

    async def finish(self, call: Call, record: CallResult) -> None:
        """Record the outcome of a step; committed on return."""

    @abstractmethod
    async def transact(self, call: Call, work: Callable[[], Attempted]) -> Attempted:
        """Do database work and record its outcome in the same transaction; committed on return."""

    @abstractmethod
    async def ask(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        """Ask the prompts that are not asked yet, and wait for the responses to all of them."""

    async def history(self, call: Call, limit: int, *, calls: bool) -> list[PastMessage]:
        """Return the messages of the conversation before the run, with the runs' `calls`."""
        return []

    @abstractmethod
    async def wait_for(self, call: Call, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - it is durable
        """Wait for data sent under the call's name; the outcome is recorded on return."""

    @abstractmethod
    async def run(self, call: Call, child: ChildCall, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - it is durable
        """Run another workflow as a child; its outcome is recorded on return."""

    @abstractmethod
    async def sleep(self, call: Call, until: datetime) -> None:
        """Record the end of the sleep, then wait for that moment."""


class RecordedBackend(Backend):
    """A backend with a run's journal, for a hosted run or for a replay without side effects."""

    def __init__(self, journal: Journal, stop: StopPoint | None) -> None:
        self._journal = journal
        # The journal position at which a person stopped the run; None if nobody stopped it.
        self.stop = stop
        self.mismatch: NonDeterminism | None = None

    def position_of(self, place: str, after: int) -> int:
        """Return the position recorded for a place in a track, or a new one above `after`."""
        return self._journal.position_of(place, after)

    def has_raised_stop(self, track: str) -> bool:
        """Return whether a call of the track has raised the CancelledError of a stop."""
        return self.stop is not None and self.stop.is_raised_in(track)

    def mark_stop_raised(self, track: str) -> None:
        """Note that a `gather` in this track raises CancelledError, possibly because of a stop."""
        if self.stop is not None:
            self.stop.mark_raised_in(track)

    def asked_at(self, position: int) -> AnyPrompt | None:
        """Return the prompt that is recorded at the position; None if there is none to read."""
        entry = self._journal.entry_at(position)
        if entry is None or entry.prompt is None:
            return None
        return read_recorded(load_typed_prompt, entry.prompt, entry.call)

    def recall(self, call: Call) -> JournalRecord | None:
        """Return the call's entry; remember a mismatch, as the workflow may catch the error."""
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
        """Raise NonDeterminism unless these tracks have made all their recorded calls."""
        try:
            self._journal.check_complete(calls, end)
        except NonDeterminism as error:
            self.mismatch = self.mismatch or error
        self.check_match()

    @abstractmethod
    def _note(self, entry: JournalRecord, mismatch: str) -> None:
        """Note for operators how a call's arguments differ from its entry; empty if equal."""
