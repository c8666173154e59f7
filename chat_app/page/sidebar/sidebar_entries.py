"""The list of conversations in sections: those that need the person, then those waiting for others.

However many conversations a person has, a handful of queries read only the shown rows, by the
indexes of `Conversation`. A search reads more: a full-text index would slow down storing each
event. Titles of all conversations are searched, but texts of the newest conversations only, so that
a search stays bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    IntegerChoices,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.utils import timezone
from django.utils.translation import pgettext, pgettext_lazy

from chat_app.feed.selectors import pending_interactions
from chat_app.inbox.inbox_query import any_pending, asks, begins_card
from chat_app.inbox.pending_counts import CAP, count_waiting
from sessions_app.json_types import JsonObject
from sessions_app.models import Candidate, Conversation, Event, Interaction, Run
from sessions_app.models.interaction import CANDIDATE_ORDER
from sessions_app.models.people import UserId
from sessions_app.prompts import question_title
from sessions_app.questions.question_view import waiting_for
from sessions_app.storage.storable import is_storable
from sessions_app.workflows import registry

CONVERSATIONS_PER_PAGE = 30
MAX_CONVERSATIONS = 600
MAX_QUESTION_LENGTH = 200  # maximum characters of a question that are shown
# Maximum of unfolded conversations that need the person, to keep other sections in view.
UNFOLDED = 5
# Number of the newest conversations whose texts a search reads.
SEARCHED_CONVERSATIONS = 500
MIN_QUERY_LENGTH = 2  # minimum characters of a query, as shorter ones match nearly every text
FIELDS = (
    *("id", "conversation_id", "title", "workflow", "listed_at"),
    *("working", "last_status", "text", "request", "input_type", "names", "is_assigned"),
)


class SidebarSection(IntegerChoices):
    """A section of the list, in display order."""

    NEEDS_YOU = 0, pgettext_lazy("hitl", "Needs you")
    WAITING = 1, pgettext_lazy("hitl", "Waiting for others")
    TODAY = 2, pgettext_lazy("hitl", "Today")
    EARLIER = 3, pgettext_lazy("hitl", "Earlier")


@dataclass(frozen=True, slots=True)
class SidebarEntry:
    """A conversation in the list. An empty `state` means that no state is shown.

    `question` is the waiting question with the next deadline, or a note if nothing is asked;
    `other_count` is the number of further waiting questions.
    """

    conversation_id: str
    title: str
    workflow: str
    at: datetime
    state: str = ""
    words: str = ""
    question: str = ""
    other_count: int = 0
    deadline: datetime | None = None

    @property
    def is_active(self) -> bool:
        """True if a run is active; deleting the conversation would stop the run."""
        return self.state in ("needs-you", "working", "waiting")

    @property
    def section(self) -> SidebarSection:
        """The section of the list in which this conversation is shown."""
        if self.question:
            return SidebarSection.NEEDS_YOU
        if self.state == "waiting":
            return SidebarSection.WAITING
        is_today = timezone.localdate(self.at) == timezone.localdate()
        return SidebarSection.TODAY if is_today else SidebarSection.EARLIER


class ShownSection(NamedTuple):
    """A section as shown: the visible entries and the folded entries."""

    label: str
    entries: list[SidebarEntry]
    folded: list[SidebarEntry]


@dataclass(frozen=True, slots=True)
class Sidebar:
    """The list of conversations.

    `next_limit` is the number of entries to request next, 0 at the end of the list.
    `waiting_count` counts the questions in the person's inbox.
    """

    entries: list[SidebarEntry]
    next_limit: int
    query: str
    waiting_count: int

    @property
    def sections(self) -> Iterator[ShownSection]:
        """The sections with entries. Search results are never folded."""
        for section, entries in groupby(self.entries, key=lambda entry: entry.section):
            section_entries = list(entries)
            is_folded = section is SidebarSection.NEEDS_YOU and not self.query
            shown_count = UNFOLDED if is_folded else len(section_entries)
            yield ShownSection(
                section.label, section_entries[:shown_count], section_entries[shown_count:]
            )


@dataclass(frozen=True, slots=True)
class _WaitingCount:
    """The number of a conversation's waiting questions, and the next deadline.

    A conversation with a note alone, which asks nothing, has the count 0.
    """

    count: int
    deadline: datetime | None


def sidebar(
    owner: UserId, *, query: str = "", limit: int = CONVERSATIONS_PER_PAGE, current: str = ""
) -> Sidebar:
    """List a person's conversations by section and time. Blocks: call it in a thread.

    Conversations that need the person come first, then conversations that wait for others, then the
    newest. The `current` conversation is always listed, except in a search.
    """
    limit = min(max(limit, CONVERSATIONS_PER_PAGE), MAX_CONVERSATIONS)
    conversations = Conversation.objects.of(owner)
    condition = _match_query(conversations, query) if query else Q()
    waiting_counts = _asking_conversations(
        conversations.filter(condition, waiting__gt=0), limit + 1
    )
    ids = list(waiting_counts)
    if len(ids) <= limit:
        ids += _waiting_then_newest(owner, condition & ~Q(pk__in=ids), limit + 1 - len(ids))
    next_limit = (
        limit + CONVERSATIONS_PER_PAGE if len(ids) > limit and limit < MAX_CONVERSATIONS else 0
    )
    always = Q() if query else Q(owner=owner, conversation_id=current, deleted_at=None)
    entries, is_assigned = _entries(ids[:limit], always, waiting_counts)
    if is_assigned:
        waiting_count = count_waiting([owner])[owner].prompts
    elif query or len(waiting_counts) > limit:
        asking = conversations.filter(waiting__gt=0)
        pending = pending_interactions(begins_card(), asks(), conversation__in=asking)
        waiting_count = pending[:CAP].count()
    else:
        waiting_count = min(sum(count.count for count in waiting_counts.values()), CAP)
    return Sidebar(
        sorted(entries, key=lambda entry: entry.section), next_limit, query, waiting_count
    )


def newest(owner: UserId) -> str | None:
    """Return the id of the conversation that changed last; None without conversations."""
    conversations = Conversation.objects.of(owner).order_by("-listed_at")
    return conversations.values_list("conversation_id", flat=True).first()


def find_deleted(owner: UserId, conversation_id: str) -> Conversation | None:
    """Return the owner's conversation of that id, if deleted and restorable."""
    conversations = Conversation.objects.filter(owner_id=owner, conversation_id=conversation_id)
    return conversations.exclude(deleted_at=None).first()


