"""The items of a transcript, made from events by pure functions.

An item keeps its place and DOM id from its first row to its last, and only grows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import ClassVar, NamedTuple
from uuid import UUID

from django.utils.safestring import SafeString
from django.utils.translation import pgettext_lazy

from chat_app.feedback import DOWN, MAX_LENGTHS, UP
from chat_app.page.cards import Card
from chat_app.page.conversation.history import KnownText
from chat_app.page.markdown.blocks import cut, finish_block, opening_text
from chat_app.page.markdown.markdown import render
from sessions_app.conversations.run_parts import RESTING, RunPart, read_parts
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Interaction, Run
from sessions_app.questions.outcomes import OutcomeText
from sessions_app.questions.question_view import QuestionView
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import Piece

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")


@dataclass(slots=True, kw_only=True)
class Item:
    """An item of the transcript, made of the rows from sequence `first` to `last`."""

    template: ClassVar[str]

    first: int
    last: int
    run: UUID
    at: datetime

    @property
    def dom_id(self) -> str:
        """The id of the item's HTML element."""
        return f"i{self.first}"


# Maximum characters with syntax colours in one part of a transcript, counted from its end.
# Colouring takes most of the rendering time.
MOST_COLOURED = 128 * 1024


class ShownFile(NamedTuple):
    """A file that came with a message."""

    id: str
    name: str
    content_type: str
    size: int

    @property
    def is_picture(self) -> bool:
        """True if browsers can show the file."""
        return self.content_type in PICTURES


class Versions(NamedTuple):
    """The number of a message's version, the total, and the runs of the neighbouring versions."""

    number: int
    total: int
    earlier: UUID | None
    later: UUID | None


@dataclass(slots=True, kw_only=True)
class MessageItem(Item):
    """A message of the person. `versions` is set if the message was edited or begun again."""

    template = "chat_app/items/user_message.html"

    message_id: str
    text: str
    # The name of the person who began the run again, if the run is a fork.
    begun_again_by: str = ""
    versions: Versions | None = None
    files: list[ShownFile] = field(default_factory=list)


class ShownText(NamedTuple):
    """The HTML of a text. `above` is final; `last`, which begins at `place`, may still change.

    `hidden_count` characters are left out in between. `held`: some text is held back for later.
    `ends_in_space`: the text ends in a space, which rendering drops, so a new word follows.
    """

    above: list[SafeString]
    last: list[str]
    hidden_count: int
    place: KnownText
    held: bool = False
    ends_in_space: bool = False


@dataclass(slots=True, kw_only=True)
class TextSegment(Item):
    """A stretch of a run's output, between two other items of the run. `text` is Markdown.

    The segment continues `known_text`, if set. `held`: more text follows, so incomplete marks are
    not shown. Code in the first `coloured_length` characters gets colours.
    """

    template = "chat_app/items/text.html"

    pieces: list[Piece] = field(default_factory=list)
    known_text: KnownText | None = None
    held: bool = False
    coloured_length: int = MOST_COLOURED

    @property
    def text(self) -> str:
        """The part of the text that the page does not have yet."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def shown(self) -> ShownText:
        """The text as HTML, cut to the length that a page may show."""
        text, known_text = self.text, self.known_text or KnownText(self.first, self.first, 0)
        limit = RuntimeSettings.load().MAX_SHOWN
        parts = cut(text[:limit], known_text.inside)
        ends = accumulate(map(len, parts.above))
        above = [
            render(
                part, parts.defined, id_prefix=self.dom_id, is_coloured=end <= self.coloured_length
            )
            for part, end in zip(parts.above, ends, strict=True)
        ]
        last = text[parts.at : limit]
        if len(text) > limit:  # show only the beginning of a long text
            return ShownText(
                above, [], len(text) - limit, self._find_known_text(known_text, len(text), "")
            )
        complete = finish_block(last, parts.inside) if self.held else last
        held = self.held and (len(complete) < len(last) or complete.endswith("\n"))
        part = ""
        if complete:
            part = render(
                opening_text(parts.inside, complete) + complete,
                parts.defined,
                id_prefix=self.dom_id,
                is_coloured=len(text) <= self.coloured_length,
                is_whole=not self.held,
            )
        shown_until = self._find_known_text(known_text, parts.at, parts.inside)
        return ShownText(above, [part], 0, shown_until, held, complete[-1:].isspace())

    def _find_known_text(self, known_text: KnownText, at: int, inside: str) -> KnownText:
        """Find the piece and offset of the character at an index of the text."""
        offset = known_text.offset
        for piece in self.pieces:
            if at < len(piece.text) or piece is self.pieces[-1]:
                return KnownText(self.first, piece.sequence, at + offset, inside)
            at, offset = at - len(piece.text), 0
        return known_text


@dataclass(slots=True, kw_only=True)
class Step(Item):
    """A visible step. `state` is in_progress, complete or failed; `text` is Markdown.

    `seconds` is the duration, up to now for a step in progress.
    """

    template = "chat_app/items/step.html"

    name: str
    state: str
    text: str
    seconds: float = 0
    coloured_length: int = MOST_COLOURED

    @property
    def shown(self) -> SafeString:
        """The payload as HTML, with colours if its code is short enough."""
        return render(
            self.text, id_prefix=self.dom_id, is_coloured=len(self.text) <= self.coloured_length
        )


@dataclass(slots=True, kw_only=True)
class Question(Item):
    """A prompt in the transcript: a card while pending, then one line with the outcome.

    If more prompts are pending than are shown at once, the later prompts have no card.
    """

    template = "chat_app/items/question.html"

    view: QuestionView
    card: Card | None = None

    @property
    def interaction(self) -> Interaction:
        """The database row of the prompt."""
        return self.view.interaction

    @property
    def outcome(self) -> OutcomeText | None:
        """The outcome in words; None while the prompt is pending."""
        return self.view.outcome


@dataclass(frozen=True)
class GivenFeedback:
    """The person's feedback on a run; empty if none was given."""

    reaction: str = ""
    comment: str = ""

    # The feedback buttons, and the maximum length of a comment.
    thumbs: ClassVar = (
        (UP, pgettext_lazy("hitl", "Good answer")),
        (DOWN, pgettext_lazy("hitl", "Bad answer")),
    )
    longest: ClassVar = MAX_LENGTHS["comment"]


