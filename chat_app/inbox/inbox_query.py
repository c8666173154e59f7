"""The prompts that wait for a person: in own conversations, and assigned from other conversations.

Several prompts on one card count once, as the first prompt of the card.

Everything here blocks. Assigned prompts are read in inbox order, through one index for each kind of
candidate (user, group, permission), and only as far as needed, however many prompts wait.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, IntegerField, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce

from sessions_app.interactions import answerers
from sessions_app.interactions.answerers import Name, heeds_four_eyes
from sessions_app.models import Candidate, Interaction, Vote
from sessions_app.models.interaction import CANDIDATE_ORDER, NEVER
from sessions_app.models.people import UserId, users
from sessions_app.prompts import seen_types

# The sort key of inboxes: deadline, time of asking, id. The earliest deadline comes first; prompts
# without a deadline come last, oldest first.
SortKey = tuple[datetime, datetime, UUID]
# Function that returns the sort keys of the first N prompts of one kind of candidate.
ReadFirst = Callable[[int], list[SortKey]]
DUE = Coalesce("due_at", "expires_at", NEVER)
MAX_ROWS_PER_QUERY = 2000  # maximum number of rows in one query


def waiting_prompts(
    user: UserId,
    *kinds: str,
    names: set[Name] | None = None,
    conditions: Sequence[Q] = (),
) -> list[ReadFirst]:
    """Return functions that read the prompts this person may answer, one for each of the names.

    A name is the person, a group or a permission. Prompts that others have claimed, or on which the
    person has voted, are left out.

    Args:
        kinds: the kinds of names to read ("own", "user", "group", "permission"); all if empty.
            Without "user", prompts that name the person are left out.
        names: the person's names, if already known.
        conditions: further conditions for the prompts.
    """
    own_votes = Vote.objects.filter(by=user, interaction=OuterRef("pk"))
    # Skip the vote lookup for prompts that one answer settles, because they have no votes.
    no_own_vote = Q(assignment__votes=1) | ~Exists(own_votes)
    all_conditions = [Q(assignee=None) | Q(assignee=user), no_own_vote, *conditions]
    if kinds and "user" not in kinds:
        is_named = Exists(Candidate.objects.filter(user=user, interaction=OuterRef("pk")))
        all_conditions.append(~is_named)
    return [
        _list_prompts(_own(user).filter(*all_conditions))
        if kind == "own"
        else _walk_candidates(
            _pending_prompts(*all_conditions, heeds_four_eyes(user)),
            **{kind: value},
            **KIND_CONDITIONS.get(kind, {}),
        )
        for kind, value in (names_of(user) if names is None else names)
        if not kinds or kind in kinds
    ]


def claimed_prompts(
    user: UserId,
    names: set[Name] | None = None,
    conditions: Sequence[Q] = (),
    **by: UserId,
) -> list[ReadFirst]:
    """Return functions that read the claimed prompts which this person may answer.

    The argument `assignee` selects only prompts that one person has claimed.
    """
    claimed, is_candidate = Q(assignee__isnull=False, **by), Q(pk__in=[])
    names = names_of(user) if names is None else names
    if not names:
        return []
    for kind, value in names:
        is_candidate |= Q(**{kind: value}) if kind != "own" else Q()
    may_answer = Exists(Candidate.objects.filter(is_candidate, interaction=OuterRef("pk")))
    assigned_prompts = _pending_prompts(claimed, may_answer, heeds_four_eyes(user), *conditions)
    return [_list_prompts(_own(user).filter(claimed, *conditions)), _list_prompts(assigned_prompts)]


def of_others(user: UserId, conditions: Sequence[Q] = ()) -> list[ReadFirst]:
    """Return functions that read prompts for other people in this person's conversations."""
    claimed_by_others = Q(assignee__isnull=False) & ~Q(assignee=user)
    prompts = _pending_prompts(Q(for_owner=False) | claimed_by_others, *conditions)
    return [_walk_candidates(prompts, owner=user)]


