"""What waits for many people at once, each as their `inbox` has it. It blocks.

A few statements for all of them, and two for each where prompts wait for who has a permission.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sessions_app.conversations.access import candidates
from sessions_app.models import Candidate, Conversation, Interaction, Vote
from sessions_app.models.people import UserId, users

KNOWN = 500
# A kind of candidates, and which of them.
Source = tuple[str, Any]
KINDS = ("user", "group", "permission")
FACTS = (
    "interaction",
    "interaction__assignee",
    "interaction__conversation__owner",
    "interaction__for_owner",
    "interaction__assignment__four_eyes",
    "interaction__assignment__votes",
)


class Waiting(NamedTuple):
    """How many prompts wait for a person. Where others do than before, `mark` is another.

    `ids` are these, but empty where they are more than KNOWN.
    """

    prompts: int = 0
    mark: int = 0
    ids: frozenset[UUID] = frozenset()

    def gone_since(self, before: "Waiting | None") -> frozenset[UUID]:
        """Which of those that waited before do no longer, as far as that is known."""
        is_known = before is not None and len(self.ids) == self.prompts
        return before.ids - self.ids if before and is_known else frozenset()


def waiting_for(people: Sequence[UserId]) -> dict[UserId, Waiting]:
    """What waits for each of these now, and nobody else has claimed; none is left out."""
    own, sources = _own(people), _sources(people)
    prompts = _Assigned({source for named in sources.values() for source in named})
    voted = prompts.voted(people)
    found = {}
    for one in people:
        ids = frozenset(own[one] | prompts.answerable(one, sources[one]) - voted[one])
        found[one] = Waiting(len(ids), hash(ids), ids if len(ids) <= KNOWN else frozenset())
    return found


def _own(people: Sequence[UserId]) -> dict[UserId, set[UUID]]:
    asking = Conversation.objects.filter(owner__in=people, waiting__gt=0, deleted_at=None)
    pending = Interaction.objects.filter(
        conversation__in=asking, for_owner=True, status=Interaction.Status.PENDING
    )
    found: dict[UserId, set[UUID]] = defaultdict(set)
    for owner, prompt in pending.values_list("conversation__owner", "pk"):
        found[owner].add(prompt)
    return found


def _sources(people: Sequence[UserId]) -> dict[UserId, list[Source]]:
    """As which candidates prompts may wait for each of them, as things are now."""
    found: dict[UserId, list[Source]] = {one: [("user", one)] for one in people}
    if not candidates.have_groups():
        return found
    member = users().filter(pk__in=people, groups__isnull=False)
    for one, group in member.values_list("pk", "groups"):
        found[one].append(("group", group))
    wanted = list(candidates.permissions())
    for person in users().filter(pk__in=people) if wanted else ():
        found[person.pk] += [("permission", name) for name in wanted if person.has_perm(name)]
    return found


class _Assigned:
    """The prompts that wait for candidates: the rules of `inbox` in sets, for many people."""

    def __init__(self, sources: Collection[Source]) -> None:
        self._free: dict[Source, set[UUID]] = defaultdict(set)
        self._claimed: dict[tuple[Source, UserId], set[UUID]] = defaultdict(set)
        self._refused: dict[UserId, set[UUID]] = defaultdict(set)
        self._several: set[UUID] = set()
        for source, prompt, assignee, owner, for_owner, four_eyes, votes in _read(sources):
            if assignee is None:
                self._free[source].add(prompt)
            else:
                self._claimed[source, assignee].add(prompt)
            if for_owner or four_eyes:
                self._refused[owner].add(prompt)
            if votes > 1:
                self._several.add(prompt)

    def answerable(self, person: UserId, sources: Sequence[Source]) -> set[UUID]:
        """What this person may answer, being these, but for what they have voted on."""
        free = (self._free.get(source, set()) for source in sources)
        claimed = (self._claimed.get((source, person), set()) for source in sources)
        return set().union(*free, *claimed) - self._refused.get(person, set())

    def voted(self, people: Sequence[UserId]) -> dict[UserId, set[UUID]]:
        """What each of them has voted on."""
        found: dict[UserId, set[UUID]] = defaultdict(set)
        if self._several:
            votes = Vote.objects.filter(interaction__in=self._several, by__in=people)
            for by, prompt in votes.values_list("by", "interaction"):
                found[by].add(prompt)
        return found


def _read(sources: Collection[Source]) -> Iterator[tuple[Any, ...]]:
    pending = Candidate.objects.filter(
        pending=True,
        interaction__status=Interaction.Status.PENDING,
        interaction__conversation__deleted_at=None,
    )
    for kind in KINDS:
        names = [name for one, name in sources if one == kind]
        if names:
            # The permission of other kinds is empty: said, since the index of these leaves it out.
            rows = pending.exclude(permission="") if kind == "permission" else pending
            for name, *facts in rows.filter(**{f"{kind}__in": names}).values_list(kind, *FACTS):
                yield (kind, name), *facts
