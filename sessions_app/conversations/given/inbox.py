"""What waits for a person: in their own conversations, and of others that they may answer.

Everything here blocks. The database reads as many rows as wait for this person, whatever waits for
others.
"""

from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from sessions_app.conversations.access.candidates import candidate_rows
from sessions_app.models import Conversation, Interaction, Vote
from sessions_app.models.people import UserId


def own(user: UserId) -> QuerySet[Interaction]:
    """What waits in this person's conversations for them, as their owner."""
    asking = Conversation.objects.of(user).filter(waiting__gt=0)
    return _pending(conversation__in=asking, for_owner=True)


def assigned(user: UserId) -> QuerySet[Interaction]:
    """What others ask, and this person may answer: also what somebody else has claimed."""
    # As a list: a database that guesses how many these are may else look through all prompts.
    mine = list(candidate_rows(user).values_list("interaction", flat=True))
    theirs = ~Q(conversation__owner=user) | Q(for_owner=False, assignment__four_eyes=False)
    return _pending(theirs, pk__in=mine, conversation__deleted_at=None)


def answerable(rows: QuerySet[Interaction], user: UserId) -> QuerySet[Interaction]:
    """Those that nobody else has claimed, and on which this person has not voted."""
    mine = Vote.objects.filter(by=user, interaction=OuterRef("pk"))
    return rows.filter(Q(assignee=None) | Q(assignee=user), ~Exists(mine))


def of_others(user: UserId) -> QuerySet[Interaction]:
    """What this person's conversations wait for, and others have to answer."""
    waits = Interaction.objects.filter(status=Interaction.Status.PENDING)
    asking = Exists(waits.filter(conversation=OuterRef("pk")))
    mine = list(Conversation.objects.of(user).filter(asking).values_list("pk", flat=True))
    claimed = Q(assignee__isnull=False) & ~Q(assignee=user)
    return _pending(Q(for_owner=False) | claimed, conversation__in=mine)


def answered(user: UserId) -> list[QuerySet[Interaction]]:
    """What this person has answered, and what they have voted on that others decided or will, as
    long as its conversation is kept; `given_at` is when.
    """
    kept = Interaction.objects.filter(conversation__deleted_at=None)
    voted = kept.filter(votes__by=user).exclude(answered_by=user)
    return [
        kept.filter(answered_by=user).annotate(given_at=F("answered_at")),
        voted.annotate(given_at=F("votes__at")),
    ]


def by_due(*rows: QuerySet[Interaction]) -> QuerySet[Interaction]:
    """All of them as one, the first to be due first; what is not due comes last, oldest first."""
    first, *others = [each.annotate(due=Coalesce("due_at", "expires_at")) for each in rows]
    # All: none is in two of them, and PostgreSQL cannot compare what keeps the order of its names.
    both = first.union(*others, all=True) if others else first
    return both.order_by(F("due").asc(nulls_last=True), "created_at", "id")


def count_assigned(user: UserId) -> int:
    """How many prompts of others wait for this person, and nobody else has claimed."""
    return answerable(assigned(user), user).count()


def _pending(*which: Q, **also: Any) -> QuerySet[Interaction]:
    return Interaction.objects.filter(*which, status=Interaction.Status.PENDING, **also)
