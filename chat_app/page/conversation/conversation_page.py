"""The contents of a conversation's page, all read in one call."""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery
from django.utils.translation import npgettext, pgettext

from chat_app.feed.selectors import find_conversation, pending_interactions
from chat_app.page.cards import Card, TypedAnswer, cards
from chat_app.page.conversation import history
from chat_app.page.conversation.history import KnownText
from chat_app.page.conversation.transcript import (
    GivenFeedback,
    Item,
    MessageItem,
    Question,
    RunNote,
    TextSegment,
    Versions,
    build,
)
from sessions_app.interactions.answerers import PromptAudience, may_answer
from sessions_app.json_types import JsonObject
from sessions_app.models import Conversation, Event, Interaction, Run, attached_files
from sessions_app.models.people import UserId
from sessions_app.questions.question_view import QuestionView
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import clock
from sessions_app.storage.branches import Branches, read_all
from sessions_app.storage.records import EventRecord
from sessions_app.workflows import registry

CARDS = 20  # maximum number of pending questions with a card, the oldest ones
MOST_SHOWN = 20  # maximum number of runs that determine the page's state


class ItemRange(NamedTuple):
    """A request for the newest items between two sequences, on the branch that contains a run.

    `known_texts` are the texts that the page already has; `hold` holds back incomplete Markdown.
    """

    after: int = 0
    before: int | None = None
    known_texts: Mapping[UUID, KnownText] = MappingProxyType({})
    hold: bool = False
    branch: UUID | None = None


ALL_ITEMS = ItemRange()


class ShownBranch:
    """The shown branch of a conversation: the newest, or the requested branch.

    `begins` is the first run after the fork from another branch, empty for the first branch.
    `follows` is the run that the next message continues, empty if that is the newest run of all.
    """

    def __init__(self, conversation: Conversation, selected_run: UUID | None) -> None:
        self.branches = read_all(conversation.id) if conversation.branched else Branches(())
        newest = self.branches.newest()
        end = (selected_run and self.branches.end(selected_run)) or newest
        branch = self.branches.up_to(end)
        self.off_branch = self.branches.runs_outside(branch)
        self.begins = self.branches.beginning(branch) or ""
        self.follows = "" if end == newest else end
        self.selected_run = selected_run if self.follows else None

    def find_versions(self, run: UUID) -> Versions | None:
        """Return the place of the run's message among its versions; None for a single version."""
        runs = self.branches.versions(run)
        if len(runs) < 2:
            return None
        at = runs.index(run)
        later = runs[at + 1] if at + 1 < len(runs) else None
        return Versions(at + 1, len(runs), runs[at - 1] if at else None, later)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A part of a conversation's transcript, complete up to the sequence `last`.

    `older` is the sequence for requesting the part before, 0 at the beginning. `skipped`: the
    part does not reach back to the requested start. `pending` are all waiting questions of the
    conversation, oldest first, inside or outside this part.
    """

    items: list[Item]
    last: int
    older: int
    skipped: bool
    pending: list[Interaction]


@dataclass(frozen=True, slots=True)
class ConversationState:
    """The state of a conversation: `name` is for CSS and scripts, `words` for people.

    Times are the start or end of the shown timer. `behind` tells of queued messages;
    `stoppable`: Stop would have an effect.
    """

    name: str
    words: str
    since: datetime | None = None
    until: datetime | None = None
    behind: str = ""
    stoppable: bool = False

    @property
    def active(self) -> bool:
        """True if a run is active: queued, working, waiting or stopping."""
        return self.name in ("queued", "working", "needs-you", "sleeping", "waiting", "stopping")


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """A conversation's page. `conversation` is None before the first message and after deletion.

    After deletion, the conversation is `deleted_conversation`. `unplaced_cards` are cards whose
    questions are not in this part of the transcript.
    """

    conversation_id: str
    conversation: Conversation | None
    branch: ShownBranch | None
    transcript: Transcript
    state: ConversationState
    cards: list[Card]
    unplaced_cards: list[Card]
    offer: registry.OfferedWorkflow | None
    now: datetime
    deleted_conversation: Conversation | None = None

    @property
    def title(self) -> str:
        """The title of the page."""
        return (
            self.conversation.title if self.conversation else pgettext("hitl", "New conversation")
        )

    @property
    def query(self) -> str:
        """The URL query that shows the same branch again."""
        return self._query()

    @property
    def earlier(self) -> str:
        """The URL query that shows the part before this part."""
        return self._query(before=self.transcript.older)

    def _query(self, **parameters: object) -> str:
        if self.branch and self.branch.selected_run:
            parameters["branch"] = self.branch.selected_run
        return f"?{urlencode(parameters)}" if parameters else ""

    @property
    def about(self) -> str:
        """The title of the conversation's workflow."""
        if self.offer is not None:
            return self.offer.workflow.title
        return self.conversation.workflow if self.conversation else ""

    def takes_files(self, choices: Iterable[registry.OfferedWorkflow]) -> bool:
        """Return whether the workflow, or any of the `choices` for a new chat, accepts files."""
        offers = choices if self.conversation is None else filter(None, [self.offer])
        any_takes = any(offer.workflow.takes_files for offer in offers)
        return any_takes and RuntimeSettings.load().MAX_FILES > 0

    @property
    def enter(self) -> str:
        """The placeholder of the message field, which tells what sending a message now would do."""
        if not self.state.active:
            return pgettext("hitl", "Write a message")
        policy = (self.offer and self.offer.policy) or "enqueue"
        if self.cards:
            return {
                "enqueue": pgettext("hitl", "Answer above, or queue a message"),
                "reject": pgettext("hitl", "Answer above first; this run takes no other message"),
                "interrupt": pgettext("hitl", "Answer above, or type to stop and change course"),
                "parallel": pgettext("hitl", "Answer above, or send a new message"),
            }[policy]
        return {
            "enqueue": pgettext("hitl", "Message (sent when this is done)"),
            "reject": pgettext("hitl", "Wait for this run to end, or stop it"),
            "interrupt": pgettext("hitl", "Send a message to stop and redirect"),
            "parallel": pgettext("hitl", "Send another message"),
        }[policy]


