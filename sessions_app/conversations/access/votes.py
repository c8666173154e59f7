"""Votes on an assigned prompt: so many people must give the same answer. Everything here blocks."""

from typing import Any
from uuid import UUID

from sessions_app.models import Vote
from sessions_app.models.people import Person
from sessions_app.storage.transaction import Transaction


def cast(
    tx: Transaction, interaction: UUID, by: Person, response: dict[str, Any], **how: str
) -> list[Vote]:
    """Cast or change a person's vote; returns all, in the order of their times."""
    Vote.objects.update_or_create(
        interaction_id=interaction,
        by_id=by.id,
        defaults={"response": response, "at": tx.now, **how},
    )
    cast = Vote.objects.filter(interaction=interaction).select_related("by")
    return list(cast.order_by("at", "pk"))


def agreeing(votes: list[Vote], response: dict[str, Any]) -> int:
    """How many gave this answer."""
    return sum(vote.response == response for vote in votes)


def told(vote: Vote) -> dict[str, Any]:
    """A vote, as the response of its prompt has it."""
    return {
        **vote.response,
        "by": vote.by.get_username(),
        "at": vote.at.isoformat(),
        "via": vote.via,
    }
