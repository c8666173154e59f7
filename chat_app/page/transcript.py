"""From events to what people read: pure functions from rows to items.

An item keeps its place and its DOM id from its first row to its last; it only grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from chat_app.page.cards import detail_rows
from chat_app.page.history import BREAKS
from sessions_app.conversations.outcome_texts import OutcomeText, outcome
from sessions_app.models import Event, Interaction, Run
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import TakenBack, split, taken_back, undo


@dataclass(slots=True, kw_only=True)
class Item:
    """Something in the transcript, made of the rows from sequence `first` to `last`."""

    template: ClassVar[str]

    first: int
    last: int
    run: UUID
    at: datetime

    @property
    def dom_id(self) -> str:
        """The id of its element."""
        return f"i{self.first}"


@dataclass(slots=True, kw_only=True)
class UserMessage(Item):
    """What the person wrote."""

    template = "chat_app/items/user_message.html"

    message_id: str
    text: str
    # Who had its run begin again, where that is a fork.
    begun_again_by: str = ""


@dataclass(slots=True, kw_only=True)
class TextSegment(Item):
    """A stretch of a run's output, between two other items of the run. `text` is Markdown."""

    template = "chat_app/items/text.html"

    text: str = ""

    @property
    def shown(self) -> str:
        """As much as the page takes."""
        return self.text[: RuntimeSettings.load().MAX_SHOWN]

    @property
    def hidden(self) -> int:
        """How many characters it does not show."""
        return len(self.text) - len(self.shown)

    @property
    def ends_in_space(self) -> bool:
        """Rendering drops it; what comes next in a word must not be joined to the last one."""
        return self.text[-1:].isspace()


@dataclass(slots=True, kw_only=True)
class Step(Item):
    """A step that people see. `state` is in_progress, complete or failed; `payload` Markdown."""

    template = "chat_app/items/step.html"

    name: str
    state: str
    payload: str


@dataclass(slots=True, kw_only=True)
class Question(Item):
    """A prompt at its place: a mark while it is pending, one line with its outcome after."""

    template = "chat_app/items/question.html"

    interaction: Interaction
    outcome: OutcomeText | None = None

    @property
    def details(self) -> list[tuple[str, str, bool]]:
        """What the question was about, as rows."""
        return detail_rows(self.interaction.prompt.get("details", {}))


@dataclass(slots=True, kw_only=True)
class RunNote(Item):
    """How a run ended, where it did not simply complete. `retry` is the message to send anew."""

    template = "chat_app/items/note.html"

    status: str
    reason: str = ""
    retry: str = ""


@dataclass(slots=True, kw_only=True)
class FeedbackNote(Item):
    """What the person thinks of what a run came to."""

    template = "chat_app/items/feedback.html"

    text: str

    @property
    def dom_id(self) -> str:
        """Its own: at the run's end there may be a note too."""
        return f"f{self.first}"


@dataclass(slots=True)
class _Builder:
    """Goes over the rows in the order of the log."""

    interactions: Mapping[UUID, Interaction]
    feedback: Mapping[UUID, str]
    cuts: Mapping[UUID, list[TakenBack]]
    items: list[Item] = field(default_factory=list)
    open_text: dict[UUID, TextSegment] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    questions: dict[UUID, Question] = field(default_factory=dict)

    def add(self, row: EventRecord) -> None:
        """Take one row in."""
        if row.type in BREAKS:
            self.open_text.pop(row.run, None)
        handle = {
            Event.Type.USER_MESSAGE: self._user_message,
            Event.Type.MESSAGE: self._text,
            Event.Type.STEP: self._step,
            Event.Type.INTERACTION: self._question,
            Event.Type.INTERACTION_UPDATE: self._question,
            Event.Type.RUN: self._run,
        }.get(Event.Type(row.type))
        if handle is not None:
            handle(row)

    def _user_message(self, row: EventRecord) -> None:
        text, message_id = row.payload["text"], row.payload["message_id"]
        by = row.payload.get("fork", {}).get("by", "")
        message = UserMessage(**_base(row), message_id=message_id, text=text, begun_again_by=by)
        self.items.append(message)

    def _text(self, row: EventRecord) -> None:
        segment = self.open_text.get(row.run)
        if segment is None:
            segment = TextSegment(**_base(row))
            self.items.append(segment)
            self.open_text[row.run] = segment
        segment.text += _uncut(row, self.cuts.get(row.run, []))
        segment.last = row.sequence

    def _step(self, row: EventRecord) -> None:
        name, state, payload = (row.payload[key] for key in ("name", "state", "payload"))
        step = self.steps.get(row.payload["step_id"])
        if step is None:
            step = Step(**_base(row), name=name, state=state, payload=payload)
            self.steps[row.payload["step_id"]] = step
            self.items.append(step)
        step.name, step.state, step.payload, step.last = name, state, payload, row.sequence

    def _question(self, row: EventRecord) -> None:
        key = UUID(row.payload["interaction_id"])
        interaction = self.interactions.get(key)
        if interaction is None:
            return
        if key not in self.questions:
            base = _base(row) | {"first": interaction.sequence, "at": interaction.created_at}
            question = Question(**base, interaction=interaction, outcome=outcome(interaction))
            self.questions[key] = question
            self.items.append(question)
        self.questions[key].last = row.sequence

    def _run(self, row: EventRecord) -> None:
        status, error = row.payload["status"], row.payload.get("error") or {}
        if status in (Run.Status.FAILED, Run.Status.CANCELLED, Run.Status.SUSPENDED):
            self.items.append(RunNote(**_base(row), status=status, reason=error.get("message", "")))
        if status in Run.FINISHED and row.run in self.feedback:
            self.items.append(FeedbackNote(**_base(row), text=self.feedback[row.run]))


def build(
    rows: list[EventRecord],
    interactions: Mapping[UUID, Interaction],
    feedback: Mapping[UUID, str],
) -> list[Item]:
    """The items of these rows, in the order of their first ones; `feedback` is by run."""
    builder = _Builder(interactions, feedback, _cuts(rows))
    for row in rows:
        builder.add(row)
    shown = (
        item for item in builder.items if not isinstance(item, TextSegment) or item.text.strip()
    )
    return sorted(shown, key=lambda item: item.first)


def _base(row: EventRecord) -> dict[str, Any]:
    return {
        "first": row.first_sequence,
        "last": row.sequence,
        "run": row.run,
        "at": row.created_at,
    }


def _cuts(rows: list[EventRecord]) -> dict[UUID, list[TakenBack]]:
    """Of each run, the spans of sequences whose text was begun anew."""
    cuts: dict[UUID, list[TakenBack]] = {}
    for row in rows:
        if row.type == Event.Type.RESTART:
            cuts.setdefault(row.run, []).append(taken_back(row.sequence, row.payload))
    return cuts


def _uncut(row: EventRecord, cuts: list[TakenBack]) -> str:
    """The row's text without what was taken back."""
    if not cuts:
        return str(row.payload["text"])
    return "".join(piece.text for piece in undo(split(row.first_sequence, row.payload), cuts))