def read_page(
    owner: UserId,
    conversation_id: str,
    item_range: ItemRange = ALL_ITEMS,
    *,
    typed_answer: TypedAnswer | None = None,
) -> ConversationPage:
    """Read the page with the requested part of the transcript. Blocks: call it in a thread."""
    conversations = Conversation.objects.filter(owner_id=owner, conversation_id=conversation_id)
    conversation = conversations.first()
    if conversation is None or conversation.deleted_at is not None:
        transcript = Transcript([], 0, 0, skipped=False, pending=[])
        state = ConversationState("new", "")
        now = clock.now()
        return ConversationPage(
            *(conversation_id, None, None, transcript, state, [], [], None, now),
            deleted_conversation=conversation,
        )
    branch = ShownBranch(conversation, item_range.branch)
    runs = read_runs(conversation.id)  # read before the events: ended runs then have all their text
    transcript = read_transcript(conversation, item_range, branch)
    pending = cards(transcript.pending, typed_answer)
    state = run_state(runs, {card.interaction.run_id for card in pending})
    placed_cards, unplaced_cards = _place_cards(pending, transcript.items)
    return ConversationPage(
        conversation_id,
        conversation,
        branch,
        transcript,
        state,
        [*placed_cards, *unplaced_cards],
        unplaced_cards,
        registry.find(conversation.workflow),
        clock.now(),
    )


def edited_message(page: ConversationPage, run: UUID) -> dict[str, str | bool]:
    """Return the composer's contents for editing a run's message. Blocks: call it in a thread."""
    runs = Run.objects.filter(pk=run, conversation=page.conversation, parent=None)
    for text, metadata in runs.values_list("text", "metadata"):
        return {"draft": text, "editing": str(run), "keeps_files": bool(attached_files(metadata))}
    return {}


