"""The calls of earlier runs of a conversation, as they were executed."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sessions_app.errors import OutcomeUnknown
from sessions_app.journal.journal import describe_arguments
from sessions_app.journal.tracks import track_of
from sessions_app.models import Interaction, JournalEntry
from sessions_app.prompts import ToolCallResponse
from sessions_app.prompts.base import answer_text
from sessions_app.prompts.tool_call import decision_on


class CallState(StrEnum):
    """The outcome of a call of an earlier run."""

    # The function has returned; the result is recorded.
    DONE = "done"
    # The function raised an error.
    FAILED = "failed"
    # The function was begun, and the run or its process ended before the result was recorded.
    CUT_OFF = "cut_off"
    # A person rejected the call, or wrote a result in its place.
    REFUSED = "refused"
    # The run ended before somebody allowed the call, or before it was begun.
    NOT_MADE = "not_made"


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that an earlier run made by a step, or asked people to allow.

    `name` is the step's, or the tool's in a question. `arguments` is a list of JSON values, or the
    beginning of its text if that has more than 500 characters. `result` is the recorded JSON,
    `error` the name of an exception's class. `approval` is the decision of a person, with edited
    arguments and a note; `said` is the answer to the question that followed a cut-off call.
    """

    name: str
    arguments: list[Any] | str
    state: CallState
    result: Any = None
    error: str = ""
    approval: ToolCallResponse | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class _Question:
    """A question of an earlier run, with its place in the run's journal."""

    row: Interaction
    decision: ToolCallResponse | None

    @property
    def is_about_call(self) -> bool:
        return bool(self.row.prompt["input_type"] == "tool_call")

    @property
    def is_approved(self) -> bool:
        return self.decision is not None and self.decision.approved

    @property
    def arguments(self) -> Any:
        """The arguments, as a person has approved them, else as they were shown."""
        if self.decision is not None and self.decision.approved:
            return self.decision.arguments
        return self.row.prompt["arguments"]

    def allows(self, entry: JournalEntry, *, by_name: bool) -> bool:
        """Return whether this question's approval may be that of the recorded call.

        `by_name`: the step has the name of the tool, maybe after a colon.
        """
        is_named = entry.name.rpartition(":")[2] == self.row.prompt["tool"]
        return (
            self.is_approved
            and self.row.position is not None
            and self.row.position < entry.position
            and _is_same(entry.arguments, self.arguments)
            and is_named >= by_name
        )


def read_calls(runs: Sequence[UUID], until: int | None = None) -> dict[str, list[PastCall]]:
    """Return the calls of these runs by the run's id, in order of their recording.

    `until` is the last sequence number of the log to read. Reads the database.
    """
    before = {} if until is None else {"sequence__lte": until}
    entries = JournalEntry.objects.filter(run__in=runs, kind=JournalEntry.Kind.STEP, **before)
    questions = Interaction.objects.filter(run__in=runs, position__isnull=False, **before)
    entries_of: dict[UUID, list[JournalEntry]] = {run: [] for run in runs}
    questions_of: dict[UUID, list[_Question]] = {run: [] for run in runs}
    for entry in entries.order_by("position"):
        entries_of[entry.run_id].append(entry)
    for row in questions.select_related("answered_by").order_by("position"):
        questions_of[row.run_id].append(_Question(row, _decision(row)))
    return {str(run): list(_calls(entries_of[run], questions_of[run])) for run in runs}


def _decision(row: Interaction) -> ToolCallResponse | None:
    by = None if row.answered_by is None else row.answered_by.get_username()
    is_default = row.status == Interaction.Status.EXPIRED
    return decision_on(row.prompt, row.response, by=by, at=row.answered_at, is_default=is_default)


def _calls(entries: Sequence[JournalEntry], questions: Sequence[_Question]) -> Iterator[PastCall]:
    asked = [one for one in questions if one.is_about_call]
    approvals = _approvals(entries, asked)
    by_position = {
        entry.position: _executed(entry, approvals.get(entry.position), questions)
        for entry in entries
    }
    used = [id(one) for one in approvals.values()]
    for number, question in enumerate(asked):
        is_open = id(question) not in used and not _is_asked_again(question, asked[number + 1 :])
        if is_open and question.row.position is not None:
            by_position.setdefault(question.row.position, _unexecuted(question))
    yield from (by_position[position] for position in sorted(by_position))


def _approvals(entries: Sequence[JournalEntry], asked: Sequence[_Question]) -> dict[int, _Question]:
    """Return the approval of each call by the call's position, each approval for one call.

    A workflow may give a step another name than the tool in its question: such steps come last.
    """
    approvals: dict[int, _Question] = {}
    left = list(asked)
    for by_name in (True, False):
        for entry in entries:
            found = next((one for one in left if one.allows(entry, by_name=by_name)), None)
            if found is not None and entry.position not in approvals:
                approvals[entry.position] = found
                left.remove(found)
    return approvals


def _executed(
    entry: JournalEntry, approval: _Question | None, questions: Sequence[_Question]
) -> PastCall:
    error, said, state = (entry.error or {}).get("type", ""), "", CallState.DONE
    if entry.finished_at is None or error == OutcomeUnknown.__name__:
        state, error = CallState.CUT_OFF, ""
        said = _said_after(entry, questions)
    elif error:
        state = CallState.FAILED
    arguments: list[Any] | str = _arguments(entry.arguments)
    if approval is not None and isinstance(arguments, str):
        arguments = [approval.arguments]
    decision = approval.decision if approval is not None else None
    return PastCall(entry.name, arguments, state, entry.result, error, decision, said)


def _unexecuted(question: _Question) -> PastCall:
    is_refused = question.decision is not None and not question.decision.approved
    state = CallState.REFUSED if is_refused else CallState.NOT_MADE
    tool, arguments = question.row.prompt["tool"], [question.arguments]
    return PastCall(tool, arguments, state, approval=question.decision)


def _is_asked_again(question: _Question, later: Iterable[_Question]) -> bool:
    """Return whether an edited call was asked about once more."""
    row, decision = question.row, question.decision
    return decision is not None and any(
        track_of(one.row.place) == track_of(row.place)
        and one.row.prompt["tool"] == row.prompt["tool"]
        and decision.arguments == one.row.prompt["arguments"]
        for one in later
    )


def _said_after(entry: JournalEntry, questions: Sequence[_Question]) -> str:
    """Return the answer to the question that directly follows a call in its track, or ""."""
    track = track_of(entry.place)
    following = (
        one
        for one in questions
        if track_of(one.row.place) == track and (one.row.position or 0) > entry.position
    )
    question = next(following, None)
    if question is None or question.row.response is None or question.is_about_call:
        return ""
    return answer_text(question.row.prompt, question.row.response)


def _arguments(recorded: str) -> list[Any] | str:
    try:
        arguments = json.loads(recorded or "[]")
    except ValueError:  # the record is cut
        return recorded
    return arguments if isinstance(arguments, list) else recorded


def _is_same(recorded: str, arguments: Any) -> bool:
    """Return whether recorded arguments of a call are these, alone or as keyword arguments."""
    return recorded == describe_arguments(arguments) or _arguments(recorded) == [arguments]
