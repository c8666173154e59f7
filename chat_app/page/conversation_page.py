"""All that the page of a conversation shows, read at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from django.db.models import Case, F, TextField, Value, When
from django.utils import timezone
from django.utils.translation import gettext

from chat_app.page import history
from chat_app.page.cards import Card, TypedAnswer, cards
from chat_app.page.history import Known
from chat_app.page.run_state import RunState, run_state
from chat_app.page.transcript import Item, RunNote, build
from sessions_app.conversations.feedback import as_line
from sessions_app.errors import UnknownWorkflow
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.models.people import UserId
from sessions_app.storage.records import EventRecord
from sessions_app.workflows import registry


class Wanted(NamedTuple):
    """The newest items of those between two sequences; the rest is for `history` and `build`."""

    after: int = 0
    before: int | None = None
    known: Mapping[UUID, Known] = MappingProxyType({})
    hold: bool = False


ALL = Wanted()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A part of the transcript. `last`: every event up to it is in here (or before here).

    `older` is the sequence to ask for what comes before, 0 at the beginning; `skipped` says that
    this part does not reach back to where it was asked from.
    """

    items: list[Item]
    last: int
    older: int
    skipped: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A conversation as it stands. `conversation` is None for one that has no message yet."""

    conversation_id: str
    conversation: Conversation | None
    transcript: Transcript
    state: RunState
    cards: list[Card]
    offered: registry.Offered | None
    now: datetime

    @property
    def title(self) -> str:
        """What the page is called."""
        return self.conversation.title if self.conversation else gettext("New conversation")

    @property
    def about(self) -> str:
        """Which workflow it runs."""
        if self.offered is not None:
            return self.offered.workflow.title
        return self.conversation.workflow if self.conversation else ""

    @property
    def enter(self) -> str:
        """What sending a message would do now, where that is not plain."""
        if not self.state.active:
            return ""
        what = {
            "enqueue": gettext(
                "Enter puts your message in the queue, for when this run has ended."
            ),
            "reject": gettext("A new message is taken when this run has ended."),
            "interrupt": gettext("Enter stops this run and starts with your message."),
            "parallel": gettext("Enter starts another run beside this one."),
        }[(self.offered and self.offered.policy) or "enqueue"]
        if self.cards:
            return gettext("The question above waits for its own answer. ") + what
        return what


def read_page(
    owner: UserId,
    conversation_id: str,
    wanted: Wanted = ALL,
    *,
    typed: TypedAnswer | None = None,
) -> Page:
    """The page with what is wanted of its transcript. Blocks: call it in a thread."""
    mine = Conversation.objects.filter(owner_id=owner, conversation_id=conversation_id)
    conversation = mine.first()
    if conversation is None:
        nothing = Transcript([], 0, 0, skipped=False)
        state = RunState("new", "")
        return Page(conversation_id, None, nothing, state, [], None, timezone.now())
    transcript = read_transcript(conversation, wanted)
    pending = cards(conversation.id, typed)
    state = run_state(conversation.id, {card.interaction.run_id for card in pending})
    try:
        offered = registry.get(conversation.workflow)
    except UnknownWorkflow:
        offered = None
    now = timezone.now()
    return Page(conversation_id, conversation, transcript, state, pending, offered, now)


def read_transcript(conversation: Conversation, wanted: Wanted = ALL) -> Transcript:
    """Part of the transcript; bounded. Blocks: call it in a thread."""
    found = history.read(
        conversation.id, after=wanted.after, before=wanted.before, known=wanted.known
    )
    feedback, texts = _ended(found.rows)
    items = build(
        found.rows,
        _interactions(found.rows),
        feedback,
        continued=found.continued,
        hold=wanted.hold,
    )
    for item in items:
        if isinstance(item, RunNote) and item.status != "suspended":
            item.retry = texts.get(item.run, "")
    older = found.start if found.start > 1 else 0
    return Transcript(items, conversation.last_sequence, older, found.skipped)


def _interactions(rows: list[EventRecord]) -> dict[UUID, Interaction]:
    types = (Event.Type.INTERACTION, Event.Type.INTERACTION_UPDATE)
    ids = {row.payload["interaction_id"] for row in rows if row.type in types}
    return Interaction.objects.select_related("answered_by").in_bulk(ids) if ids else {}


def _ended(rows: list[EventRecord]) -> tuple[dict[UUID, str], dict[UUID, str]]:
    """Of the runs that end here, by run: the feedback as a line, and what to try again."""
    ends = {row.run for row in rows if row.type == Event.Type.RUN}
    if not ends:
        return {}, {}
    again = Case(
        When(status__in=(Run.Status.FAILED, Run.Status.CANCELLED), then=F("text")),
        default=Value(""),
        output_field=TextField(),
    )
    runs = list(Run.objects.filter(pk__in=ends).values_list("id", "feedback", again))
    feedback = {run: as_line(given) for run, given, _ in runs if given}
    return feedback, {run: text for run, _, text in runs}
