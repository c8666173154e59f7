"""The parts of a person's inbox, searched and paged: for the page and for other front ends.

Everything here blocks. The database reads as many rows as concern the person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import F, Q, QuerySet

from sessions_app.conversations.access import candidates, votes
from sessions_app.conversations.given import inbox
from sessions_app.models import Candidate, Interaction
from sessions_app.models.people import UserId
from sessions_app.storage.storable import is_storable
from sessions_app.workflows import registry

PAGE = 25
MOST = 1000  # pages: what is beyond nobody turns to, and the database would count up to it
LONGEST = 100  # characters that are searched for

ASKED = ("conversation__owner", "run__conversation", "assignee", "answered_by")


class Part(StrEnum):
    """Which prompts: `others` are those that the person's own conversations wait for."""

    ALL = "all"
    MINE = "mine"
    GROUPS = "groups"
    CLAIMED = "claimed"
    OTHERS = "others"
    ANSWERED = "answered"


# Whose prompts the person may answer, where nobody else has claimed them.
ANSWERABLE = (Part.ALL, Part.MINE, Part.GROUPS, Part.CLAIMED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of an inbox, and which page of it, from 1 on. `query` is searched for in the
    questions, their details, and the workflows.
    """

    part: Part = Part.ALL
    query: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of an inbox; `more` says that it is not the last."""

    prompts: Sequence[Interaction]
    more: bool


def read_inbox(user: UserId, wanted: Wanted) -> Listed:
    """The prompts, the first to be due first; of those that were answered the newest first."""
    rows = [_matching(each, wanted.query) for each in _rows(user, wanted.part)]
    if wanted.part == Part.ANSWERED:
        ordered = rows[0].union(*rows[1:], all=True).order_by(F("given_at").desc(), "pk")
    else:
        ordered = inbox.by_due(*rows)
    first = (min(wanted.page, MOST) - 1) * PAGE
    ids = [one.pk for one in ordered[first : first + PAGE + 1]]
    found = Interaction.objects.select_related(*ASKED).in_bulk(ids[:PAGE])
    return Listed([found[one] for one in ids[:PAGE] if one in found], len(ids) > PAGE)


def find_prompt(reader: UserId, interaction: UUID) -> tuple[Interaction, bool] | None:
    """The prompt, if this person may see it, and whether they may answer it. Blocks."""
    kept = Interaction.objects.filter(pk=interaction, conversation__deleted_at=None)
    prompt = kept.select_related(*ASKED).first()
    if prompt is None:
        return None
    may = candidates.may_answer(reader, votes.asked(prompt))
    sees = may or reader in (prompt.conversation.owner_id, prompt.answered_by_id)
    return (prompt, may) if sees or votes.has_voted(reader, prompt.pk) else None


def _rows(user: UserId, part: Part) -> list[QuerySet[Interaction]]:
    if part == Part.OTHERS:
        return [inbox.of_others(user)]
    if part == Part.ANSWERED:
        return inbox.answered(user)
    own, assigned = inbox.own(user), inbox.assigned(user)
    if part == Part.CLAIMED:
        claimed = Q(assignee__isnull=False)
        return [own.filter(claimed), assigned.filter(claimed)]
    answerable = inbox.answerable(assigned, user)
    if part == Part.ALL:
        return [own, answerable]
    mine = Candidate.objects.filter(user=user, pending=True)
    named = Q(pk__in=list(mine.values_list("interaction", flat=True)))
    if part == Part.GROUPS:
        return [answerable.exclude(named)]
    return [own, answerable.filter(named | Q(assignee=user))]


def _matching(rows: QuerySet[Interaction], query: str) -> QuerySet[Interaction]:
    if not query:
        return rows
    if not is_storable(query):
        return rows.none()
    named = Q(prompt__text__icontains=query) | Q(prompt__details__icontains=query)
    for offered in registry.offered():
        name, title = offered.workflow.name, offered.workflow.title
        if query == name or query.casefold() in title.casefold():
            named |= Q(run__key__endswith=f":{name}")
    return rows.filter(named)
