"""What waits for many people at once, each as their `inbox` has it. It blocks.

A few statements for all of them, and two for each where prompts wait for who has a permission.
Nothing is counted past CAP.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from sessions_app.interactions import candidates, inbox_query
from sessions_app.interactions.candidates import Source
from sessions_app.models import Candidate, Conversation, Interaction, Vote
from sessions_app.models.candidate import PLACE
from sessions_app.models.people import UserId

CAP = 100
# So many rows of each source are read together, on average; where there are more, of each the
# first.
TOGETHER, FIRST = 20, 3 * CAP
KINDS = ("own", "user", "group", "permission")
FACTS = ("assignee", "conversation__owner", "assignment__four_eyes", "assignment__votes")


class Waiting(NamedTuple):
    """The prompts that wait for a person: their number, up to CAP.

    `mark` changes whenever other prompts wait. `ids` are these prompts, but empty from CAP on.
    """

    prompts: int = 0
    mark: int = 0
    ids: frozenset[UUID] = frozenset()

    def gone_since(self, before: "Waiting | None") -> frozenset[UUID]:
        """Return the prompts that waited before and do no longer, as far as that is known."""
        return before.ids - self.ids if before and self.prompts < CAP else frozenset()


def waiting_for(people: Sequence[UserId]) -> dict[UserId, Waiting]:
    """Return what waits for each person now, and nobody else has claimed; each has an entry."""
    sources = {one: [("own", one), *found] for one, found in candidates.sources(people).items()}
    prompts = _Prompts({source for named in sources.values() for source in named})
    voted = prompts.voted(people)
    found = {}
    for one in people:
        ids = frozenset(prompts.answerable(one, sources[one]) - voted[one])
        if len(ids) < CAP and not prompts.cut.isdisjoint(sources[one]):
            ids = frozenset(inbox_query.first(inbox_query.waiting(one), CAP))
        known = ids if len(ids) < CAP else frozenset()
        found[one] = Waiting(min(len(ids), CAP), hash(ids), known)
    return found


class _Prompts:
    """The prompts that wait: the rules of `inbox` in sets, for many people.

    `cut` are the sources of which not all were read.
    """

    def __init__(self, sources: Collection[Source]) -> None:
        self.cut: set[Source] = set()
        self._free: dict[Source, set[UUID]] = defaultdict(set)
        self._claimed: dict[tuple[Source, UserId], set[UUID]] = defaultdict(set)
        self._refused: dict[UserId, set[UUID]] = defaultdict(set)
        self._several: set[UUID] = set()
        read = list(self._read(sources))
        facts = _facts({prompt for _, prompt in read})
        for source, prompt in read:
            if prompt not in facts:  # its conversation was deleted
                continue
            assignee, owner, four_eyes, votes = facts[prompt]
            if assignee is None:
                self._free[source].add(prompt)
            else:
                self._claimed[source, assignee].add(prompt)
            if four_eyes:
                self._refused[owner].add(prompt)
            if (votes or 1) > 1:
                self._several.add(prompt)

    def answerable(self, person: UserId, sources: Iterable[Source]) -> set[UUID]:
        """Return what a person with these sources may answer, also what they have voted on."""
        free = (self._free.get(source, set()) for source in sources)
        claimed = (self._claimed.get((source, person), set()) for source in sources)
        return set().union(*free, *claimed) - self._refused.get(person, set())

    def voted(self, people: Sequence[UserId]) -> dict[UserId, set[UUID]]:
        """Return the prompts that each person has voted on."""
        found: dict[UserId, set[UUID]] = defaultdict(set)
        if self._several:
            votes = Vote.objects.filter(interaction__in=self._several, by__in=people)
            for by, prompt in votes.values_list("by", "interaction"):
                found[by].add(prompt)
        return found

    def _read(self, sources: Collection[Source]) -> Iterator[tuple[Source, UUID]]:
        for kind in KINDS:
            names = [name for one, name in sources if one == kind]
            for name, prompt in self._read_kind(kind, names) if names else ():
                yield (kind, name), prompt

    def _read_kind(self, kind: str, names: list[Any]) -> list[tuple[Any, UUID]]:
        most = FIRST + TOGETHER * len(names)
        found = list(_rows(kind, names)[: most + 1])
        if len(found) <= most:
            return found
        order = (inbox_query.DUE, "created_at", "pk") if kind == "own" else PLACE
        found = []
        for name in names:
            of_this = list(_rows(kind, [name]).order_by(*order)[:FIRST])
            if len(of_this) == FIRST:
                self.cut.add((kind, name))
            found += of_this
        return found


def _rows(kind: str, names: list[Any]) -> QuerySet[Any, tuple[Any, UUID]]:
    if kind == "own":
        asking = Conversation.objects.filter(owner__in=names, waiting__gt=0, deleted_at=None)
        own = Interaction.objects.filter(
            conversation__in=asking, for_owner=True, status=Interaction.Status.PENDING
        )
        return own.values_list("conversation__owner", "pk")
    by = {f"{kind}__in": names, **inbox_query.MORE.get(kind, {})}
    return Candidate.objects.filter(pending=True, **by).values_list(kind, "interaction")


def _facts(prompts: Collection[UUID]) -> dict[UUID, tuple[Any, ...]]:
    """Return the columns FACTS of each of the prompts that is still pending."""
    pending = Interaction.objects.filter(
        pk__in=prompts, status=Interaction.Status.PENDING, conversation__deleted_at=None
    )
    return {prompt: facts for prompt, *facts in pending.values_list("pk", *FACTS)}
