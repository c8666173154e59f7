"""From events to what people read: pure functions from rows to items.

An item keeps its place and its DOM id from its first row to its last; it only grows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from django.utils.safestring import SafeString

from chat_app.page.cards import detail_rows
from chat_app.page.history import BREAKS, Known
from chat_app.page.texts.blocks import cut, opening
from chat_app.page.texts.markdown import render
from chat_app.page.texts.unfinished import finished
from sessions_app.conversations.outcome_texts import OutcomeText, outcome
from sessions_app.models import Event, Interaction, Run
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import Piece, TakenBack, split, taken_back, undo


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


class ShownText(NamedTuple):
    """HTML of a text. `above` never changes again; `last`, which begins at `place`, may.

    `hidden`: how many characters are left out between them. `held`: there is text that is shown
    later. `ends_in_space`: rendering drops that, and what comes next is another word.
    """

    above: list[SafeString]
    last: list[str]
    hidden: int
    place: Known
    held: bool = False
    ends_in_space: bool = False


@dataclass(slots=True, kw_only=True)
class TextSegment(Item):
    """A stretch of a run's output, between two other items of the run. `text` is Markdown.

    It goes on where it is `known`. `held`: more comes, and marks are not shown before they are
    whole.
    """

    template = "chat_app/items/text.html"

    pieces: list[Piece] = field(default_factory=list)
    known: Known | None = None
    held: bool = False

    @property
    def text(self) -> str:
        """All of it that is not known."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def shown(self) -> ShownText:
        """As the page shows it."""
        text, known = self.text, self.known or Known(self.first, self.first, 0)
        most = RuntimeSettings.load().MAX_SHOWN
        found = cut(text[:most], known.inside)
        above = [render(part, found.references) for part in found.above]
        last = text[found.at : most]
        if len(text) > most:  # the rest of it is not on the page
            return ShownText(above, [], len(text) - most, self._place(known, len(text), ""))
        kept = finished(last, found.inside) if self.held else last
        held = self.held and (len(kept) < len(last) or kept.endswith("\n"))
        part = render(opening(found.inside, kept) + kept, found.references) if kept else ""
        place = self._place(known, found.at, found.inside)
        return ShownText(above, [part], 0, place, held, kept[-1:].isspace())

    def _place(self, known: Known, at: int, inside: str) -> Known:
        """Where the character is that is at this place of the text."""
        skipped = known.offset
        for piece in self.pieces:
            if at < len(piece.text) or piece is self.pieces[-1]:
                return Known(self.first, piece.sequence, at + skipped, inside)
            at, skipped = at - len(piece.text), 0
        return known


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
    continued: Mapping[UUID, Known]
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
            known = self.continued.get(row.run)
            first = known.first if known else row.first_sequence
            segment = TextSegment(**_base(row) | {"first": first}, known=known)
            self.items.append(segment)
            self.open_text[row.run] = segment
        segment.pieces += _rest(_uncut(row, self.cuts.get(row.run, [])), segment.known)
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
        if status in (*Run.FINISHED, Run.Status.SUSPENDED):
            self.open_text.pop(row.run, None)
        if "parent" in row.payload and status != Run.Status.SUSPENDED:
            return  # its parent's step says it
        if status in (Run.Status.FAILED, Run.Status.CANCELLED, Run.Status.SUSPENDED):
            self.items.append(RunNote(**_base(row), status=status, reason=error.get("message", "")))
        if status in Run.FINISHED and row.run in self.feedback:
            self.items.append(FeedbackNote(**_base(row), text=self.feedback[row.run]))


def build(
    rows: list[EventRecord],
    interactions: Mapping[UUID, Interaction],
    feedback: Mapping[UUID, str],
    *,
    continued: Mapping[UUID, Known] | None = None,
    hold: bool = False,
) -> list[Item]:
    """The items of these rows, in the order of their first ones; `feedback` is by run.

    Of those that are `continued`, the rest. `hold`: text to which more comes has its end held back.
    """
    builder = _Builder(interactions, feedback, _cuts(rows), continued or {})
    for row in rows:
        builder.add(row)
    for segment in builder.open_text.values():
        segment.held = hold
    shown = (
        item
        for item in builder.items
        if not isinstance(item, TextSegment) or item.known or item.text.strip()
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


def _uncut(row: EventRecord, cuts: list[TakenBack]) -> list[Piece]:
    """The row's text without what was taken back."""
    return undo(split(row.first_sequence, row.payload), cuts)


def _rest(pieces: list[Piece], known: Known | None) -> Iterator[Piece]:
    """Those behind what is known."""
    for piece in pieces:
        if known is None or piece.sequence > known.sequence:
            yield piece
        elif piece.sequence == known.sequence:
            yield Piece(piece.sequence, piece.text[known.offset :])