def read_transcript(
    conversation: Conversation, item_range: ItemRange = ALL_ITEMS, branch: ShownBranch | None = None
) -> Transcript:
    """Read a bounded part of the transcript. Blocks: call it in a thread."""
    branch = branch or ShownBranch(conversation, item_range.branch)
    part = history.read(
        conversation.id,
        after=item_range.after,
        before=item_range.before,
        known_texts=item_range.known_texts,
        off_branch=branch.off_branch,
    )
    feedback, statuses = _read_ended_runs(part.rows)
    interactions = _interactions(conversation.id, part.rows)
    items = build(
        part.rows, interactions, continued_texts=part.continued_texts, hold=item_range.hold
    )
    for item in items:
        if isinstance(item, MessageItem):
            item.versions = branch.find_versions(item.run)
        elif isinstance(item, RunNote) and item.status == statuses.get(item.run):
            item.retry_message_id = f"again-{item.run}-{len(branch.branches.versions(item.run))}"
            empty_feedback = GivenFeedback() if item.status == Run.Status.COMPLETED else None
            item.feedback = feedback.get(item.run, empty_feedback)
    older = part.start if part.start > 1 else 0
    pending = _for_owner(conversation, interactions.values())
    return Transcript(items, conversation.last_sequence, older, part.skipped, pending)


def read_text(owner: UserId, conversation_id: str, run: UUID, first: int) -> str | None:
    """Return the Markdown of the text item that began at `first`, or None. Blocks."""
    key = find_conversation(owner, conversation_id)
    if key is None or not Run.objects.filter(pk=run, conversation=key).exists():
        return None
    items = build(history.read_text(key, run, first), {})
    texts = [item.text for item in items if isinstance(item, TextSegment) and item.first == first]
    return texts[0] if texts else None


def _place_cards(pending: list[Card], items: list[Item]) -> tuple[list[Card], list[Card]]:
    """Put each card at its question, and number the cards in page order.

    Return the cards that have such a place, and the others, which are shown at the end of the page.
    """
    questions = {item.interaction.id: item for item in items if isinstance(item, Question)}
    on_page = sorted(pending, key=lambda card: card.interaction.id not in questions)
    numbered_cards = [
        replace(card, number=number, total=len(on_page)) for number, card in enumerate(on_page, 1)
    ]
    for card in numbered_cards:
        if question := questions.get(card.interaction.id):
            question.card = card
    placed_count = sum(card.interaction.id in questions for card in numbered_cards)
    return numbered_cards[:placed_count], numbered_cards[placed_count:]


def _interactions(conversation: UUID, rows: list[EventRecord]) -> dict[UUID, Interaction]:
    """Read the interactions of the rows, and the pending interactions."""
    ids = {row.payload["interaction_id"] for row in rows if "interaction_id" in row.payload}
    oldest = pending_interactions(conversation=conversation).order_by("sequence")
    condition = Q(pk__in=ids) | Q(pk__in=oldest.values("pk")[:CARDS])
    interactions = Interaction.objects.filter(condition, conversation=conversation)
    with_run = interactions.select_related("answered_by", "assignee", "run")
    return with_run.defer("run__text", "run__metadata", "run__error").in_bulk()


def _for_owner(
    conversation: Conversation, interactions: Iterable[Interaction]
) -> list[Interaction]:
    """Return the oldest questions that the owner can answer, as owner or as candidate."""
    own: list[Interaction] = []
    others: list[Interaction] = []
    for interaction in sorted(interactions, key=lambda interaction: interaction.sequence):
        if interaction.status == Interaction.Status.PENDING:
            interaction.conversation = conversation
            (own if interaction.for_owner else others).append(interaction)
    owner = conversation.owner_id
    own += [
        interaction
        for interaction in others[:CARDS]
        if interaction.assignee_id in (None, owner)
        and may_answer(owner, PromptAudience.of(interaction))
    ]
    return sorted(own, key=lambda interaction: interaction.sequence)[:CARDS]


def _read_ended_runs(rows: list[EventRecord]) -> tuple[dict[UUID, GivenFeedback], dict[UUID, str]]:
    """Return feedback and status, by run, of the runs that end in these rows."""
    ends = {row.run for row in rows if row.type == Event.Type.RUN}
    if not ends:
        return {}, {}
    ended_runs = Run.objects.filter(pk__in=ends, status__in=Run.FINISHED)
    runs = list(ended_runs.values_list("id", "status", "feedback__reaction", "feedback__comment"))
    feedback = {run: GivenFeedback(*columns) for run, _, *columns in runs if None not in columns}
    return feedback, {run: status for run, status, *_ in runs}