def first_prompts(readers: Iterable[ReadFirst], count: int) -> list[UUID]:
    """Return the first `count` prompts that all these functions read, each prompt once."""
    sort_keys = [key for read_first in readers for key in read_first(count)]
    return list(dict.fromkeys(prompt for *_, prompt in sorted(sort_keys)))[:count]


def answered_prompts(user: UserId, count: int) -> list[UUID]:
    """Return the newest prompts that a user answered or voted on, in undeleted conversations."""
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


# The index of permissions is partial; queries need its condition to use the index.
KIND_CONDITIONS = {"permission": {"permission__gt": ""}}


def _walk_candidates(prompts: QuerySet[Interaction], **by: object) -> ReadFirst:
    """Return a function that reads the prompts with the given candidates.

    Sort keys are read first, and prompts in a second query: in a join, a wrong row estimate makes
    the database scan all prompts.
    """
    sort_keys = (
        Candidate.objects.filter(pending=True, **by)
        .order_by(*CANDIDATE_ORDER)
        .values_list(*CANDIDATE_ORDER)
    )

    def walk(count: int) -> list[SortKey]:
        shown_keys: dict[SortKey, None] = {}
        start, step = 0, count
        while True:
            page: list[SortKey] = list(sort_keys[start : start + step])
            shown_prompts = set(
                prompts.filter(pk__in=[key[2] for key in page]).values_list("pk", flat=True)
            )
            shown_keys |= dict.fromkeys(key for key in page if key[2] in shown_prompts)
            if len(page) < step or len(shown_keys) >= count:
                return list(shown_keys)[:count]
            start, step = start + step, min(2 * step, MAX_ROWS_PER_QUERY)

    return walk


def _list_prompts(prompts: QuerySet[Interaction]) -> ReadFirst:
    sort_keys = prompts.order_by(DUE, "created_at", "pk").values_list(DUE, "created_at", "pk")
    return lambda count: list(sort_keys[:count])


def asks() -> Q:
    """Build the condition that a prompt asks something, unlike a notification."""
    return ~Q(name__in=seen_types())


def begins_card() -> Q:
    """Build the condition that a pending prompt is the first pending prompt of its card.

    Each assigned prompt has a card of its own in inboxes, because prompts are claimed one by one.
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
    """Return all pending prompts on the card of this prompt, in the order of asking."""
    together = prompt.prompt.get("together")
    is_pending = prompt.status == Interaction.Status.PENDING
    if not together or not is_pending or prompt.assignment is not None:
        return [prompt]
    columns = {"run": prompt.run_id, "assignment__isnull": True}
    pending = _pending_prompts(prompt__together__first=together["first"], **columns)
    rows = pending.select_related("conversation__owner", "run__conversation").order_by("position")
    return list(rows) or [prompt]


def any_pending() -> Q:
    """Build the condition that any assigned prompt is pending, by the index of each kind."""
    pending = Candidate.objects.filter(pending=True)
    of_users, of_groups = pending.filter(user__isnull=False), pending.filter(group__isnull=False)
    return Q(Exists(of_users)) | Q(Exists(of_groups)) | Q(Exists(pending.filter(permission__gt="")))


def pending_names(people: Collection[UserId]) -> dict[UserId, set[Name]]:
    """Return the names (person, group, permission) with pending prompts, for active people."""
    groups = Q(Exists(Candidate.objects.filter(pending=True, group=OuterRef("groups"))))
    return answerers.names(users().filter(pk__in=people), groups, answerers.permissions())


def _own(user: UserId) -> QuerySet[Interaction]:
    columns = {"conversation__owner": user, "conversation__waiting__gt": 0}
    return _pending_prompts(begins_card(), for_owner=True, **columns)


def names_of(user: UserId) -> set[Name]:
    """Return the names under which assigned prompts are pending for one person."""
    return pending_names([user]).get(user, set())


def _pending_prompts(*conditions: object, **columns: object) -> QuerySet[Interaction]:
    columns |= {"status": Interaction.Status.PENDING, "conversation__deleted_at": None}
    return Interaction.objects.filter(*conditions, **columns)