def title_of(owner: UserId, conversation_id: str) -> str | None:
    """Return the title of the owner's conversation of that id; None if missing."""
    return Conversation.objects.of(owner, conversation_id).values_list("title", flat=True).first()


def _asking_conversations(
    conversations: QuerySet[Conversation], limit: int
) -> dict[UUID, _WaitingCount]:
    """Return conversations that need the person, next deadline first, without deadline last."""
    pending = pending_interactions(begins_card(), conversation__in=conversations)
    groups = pending.values("conversation_id").annotate(
        count=Count("pk", filter=asks()), deadline=Min("expires_at"), since=Min("created_at")
    )
    rows = groups.order_by(F("deadline").asc(nulls_last=True), "since")[:limit]
    return {row["conversation_id"]: _WaitingCount(row["count"], row["deadline"]) for row in rows}


def _waiting_then_newest(owner: UserId, condition: Q, limit: int) -> list[UUID]:
    """Return the conversations with prompts for others, then the newest, in one statement."""
    candidates = Candidate.objects.filter(pending=True, owner=owner, interaction__for_owner=False)
    waiting = candidates.order_by(*CANDIDATE_ORDER).values("interaction__conversation")[:limit]
    listed = Conversation.objects.of(owner).filter(condition).order_by("-listed_at")
    # Look rows up by id. A condition on the owner would make the database read all of the owner's
    # conversations.
    parts = [
        Conversation.objects.filter(condition, deleted_at=None, pk__in=some)
        .annotate(part=Value(part))
        .values_list("part", "listed_at", "pk")
        for part, some in enumerate((waiting, listed.values("pk")[:limit]))
    ]
    rows = sorted(parts[0].union(parts[1]), key=lambda row: (row[0], -row[1].timestamp()))
    return list(dict.fromkeys(pk for *_, pk in rows))[:limit]