def read_runs(conversation: UUID) -> dict[Run, JsonObject | None]:
    """Read the runs that may determine the state, oldest first, with last steps. Blocks."""
    conversation_runs = Run.objects.filter(conversation_id=conversation)
    ended_runs = conversation_runs.filter(parent=None, status__in=Run.FINISHED).order_by(
        "-sequence"
    )
    live = conversation_runs.filter(status__in=[*Run.UNFINISHED, Run.Status.SUSPENDED])
    steps = Event.objects.filter(run=OuterRef("pk"), type=Event.Type.STEP).order_by("-sequence")
    runs = (
        (live | conversation_runs.filter(pk=Subquery(ended_runs.values("pk")[:1])))
        .annotate(last_step=Subquery(steps.values("payload")[:1]))
        .order_by("sequence")[:MOST_SHOWN]
    )
    return {run: run.last_step for run in runs}


def run_state(
    runs: dict[Run, JsonObject | None], asking_runs: Collection[UUID]
) -> ConversationState:
    """Return the state of the most relevant run: one that waits for the reader, else an active one.

    `runs` come from `read_runs`; `asking_runs` are the runs that wait for the reader.
    """
    active = [run for run in runs if run.status in Run.UNFINISHED]
    if not active:
        return _at_rest(list(runs))
    first = min(active, key=lambda run: _rank(run, asking_runs))
    if asking_runs and (first.id not in asking_runs or first.stop_requested_at is None):
        state = ConversationState(
            "needs-you", pgettext("hitl", "Waiting for you")
        )  # even if the runs that ask are missing from `runs`
    else:
        state = _state(first, runs[first])
    messages = [run for run in active if run.parent_id is None and run is not first]
    queued_count = sum(run.status == Run.Status.QUEUED for run in messages)
    behind = npgettext("hitl", "%(n)d message queued", "%(n)d messages queued", queued_count)
    return replace(
        state,
        behind=behind % {"n": queued_count} if queued_count else "",
        stoppable=any(run.stop_requested_at is None for run in active),
    )


def _rank(run: Run, asking_runs: Container[UUID]) -> int:
    if run.id in asking_runs:
        return 0
    order = (Run.Status.RUNNING, Run.Status.WAITING, Run.Status.QUEUED)
    return 1 + order.index(Run.Status(run.status))


def _state(run: Run, last: JsonObject | None) -> ConversationState:
    if run.stop_requested_at is not None:
        return ConversationState("stopping", pgettext("hitl", "Stopping"), run.stop_requested_at)
    if run.status == Run.Status.QUEUED:
        return ConversationState("queued", pgettext("hitl", "Queued"), run.created_at)
    if run.status == Run.Status.WAITING and run.wake_at is not None:
        return ConversationState("sleeping", pgettext("hitl", "Paused until"), until=run.wake_at)
    if run.status == Run.Status.WAITING and (interaction := _others(run)) is not None:
        return ConversationState(
            "waiting", QuestionView.of(interaction).waits_for, interaction.created_at
        )
    step = last["name"] if last and last["state"] == "in_progress" else ""
    words = (
        pgettext("hitl", "Working: %(step)s") % {"step": step}
        if step
        else pgettext("hitl", "Working")
    )
    return ConversationState("working", words, run.started_at)


def _others(run: Run) -> Interaction | None:
    """Return the oldest pending question of a run that waits for other people."""
    pending = Interaction.objects.filter(run=run, status=Interaction.Status.PENDING)
    return pending.select_related("assignee").order_by("sequence").first()


def _at_rest(runs: Sequence[Run]) -> ConversationState:
    suspended_runs = [run for run in runs if run.status == Run.Status.SUSPENDED]
    if suspended_runs:
        words = pgettext("hitl", "Suspended: an administrator of this site must resume it.")
        is_stopping = any(run.stop_requested_at is not None for run in suspended_runs)
        return ConversationState("suspended", words, stoppable=not is_stopping)
    # Show no state without runs: a run created since the read appears at the next read.
    if not runs:
        return ConversationState("new", "")
    last = runs[-1]
    words = {
        Run.Status.COMPLETED: "",  # no text: the answer itself shows the completion
        Run.Status.FAILED: pgettext("hitl", "Failed"),
        Run.Status.CANCELLED: pgettext("hitl", "Stopped"),
    }[Run.Status(last.status)]
    return ConversationState(last.status, words)
