"""Whose votes count: of those who may answer when the vote comes that decides, one each."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from sessions_app import runs
from sessions_app.admin import repairs
from sessions_app.errors import Invalid
from sessions_app.interactions import claims, votes
from sessions_app.interactions.answers import Outcome
from sessions_app.interactions.pending_counts import waiting_for
from sessions_app.models import Candidate, Interaction, Vote
from sessions_app.storage import reads
from sessions_app.workflows import group, user
from tests.runtime.assignment.test_who_may_answer import asks, give, people
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)


async def asked(hosting: Hosting, **how: Any) -> Interaction:
    asks(**{"votes": 2, **how})
    [prompt] = await hosting.prompts(await hosting.submit())
    return prompt


def assignee(prompt: Interaction) -> Any:
    return Interaction.objects.get(pk=prompt.pk).assignee_id


async def test_votes_of_those_it_was_taken_from_do_not_count() -> None:
    async with Hosting("t_assigned") as hosting:
        a1, _, b1, b2, op = await reads.read(people, "a1", "a2", "b1", "b2", "op")
        prompt = await asked(hosting, to=[user("a1"), user("a2")])
        assert (await give("yes", prompt, a1)).outcome == Outcome.VOTED
        to = [user("b1"), user("b2")]
        await hosting.in_thread(repairs.reassign, prompt.pk, to=to, by=op)
        assert (await give("yes", prompt, b1)).outcome == Outcome.VOTED
        decided = await give("yes", prompt, b2)
        assert decided.outcome == Outcome.ACCEPTED
        assert [one["by"] for one in (decided.response or {})["votes"]] == ["b1", "b2"]


@pytest.mark.parametrize("how", ["left the group", "was deactivated"])
async def test_votes_of_those_who_may_no_longer_answer_do_not_count(how: str) -> None:
    async with Hosting("t_assigned") as hosting:
        gone, boss, other = await reads.read(people, "gone", "boss", "other", to="managers")
        prompt = await asked(hosting, to=group("managers"))
        assert (await give("yes", prompt, gone)).outcome == Outcome.VOTED

        def go() -> None:
            if how == "left the group":
                Group.objects.get(name="managers").user_set.remove(gone.id)
            else:
                User.objects.filter(pk=gone.id).update(is_active=False)

        await reads.read(go)
        assert (await give("yes", prompt, boss)).outcome == Outcome.VOTED
        rows = Interaction.objects.select_related("conversation")
        standing = await reads.read(lambda: votes.counting([rows.get(pk=prompt.pk)]))
        assert [one.by_id for one in standing[prompt.pk]] == [boss.id]
        assert (await give("yes", prompt, other)).outcome == Outcome.ACCEPTED


async def test_an_operators_vote_counts_as_long_as_they_are_active() -> None:
    async with Hosting("t_assigned") as hosting:
        boss, _, op = await reads.read(people, "boss", "other", "op")
        prompt = await asked(hosting, to=[user("boss"), user("other")])
        done = await hosting.in_thread(repairs.answer, prompt.pk, person=op, given="yes")
        assert done.outcome == Outcome.VOTED
        await reads.read(lambda: User.objects.filter(pk=op.id).update(is_active=False))
        assert (await give("yes", prompt, boss)).outcome == Outcome.VOTED
        await reads.read(lambda: User.objects.filter(pk=op.id).update(is_active=True))
        assert (await give("yes", prompt, boss)).outcome == Outcome.ACCEPTED


async def test_a_vote_from_python_is_of_a_candidate_all_the_same() -> None:
    async with Hosting("t_assigned") as hosting:
        gone, boss, _ = await reads.read(people, "gone", "boss", "other", to="managers")
        prompt = await asked(hosting, to=group("managers"))
        by = await reads.read(lambda: User.objects.get(pk=gone.id))
        assert (await runs.aanswer(prompt.pk, "yes", by=by)).outcome == Outcome.VOTED
        await reads.read(lambda: Group.objects.get(name="managers").user_set.remove(by))
        assert (await give("yes", prompt, boss)).outcome == Outcome.VOTED


@pytest.mark.parametrize("how", [{"votes": 2}, {"votes": 1, "four_eyes": True}])
async def test_it_is_handed_on_among_candidates_only(how: dict[str, Any]) -> None:
    """Else one person votes twice: as herself, and as the guest that she made."""
    async with Hosting("t_assigned") as hosting:
        boss, _, guest = await reads.read(people, "boss", "other", "guest-0")
        prompt = await asked(hosting, to=[user("boss"), user("other")], **how)
        with pytest.raises(Invalid, match="may not answer"):
            await claims.change("delegate", str(prompt.pk), to="guest-0", by=boss, via="test")
        rows = Candidate.objects.filter(interaction=prompt.pk, user=guest.id)
        assert not await reads.read(rows.exists)
        assert await reads.read(assignee, prompt) is None
        handed = await claims.change("delegate", str(prompt.pk), to="other", by=boss, via="test")
        assert handed.assignee == "other"


async def test_the_vote_of_whom_it_is_handed_to_takes_the_place_of_ones_own() -> None:
    async with Hosting("t_assigned") as hosting:
        boss, other, third = await reads.read(people, "boss", "other", "third")
        to = [user("boss"), user("other"), user("third")]
        prompt = await asked(hosting, to=to)
        assert (await give("yes", prompt, boss)).outcome == Outcome.VOTED
        await claims.change("delegate", str(prompt.pk), to="other", by=boss, via="test")
        assert (await give("yes", prompt, other)).outcome == Outcome.VOTED
        with pytest.raises(Invalid, match="other has voted"):
            await claims.change("delegate", str(prompt.pk), to="other", by=third, via="test")
        assert (await give("yes", prompt, third)).outcome == Outcome.ACCEPTED


async def test_who_has_voted_keeps_no_claim_and_gets_none() -> None:
    async with Hosting("t_assigned") as hosting:
        boss, other = await reads.read(people, "boss", "other")
        prompt = await asked(hosting, to=[user("boss"), user("other")])
        assert (await claims.change("claim", str(prompt.pk), by=boss, via="test")).changed
        assert (await give("yes", prompt, boss)).outcome == Outcome.VOTED
        assert await reads.read(assignee, prompt) is None
        with pytest.raises(Invalid, match="You have voted"):
            await claims.change("claim", str(prompt.pk), by=boss, via="test")
        assert (await give("yes", prompt, other)).outcome == Outcome.ACCEPTED


async def test_what_one_has_voted_on_waits_for_the_others_only() -> None:
    async with Hosting("t_assigned") as hosting:
        boss, other = await reads.read(people, "boss", "other", to="managers")
        prompt = await asked(hosting, to=group("managers"))

        def counts() -> list[int]:
            found = waiting_for([boss.id, other.id])
            return [found[one.id].prompts for one in (boss, other)]

        assert await reads.read(counts) == [1, 1]
        assert (await give("yes", prompt, boss)).outcome == Outcome.VOTED
        assert await reads.read(counts) == [0, 1]


async def test_one_answer_takes_no_row_of_a_vote() -> None:
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss")
        prompt = await asked(hosting, to=user("boss"), votes=1)
        done = await give("yes", prompt, boss)
        assert [one["by"] for one in (done.response or {})["votes"]] == ["boss"]
        assert not await reads.read(Vote.objects.exists)