def _entries(
    ids: list[UUID], always: Q, waiting_counts: dict[UUID, _WaitingCount]
) -> tuple[list[SidebarEntry], bool]:
    """Read the entries, and whether assigned prompts may wait: without any, a query can be skipped.

    Conversations that meet the condition `always` but are not among the ids come last.
    """
    runs = Run.objects.filter(conversation=OuterRef("pk"))
    pending = pending_interactions(conversation=OuterRef("pk"))
    is_note = ExpressionWrapper(~asks(), BooleanField())
    first = pending.order_by(is_note, F("expires_at").asc(nulls_last=True), "sequence")
    for_others = Interaction.objects.filter(
        conversation=OuterRef("pk"), status=Interaction.Status.PENDING, for_owner=False
    )
    conversations = Conversation.objects.filter(always | Q(pk__in=ids)).annotate(
        working=Exists(runs.filter(status__in=(Run.Status.QUEUED, Run.Status.RUNNING))),
        last_status=Subquery(
            # Ended child runs are excluded: the parent run handles the outcome of a child.
            runs.exclude(parent__isnull=False, status__in=Run.FINISHED)
            .order_by("-sequence")
            .values("status")[:1]
        ),
        text=Subquery(first.values("prompt__text")[:1]),
        request=Subquery(first.values("prompt__request")[:1]),
        input_type=Subquery(first.values("prompt__input_type")[:1]),
        names=Subquery(for_others.order_by("sequence").values("assignment__names")[:1]),
        is_assigned=any_pending(),
    )
    rows: dict[UUID, JsonObject] = {row["id"]: dict(row) for row in conversations.values(*FIELDS)}
    is_assigned = not rows or any(row["is_assigned"] for row in rows.values())
    listed_ids = dict.fromkeys(pk for pk in (*ids, *rows) if pk in rows)
    return [_entry(rows[pk], waiting_counts.get(pk)) for pk in listed_ids], is_assigned


def _entry(row: JsonObject, waiting_count: _WaitingCount | None) -> SidebarEntry:
    # Show no waiting question if the only prompt was answered after the count.
    unanswered = waiting_count if waiting_count and row["text"] else None
    state, words = _state(row, needs_you=unanswered is not None)
    return SidebarEntry(
        conversation_id=row["conversation_id"],
        title=row["title"] or row["conversation_id"],
        workflow=registry.title_of(row["workflow"]),
        at=row["listed_at"],
        state=state,
        words=words,
        question=question_title(row)[:MAX_QUESTION_LENGTH] if unanswered else "",
        other_count=max(unanswered.count - 1, 0) if unanswered else 0,
        deadline=unanswered.deadline if unanswered else None,
    )


def _state(row: JsonObject, *, needs_you: bool) -> tuple[str, str]:
    if needs_you:
        return "needs-you", pgettext("hitl", "needs you")
    if row["names"] is not None:
        return "waiting", waiting_for(row["names"])
    if row["working"]:
        return "working", pgettext("hitl", "working")
    if row["last_status"] == Run.Status.FAILED:
        return "failed", pgettext("hitl", "failed")
    if row["last_status"] == Run.Status.SUSPENDED:
        return "failed", pgettext("hitl", "suspended")
    return "", ""


def _match_query(conversations: QuerySet[Conversation], query: str) -> Q:
    """Build the condition that a conversation's title, workflow or texts contain the query.

    Texts are messages, questions, and output of ended runs.
    """
    if not is_storable(query):
        return Q(pk__in=[])
    workflows = [
        offer.workflow.name
        for offer in registry.offered_workflows()
        if query.casefold() in offer.workflow.title.casefold()
    ]
    condition = Q(title__icontains=query) | Q(workflow__iexact=query) | Q(workflow__in=workflows)
    if len(query) >= MIN_QUERY_LENGTH:
        condition |= Q(pk__in=_find_in_texts(conversations, query))
    return condition


def _find_in_texts(conversations: QuerySet[Conversation], query: str) -> list[UUID]:
    # The ids are a list: given a subquery, a planner that knows only the total number of rows may
    # scan all rows.
    newest = list(
        conversations.order_by("-listed_at").values_list("pk", flat=True)[:SEARCHED_CONVERSATIONS]
    )
    runs = Run.objects.filter(conversation__in=newest, text__icontains=query)
    interactions = Interaction.objects.filter(
        conversation__in=newest, prompt__text__icontains=query
    )
    messages = Event.objects.filter(
        conversation__in=newest, type=Event.Type.MESSAGE, payload__text__icontains=query
    )
    id_queries = (
        rows.values_list("conversation_id", flat=True) for rows in (interactions, messages)
    )
    return list(runs.values_list("conversation_id", flat=True).union(*id_queries))
