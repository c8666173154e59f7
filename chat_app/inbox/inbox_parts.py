"""The sections (`InboxPart`) of a person's inbox, with search and paging, for page and HTTP API.

Everything here blocks. The database reads only the rows that are shown or searched.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from uuid import UUID

from django.db.models import Q, QuerySet

from chat_app.inbox import inbox_query
from chat_app.inbox.inbox_query import asks
from chat_app.inbox.pending_counts import CAP, find_parts
from sessions_app.interactions import votes
from sessions_app.interactions.answerers import Name, PromptAudience, may_answer
from sessions_app.models import Interaction
from sessions_app.models.people import UserId
from sessions_app.storage.storable import is_storable
from sessions_app.workflows import registry

PROMPTS_PER_PAGE = 25
MAX_PAGES = 80  # maximum number of pages; later prompts move up when earlier ones are answered
MOST_SEARCHED = MAX_PAGES * PROMPTS_PER_PAGE  # maximum number of prompts that a search reads
MAX_QUERY_LENGTH = 100  # maximum characters of a search query

RELATED_ROWS = ("conversation__owner", "run__conversation", "assignee", "answered_by")


class InboxPart(StrEnum):
    """A section of the inbox. `others`: prompts for other people in the person's conversations."""

    ALL = "all"
    MINE = "mine"
    GROUPS = "groups"
    CLAIMED = "claimed"
    OTHERS = "others"
    ANSWERED = "answered"


# Sections whose prompts the person may answer, unless another person has claimed the prompt.
ANSWERABLE = (InboxPart.ALL, InboxPart.MINE, InboxPart.GROUPS, InboxPart.CLAIMED)


@dataclass(frozen=True, slots=True)
class InboxPartQuery:
    """The requested part of an inbox, and the page number, from 1 on.

    `query` is searched in questions, details and workflows.
    """

    part: InboxPart = InboxPart.ALL
    query: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page of an inbox; `is_cut`: more than MOST_SEARCHED prompts wait.

    `ids` are all ids that were read, including other pages. `has_more`: another page follows.
    """

    prompts: Sequence[Interaction]
    ids: Sequence[UUID]
    has_more: bool
    is_cut: bool


def read_inbox(
    user: UserId, query: InboxPartQuery, look_ahead: int = 0, names: set[Name] | None = None
) -> InboxPage:
    """Read a page of prompts, earliest deadline first; answered prompts newest first.

    At least `look_ahead` ids are read, if that many prompts wait.
    """
    start = (min(query.page, MAX_PAGES) - 1) * PROMPTS_PER_PAGE
    ids, is_cut = find_ids(user, query, max(look_ahead, start + PROMPTS_PER_PAGE) + 1, names)
    page_ids = ids[start : start + PROMPTS_PER_PAGE]
    prompts = Interaction.objects.select_related(*RELATED_ROWS).in_bulk(page_ids)
    has_more = len(ids) > start + PROMPTS_PER_PAGE and query.page < MAX_PAGES
    return InboxPage([prompts[id_] for id_ in page_ids if id_ in prompts], ids, has_more, is_cut)


def find_ids(
    user: UserId, query: InboxPartQuery, count: int, names: set[Name] | None = None
) -> tuple[list[UUID], bool]:
    """Return the part's first prompts, or the search's matches, and whether the search was cut."""
    if not query.query:
        return _first(user, query.part, count, names), False
    ids = _first(user, query.part, MOST_SEARCHED + 1, names)
    rows = _match_query(Interaction.objects.filter(pk__in=ids[:MOST_SEARCHED]), query.query)
    matching_ids = set(rows.values_list("pk", flat=True))
    return [id_ for id_ in ids if id_ in matching_ids], len(ids) > MOST_SEARCHED


def count_parts(user: UserId, names: set[Name], part: InboxPart) -> dict[InboxPart, int]:
    """Count the waiting questions of each part, up to CAP, for a person with these names.

    Notes, which ask nothing, are not counted. The page of answered prompts omits the count of
    OTHERS, to save a statement.
    """
    waiting = find_parts(user, names)
    parts: dict[InboxPart, Collection[UUID]] = {
        InboxPart.ALL: waiting.all,
        InboxPart.MINE: waiting.mine,
        InboxPart.GROUPS: waiting.groups,
        InboxPart.CLAIMED: waiting.claimed,
    }
    if waiting.is_cut:
        parts = {each: _first(user, each, CAP, names, asks()) for each in parts}
    if part != InboxPart.ANSWERED:
        parts[InboxPart.OTHERS] = _first(user, InboxPart.OTHERS, CAP, names, asks())
    return {each: min(len(some), CAP) for each, some in parts.items()}


def find_prompt(reader: UserId, interaction: UUID) -> tuple[Interaction, bool] | None:
    """Find a prompt that this person may see, and whether the person may answer. Blocks."""
    rows = Interaction.objects.filter(pk=interaction, conversation__deleted_at=None)
    prompt = rows.select_related(*RELATED_ROWS).first()
    if prompt is None:
        return None
    may = may_answer(reader, PromptAudience.of(prompt))
    sees = may or reader in (prompt.conversation.owner_id, prompt.answered_by_id)
    return (prompt, may) if sees or votes.has_voted(reader, prompt.pk) else None


def _first(
    user: UserId, part: InboxPart, count: int, names: set[Name] | None, *conditions: Q
) -> list[UUID]:
    read = partial(inbox_query.waiting_prompts, user, names=names, conditions=conditions)
    match part:
        case InboxPart.ANSWERED:
            return inbox_query.answered_prompts(user, count)
        case InboxPart.OTHERS:
            readers = inbox_query.of_others(user, conditions)
        case InboxPart.CLAIMED:
            readers = inbox_query.claimed_prompts(user, names, conditions)
        case InboxPart.GROUPS:
            readers = read("group", "permission")
        case InboxPart.MINE:
            readers = [
                *read("own", "user"),
                *inbox_query.claimed_prompts(user, names, conditions, assignee=user),
            ]
        case _:
            readers = read()
    return inbox_query.first_prompts(readers, count)


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