@dataclass(slots=True, kw_only=True)
class RunNote(Item):
    """The item below a run's output: how the run ended, and the feedback.

    `retry_message_id` is the id of the message that repeats the run, if allowed. `feedback` is the
    person's opinion of the run, if asked for.
    """

    template = "chat_app/items/note.html"

    status: str
    reason: str = ""
    retry_message_id: str = ""
    feedback: GivenFeedback | None = None


def build(
    rows: list[EventRecord],
    interactions: Mapping[UUID, Interaction],
    *,
    continued_texts: Mapping[UUID, KnownText] | None = None,
    hold: bool = False,
) -> list[Item]:
    """Build the items of these rows, in the order of their first rows.

    Of texts in `continued_texts`, only the rest is built. `hold`: hold back the end of unfinished
    text.
    """
    # Texts that the page has in part. A text is removed once its continuation is found.
    unmet_texts = dict(continued_texts or {})
    items: list[Item] = []
    for part in read_parts(rows):
        if part.type == Event.Type.MESSAGE:
            item: Item | None = _text(part, unmet_texts.pop(part.events[0].run, None), hold=hold)
        else:
            item = _item(part, interactions)
        if item is not None:
            items.append(item)
    items = _order(items)
    characters = MOST_COLOURED
    for item in reversed(items):
        if isinstance(item, TextSegment | Step):
            item.coloured_length = characters
            characters = max(0, characters - len(item.text))
    return items


def _order(items: list[Item]) -> list[Item]:
    """Sort the items by first row, but each run's note after all other items of the run.

    The message that replaces a run is stored before the run has ended.
    """
    last: dict[UUID, int] = {}
    for item in items:
        if not isinstance(item, RunNote):
            last[item.run] = max(last.get(item.run, 0), item.first)

    def sort_key(item: Item) -> tuple[int, int]:
        is_note = isinstance(item, RunNote)
        return (last.get(item.run, item.first) if is_note else item.first), item.first

    return sorted(items, key=sort_key)


def _text(part: RunPart, known_text: KnownText | None, *, hold: bool) -> TextSegment | None:
    pieces = list(_rest(part.pieces, known_text))
    base = _base(part) | ({"first": known_text.first} if known_text else {})
    segment = TextSegment(**base, pieces=pieces, known_text=known_text, held=hold and part.is_open)
    return segment if known_text or segment.text.strip() else None


def _item(part: RunPart, interactions: Mapping[UUID, Interaction]) -> Item | None:
    base, payload = _base(part), part.payload
    match part.type:
        case Event.Type.USER_MESSAGE:
            return MessageItem(
                **base,
                message_id=payload["message_id"],
                text=payload["text"],
                begun_again_by=payload.get("fork", {}).get("by", ""),
                files=[ShownFile(**file) for file in payload.get("files", ())],
            )
        case Event.Type.STEP:
            name, state, text = (payload[key] for key in ("name", "state", "payload"))
            took = (part.events[-1].created_at - part.events[0].created_at).total_seconds()
            seconds = round(max(0, took), 0 if took >= 10 else 1)
            return Step(**base, name=name, state=state, text=text, seconds=seconds)
        case Event.Type.INTERACTION:
            interaction = interactions.get(UUID(payload["interaction_id"]))
            if interaction is not None:
                base |= {"first": interaction.sequence, "at": interaction.created_at}
                return Question(**base, view=QuestionView.of(interaction))
        case Event.Type.RUN if payload["status"] in RESTING:
            # Build no item for an ended child run, because a step of the parent run shows the end.
            if "parent" not in payload or payload["status"] == Run.Status.SUSPENDED:
                reason = (payload.get("error") or {}).get("message", "")
                return RunNote(**base, status=payload["status"], reason=reason)
    return None


def _base(part: RunPart) -> JsonObject:
    row, last = part.events[0], part.events[-1].sequence
    return {"first": row.first_sequence, "last": last, "run": row.run, "at": row.created_at}


def _rest(pieces: Iterable[Piece], known_text: KnownText | None) -> Iterator[Piece]:
    """Yield the pieces of text that follow the part already on the page."""
    for piece in pieces:
        if known_text is None or piece.sequence > known_text.sequence:
            yield piece
        elif piece.sequence == known_text.sequence:
            yield Piece(piece.sequence, piece.text[known_text.offset :])
