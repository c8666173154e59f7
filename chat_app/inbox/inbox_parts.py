"""The parts of a person's inbox, searched and paged: for the page and for other front ends.

Everything here blocks. The database reads as many rows as are shown, or searched.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import Q, QuerySet

from chat_app.inbox import inbox_query
from chat_app.inbox.pending_counts import CAP, find_parts
from sessions_app.interactions import votes
from sessions_app.interactions.answerers import Name, PromptAudience, may_answer
from sessions_app.models import Interaction
from sessions_app.models.people import UserId
from sessions_app.storage.storable import is_storable
from sessions_app.workflows import registry

PAGE = 25
MOST = 80  # pages: nobody gets to what is beyond before these are answered
MOST_SEARCHED = MOST * PAGE  # prompts, which are searched
LONGEST = 100  # characters that are searched for

RELATED_ROWS = ("conversation__owner", "run__conversation", "assignee", "answered_by")


class Part(StrEnum):
    """A part of the inbox: `others` are prompts that the person's own conversations wait for."""

    ALL = "all"
    MINE = "mine"
    GROUPS = "groups"
    CLAIMED = "claimed"
    OTHERS = "others"
    ANSWERED = "answered"


# Whose prompts the person may answer, where nobody else has claimed them.
ANSWERABLE = (Part.ALL, Part.MINE, Part.GROUPS, Part.CLAIMED)


@dataclass(frozen=True, slots=True)
class InboxQuery:
    """The wanted part of an inbox, and its page, from 1 on.

    `query` is searched for in the questions, their details, and the workflows.
    """

    part: Part = Part.ALL
    query: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page of an inbox; `is_cut`: there are more than MOST_SEARCHED.

    `ids` are those that were read, of other pages too. `has_more`: it is not the last.
    """

    prompts: Sequence[Interaction]
    ids: Sequence[UUID]
    has_more: bool
    is_cut: bool


def read_inbox(
    user: UserId, query: InboxQuery, look_ahead: int = 0, names: set[Name] | None = None
) -> InboxPage:
    """Read the prompts, the first to be due first; of those that were answered the newest first.

    At least so many of the ids are read, `look_ahead`, where more wait than the page shows.
    """
    start = (min(query.page, MOST) - 1) * PAGE
    ids, is_cut = find_ids(user, query, max(look_ahead, start + PAGE) + 1, names)
    page_ids = ids[start : start + PAGE]
    prompts = Interaction.objects.select_related(*RELATED_ROWS).in_bulk(page_ids)
    has_more = len(ids) > start + PAGE and query.page < MOST
    return InboxPage([prompts[id_] for id_ in page_ids if id_ in prompts], ids, has_more, is_cut)


def find_ids(
    user: UserId, query: InboxQuery, count: int, names: set[Name] | None = None
) -> tuple[list[UUID], bool]:
    """Return the first of a part's prompts, or those found; whether more wait than are searched."""
    if not query.query:
        return _first(user, query.part, count, names), False
    ids = _first(user, query.part, MOST_SEARCHED + 1, names)
    rows = _match_query(Interaction.objects.filter(pk__in=ids[:MOST_SEARCHED]), query.query)
    matching_ids = set(rows.values_list("pk", flat=True))
    return [id_ for id_ in ids if id_ in matching_ids], len(ids) > MOST_SEARCHED


def count_parts(user: UserId, names: set[Name], part: Part, ids: Sequence[UUID]) -> dict[Part, int]:
    """Count the prompts of the parts that wait, up to CAP each, for who goes by these names.

    The `ids` of one `part` are known. What waits for others is left out beside what was answered:
    that page reads too little to spare a statement.
    """
    waiting = find_parts(user, names)
    parts: dict[Part, Collection[UUID]] = {
        Part.ALL: waiting.all,
        Part.MINE: waiting.mine,
        Part.GROUPS: waiting.groups,
        Part.CLAIMED: waiting.claimed,
    }
    if waiting.is_cut:
        parts = {each: _first(user, each, CAP, names) for each in parts}
    if part == Part.OTHERS:
        parts[part] = ids
    elif part != Part.ANSWERED:
        parts[Part.OTHERS] = _first(user, Part.OTHERS, CAP)
    return {each: min(len(some), CAP) for each, some in parts.items()}


def find_prompt(reader: UserId, interaction: UUID) -> tuple[Interaction, bool] | None:
    """Find the prompt, if this person may see it, and whether they may answer it. Blocks."""
    rows = Interaction.objects.filter(pk=interaction, conversation__deleted_at=None)
    prompt = rows.select_related(*RELATED_ROWS).first()
    if prompt is None:
        return None
    may = may_answer(reader, PromptAudience.of(prompt))
    sees = may or reader in (prompt.conversation.owner_id, prompt.answered_by_id)
    return (prompt, may) if sees or votes.has_voted(reader, prompt.pk) else None


def _first(user: UserId, part: Part, count: int, names: set[Name] | None = None) -> list[UUID]:
    match part:
        case Part.ANSWERED:
            return inbox_query.answered_prompts(user, count)
        case Part.OTHERS:
            ways = inbox_query.of_others(user)
        case Part.CLAIMED:
            ways = inbox_query.claimed_prompts(user, names)
        case Part.GROUPS:
            ways = inbox_query.waiting_prompts(user, "group", "permission", names=names)
        case Part.MINE:
            ways = [
                *inbox_query.waiting_prompts(user, "own", "user", names=names),
                *inbox_query.claimed_prompts(user, names, assignee=user),
            ]
        case _:
            ways = inbox_query.waiting_prompts(user, names=names)
    return inbox_query.first(ways, count)


def _match_query(rows: QuerySet[Interaction], query: str) -> QuerySet[Interaction]:
    if not is_storable(query):
        return rows.none()
    shown = ("prompt__text", "prompt__details", "prompt__arguments")
    condition = Q(*((f"{name}__icontains", query) for name in shown), _connector=Q.OR)
    for offer in registry.offered_workflows():
        name, title = offer.workflow.name, offer.workflow.title
        if query == name or query.casefold() in title.casefold():
            condition |= Q(run__workflow=name)
    return rows.filter(condition)
