"""The prompts that wait for a person: of their own conversations, and others that they may answer.

Of several on one card the first stands for all.

Everything here blocks. Assigned prompts are read in the order of inboxes, by an index for each way
in which they wait for this person, and no further than wanted, whatever waits beyond.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, IntegerField, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce

from sessions_app.interactions import answerers
from sessions_app.interactions.answerers import Name, heeds_four_eyes
from sessions_app.models import Candidate, Interaction, Vote
from sessions_app.models.interaction import NEVER, PLACE
from sessions_app.models.people import UserId, users

# When a prompt is due, when it was asked, and which it is: the first to be due comes first; what is
# not due comes last, oldest first.
Place = tuple[datetime, datetime, UUID]
# Gives the first so many of what waits in one way.
First = Callable[[int], list[Place]]
DUE = Coalesce("due_at", "expires_at", NEVER)
MOST = 2000  # rows at once


def waiting_prompts(user: UserId, *kinds: str, names: set[Name] | None = None) -> list[First]:
    """Return the ways in which prompts that this person may answer now wait for them.

    Prompts that others have claimed, or on which the person has voted, are left out.

    Args:
        kinds: by what the person has to go ("own", "user", "group", "permission"); without, by
            anything. Where "user" is not among them, prompts that name the person are left out.
        names: what the person goes by, where that is known.
    """
    own_votes = Vote.objects.filter(by=user, interaction=OuterRef("pk"))
    # Of prompts that one answer settles there are no votes, which need not be looked up.
    no_own_vote = Q(assignment__votes=1) | ~Exists(own_votes)
    conditions = [Q(assignee=None) | Q(assignee=user), no_own_vote]
    if kinds and "user" not in kinds:
        conditions.append(~Exists(Candidate.objects.filter(user=user, interaction=OuterRef("pk"))))
    return [
        _list_prompts(_own(user).filter(*conditions))
        if kind == "own"
        else _walk_candidates(
            _pending_prompts(*conditions, heeds_four_eyes(user)),
            **{kind: value},
            **KIND_CONDITIONS.get(kind, {}),
        )
        for kind, value in (names_of(user) if names is None else names)
        if not kinds or kind in kinds
    ]


def claimed_prompts(user: UserId, names: set[Name] | None = None, **by: UserId) -> list[First]:
    """Return the claimed prompts that this person may answer; with `assignee`, only theirs."""
    claimed, is_candidate = Q(assignee__isnull=False, **by), Q(pk__in=[])
    names = names_of(user) if names is None else names
    if not names:
        return []
    for kind, value in names:
        is_candidate |= Q(**{kind: value}) if kind != "own" else Q()
    may_answer = Exists(Candidate.objects.filter(is_candidate, interaction=OuterRef("pk")))
    assigned_prompts = _pending_prompts(claimed, may_answer, heeds_four_eyes(user))
    return [_list_prompts(_own(user).filter(claimed)), _list_prompts(assigned_prompts)]


def of_others(user: UserId) -> list[First]:
    """Return the prompts of this person's conversations that others have to answer."""
    claimed_by_others = Q(assignee__isnull=False) & ~Q(assignee=user)
    return [_walk_candidates(_pending_prompts(Q(for_owner=False) | claimed_by_others), owner=user)]


def first(ways: Iterable[First], count: int) -> list[UUID]:
    """Return the first so many of what waits in all of these ways, each once."""
    places = [place for way in ways for place in way(count)]
    return list(dict.fromkeys(prompt for *_, prompt in sorted(places)))[:count]


def answered_prompts(user: UserId, count: int) -> list[UUID]:
    """Return the newest prompts that a user answered or voted on; of deleted conversations none."""
    interactions = Interaction.objects.filter(conversation__deleted_at=None)
    voted_interactions = interactions.filter(votes__by=user).exclude(answered_by=user)
    querysets = [
        interactions.filter(answered_by=user).annotate(given_at=F("answered_at")),
        voted_interactions.annotate(given_at=F("votes__at")),
    ]
    dated_prompts = [
        row
        for rows in querysets
        for row in rows.order_by("-given_at", "pk").values_list("given_at", "pk")[:count]
    ]
    dated_prompts.sort(key=lambda row: row[0], reverse=True)
    return [prompt for _, prompt in dated_prompts[:count]]


