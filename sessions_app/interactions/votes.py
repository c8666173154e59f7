"""Votes on an assigned prompt: a number of people must give the same answer. All of it blocks."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sessions_app.interactions.answerers import PromptAudience, answerers, is_active, may_answer
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Interaction, Vote
from sessions_app.models.people import Person, UserId, users
from sessions_app.prompts.assignment import assignment_of
from sessions_app.storage.transaction import Transaction


def cast(
    tx: Transaction, audience: PromptAudience, by: Person, response: JsonObject, **columns: str
) -> tuple[list[Vote], bool]:
    """Cast or change a person's vote; a repeated delivery of a vote changes nothing.

    Return the votes that count, ordered by time, and whether this vote is a repeat.
    """
    vouched = not may_answer(by.id, audience)
    columns_of_vote = {"response": response, "at": tx.now, "vouched": vouched, **columns}
    vote, is_new = Vote.objects.get_or_create(
        interaction_id=audience.interaction, by_id=by.id, defaults=columns_of_vote
    )
    is_repeat = not is_new and (vote.answer_id, vote.response) == (columns["answer_id"], response)
    if not (is_new or is_repeat):
        Vote.objects.filter(pk=vote.pk).update(**columns_of_vote)
    return _counting_votes(audience), is_repeat


def has_voted(user: UserId, interaction: UUID) -> bool:
    """Return whether the user has cast a vote on the prompt."""
    return Vote.objects.filter(interaction=interaction, by=user).exists()


def find_response(user: UserId, interaction: UUID, answer_id: str) -> JsonObject | None:
    """Return the response of the user's vote with this answer id, or None."""
    votes = Vote.objects.filter(interaction=interaction, by=user, answer_id=answer_id)
    return next((vote.response for vote in votes), None)


def was_replaced(user: UserId, interaction: UUID, answer_id: str) -> bool:
    """Return whether the user's vote with this answer id has been changed or withdrawn."""
    cast_before = AuditEntry.objects.filter(
        interaction=interaction,
        by=str(user),
        action=AuditEntry.Action.VOTED,
        detail__answer_id=answer_id,
    )
    return cast_before.exists() and find_response(user, interaction, answer_id) is None


def withdraw(user: UserId, interaction: UUID) -> None:
    """Delete the user's vote on the prompt, if there is one."""
    Vote.objects.filter(interaction=interaction, by=user).delete()


def counting_votes(prompts: Iterable[Interaction]) -> dict[UUID, list[Vote]]:
    """Return the votes of prompts that need several: all if settled, else those that count now."""
    voted_on = [
        prompt for prompt in prompts if (rules := assignment_of(prompt)) and rules.votes > 1
    ]
    votes = Vote.objects.filter(interaction__in=[prompt.pk for prompt in voted_on])
    with_votes = set(votes.values_list("interaction", flat=True)) if voted_on else set()
    return {
        prompt.pk: _counting_votes(PromptAudience.of(prompt))
        if prompt.status == prompt.Status.PENDING
        else _all(prompt.pk)
        for prompt in voted_on
        if prompt.pk in with_votes
    }


def count_agreeing(votes: list[Vote], response: JsonObject) -> int:
    """Count the votes for this answer, ignoring notes."""
    return sum({**vote.response, "note": ""} == {**response, "note": ""} for vote in votes)


def vote_content(response: JsonObject, by: str, at: datetime, via: str) -> JsonObject:
    """Return a vote as JSON for the list of votes in the prompt's response."""
    return {**response, "by": by, "at": at.isoformat(), "via": via}


def _counting_votes(audience: PromptAudience) -> list[Vote]:
    """Return votes of people who may answer now, and `vouched` votes of active people."""
    votes = _all(audience.interaction)
    answerer_ids = answerers(audience, users().filter(pk__in=[vote.by_id for vote in votes]))
    return [
        vote
        for vote in votes
        if vote.by_id in answerer_ids or (vote.vouched and is_active(vote.by))
    ]


def _all(interaction: UUID) -> list[Vote]:
    cast = Vote.objects.filter(interaction=interaction).select_related("by")
    return list(cast.order_by("at", "pk"))