# Said, since the index of permissions leaves the candidates of other kinds out.
KIND_CONDITIONS = {"permission": {"permission__gt": ""}}


def _walk_candidates(prompts: QuerySet[Interaction], **by: object) -> First:
    """Return the prompts that have such candidates.

    Places are read before prompts, and not with them: a database that guesses wrongly how many
    these are would look through all prompts.
    """
    places = Candidate.objects.filter(pending=True, **by).order_by(*PLACE).values_list(*PLACE)

    def walk(count: int) -> list[Place]:
        shown_places: dict[Place, None] = {}
        start, step = 0, count
        while True:
            page: list[Place] = list(places[start : start + step])
            shown_prompts = set(
                prompts.filter(pk__in=[place[2] for place in page]).values_list("pk", flat=True)
            )
            shown_places |= dict.fromkeys(place for place in page if place[2] in shown_prompts)
            if len(page) < step or len(shown_places) >= count:
                return list(shown_places)[:count]
            start, step = start + step, min(2 * step, MOST)

    return walk


def _list_prompts(prompts: QuerySet[Interaction]) -> First:
    places = prompts.order_by(DUE, "created_at", "pk").values_list(DUE, "created_at", "pk")
    return lambda count: list(places[:count])


def begins_card() -> Q:
    """Build the condition on pending prompts that none before them waits on the same card.

    Those with an assignment have a card each in inboxes, as they are claimed one by one.
    """
    first = KeyTextTransform("first", KeyTransform("together", OuterRef("prompt")))
    earlier_prompts = Interaction.objects.filter(
        run=OuterRef("run"),
        position__gte=Cast(first, IntegerField()),
        position__lt=OuterRef("position"),
        status=Interaction.Status.PENDING,
        assignment__isnull=True,
    )
    has_own_card = Q(prompt__together__isnull=True) | Q(assignment__isnull=False)
    return has_own_card | ~Q(Exists(earlier_prompts))


def on_card(prompt: Interaction) -> list[Interaction]:
    """Return the pending prompts of the card on which this one waits, in the order of asking."""
    together = prompt.prompt.get("together")
    is_pending = prompt.status == Interaction.Status.PENDING
    if not together or not is_pending or prompt.assignment is not None:
        return [prompt]
    columns = {"run": prompt.run_id, "assignment__isnull": True}
    pending = _pending_prompts(prompt__together__first=together["first"], **columns)
    rows = pending.select_related("conversation__owner", "run__conversation").order_by("position")
    return list(rows) or [prompt]


def any_pending() -> Q:
    """Build the condition that prompts wait for candidates; each kind of them has an index."""
    pending = Candidate.objects.filter(pending=True)
    of_users, of_groups = pending.filter(user__isnull=False), pending.filter(group__isnull=False)
    return Q(Exists(of_users)) | Q(Exists(of_groups)) | Q(Exists(pending.filter(permission__gt="")))


def pending_names(people: Collection[UserId]) -> dict[UserId, set[Name]]:
    """Return what each active person goes by, as far as assigned prompts wait for that."""
    groups = Q(Exists(Candidate.objects.filter(pending=True, group=OuterRef("groups"))))
    return answerers.names(users().filter(pk__in=people), groups, answerers.permissions())


def _own(user: UserId) -> QuerySet[Interaction]:
    columns = {"conversation__owner": user, "conversation__waiting__gt": 0}
    return _pending_prompts(begins_card(), for_owner=True, **columns)


def names_of(user: UserId) -> set[Name]:
    """Return what a person goes by: see `pending_names`."""
    return pending_names([user]).get(user, set())


def _pending_prompts(*conditions: object, **columns: object) -> QuerySet[Interaction]:
    columns |= {"status": Interaction.Status.PENDING, "conversation__deleted_at": None}
    return Interaction.objects.filter(*conditions, **columns)
