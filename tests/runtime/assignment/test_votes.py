"""Tests of votes: one vote counts for each person who may answer when the deciding vote comes."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from sessions_app import runs
from sessions_app.errors import Invalid
from sessions_app.interactions import answers, votes
from sessions_app.interactions.answers import IncomingAnswer, Outcome
from sessions_app.models import Candidate, Interaction, Vote
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.workflows import CheckboxPrompt, group, user
from tests.runtime.assignment.asking import (
    actions,
    answer_to,
    asking_people,
    change,
    counts,
    give,
    give_over_claims,
    people,
)
from tests.support.hosting import django_user

pytestmark = pytest.mark.django_db(transaction=True)

MANAGERS: dict[str, Any] = {"members": "managers", "to": group("managers"), "votes": 2}
BOTH: dict[str, Any] = {"to": [user("boss"), user("other")], "votes": 2}
THREE: dict[str, Any] = {"to": [user("boss"), user("other"), user("third")], "votes": 2}


def assignee(prompt: Interaction) -> Any:
    return Interaction.objects.get(pk=prompt.pk).assignee_id


def status_of(prompt: Interaction) -> str:
    return Interaction.objects.get(pk=prompt.pk).status


async def assert_outcomes(
    prompt: Interaction, *expected_outcomes: tuple[Person, str, Outcome]
) -> None:
    """Let people answer one after another, and check each outcome."""
    for person, value, outcome in expected_outcomes:
        result = await give(value, prompt, person)
        assert result.outcome == outcome, person.username
        assert result.status == await reads.read(status_of, prompt)


async def test_two_of_three_give_the_same_answer() -> None:
    async with asking_people("boss", "other", "third", **THREE) as scene:
        hosting, prompt, [boss, other, third] = scene
        await assert_outcomes(
            prompt,
            (boss, "no", Outcome.VOTED),
            (other, "yes", Outcome.VOTED),
            (boss, "yes", Outcome.ACCEPTED),  # the boss votes again, differently
            (third, "no", Outcome.STALE),
        )
        both = "[('other', 'yes', 'test'), ('boss', 'yes', 'test')]"
        assert await hosting.result(prompt.run_id) == f"yes by boss: {both}"
        assert await reads.read(actions, prompt) == [
            *(("opened", ""), ("voted", "boss"), ("voted", "other"), ("answered", "boss"))
        ]
        told = [one.payload for one in await hosting.events() if "votes" in one.payload]
        assert [(one["change"], one["by"], one["votes"], one["needed"]) for one in told] == [
            ("voted", "boss", 1, 2),
            ("voted", "other", 2, 2),
        ]


async def vote(answer: IncomingAnswer, by: Person) -> Outcome:
    return (await answers.answer(by=by, conversation_id=None, answer=answer)).outcome


async def test_a_vote_counts_for_its_own_prompt_alone() -> None:
    async with asking_people("boss", "other", "third", **THREE) as scene:
        hosting, first, [boss, other, third] = scene
        _, second = await hosting.submit_until_prompt(conversation="c2")
        on_first = answer_to(first)
        assert await vote(on_first, boss) == Outcome.VOTED
        # The boss has not voted on this prompt.
        assert (await change("claim", second, boss)).changed
        on_second = replace(on_first, interaction=str(second.pk))
        assert await vote(on_second, boss) == Outcome.VOTED
        # The delegation takes the boss's first vote back.
        await change("delegate", first, boss, to="other")
        await assert_outcomes(first, (other, "yes", Outcome.VOTED))
        await assert_outcomes(second, (third, "yes", Outcome.ACCEPTED))


async def test_the_id_of_a_vote_is_that_of_its_person_and_prompt() -> None:
    async with asking_people("boss", "other", "third", **THREE) as scene:
        hosting, first, [boss, other, third] = scene
        _, second = await hosting.submit_until_prompt(conversation="c2")
        on_first = answer_to(first)
        assert await vote(on_first, boss) == Outcome.VOTED
        assert await vote(on_first, third) == Outcome.ACCEPTED
        assert await vote(on_first, other) == Outcome.STALE
        await assert_outcomes(
            second, (other, "yes", Outcome.VOTED), (third, "yes", Outcome.ACCEPTED)
        )
        assert await vote(replace(on_first, interaction=str(second.pk)), boss) == Outcome.STALE


async def test_the_same_vote_again_is_acknowledged_again_and_writes_nothing() -> None:
    async with asking_people("boss", "other", **BOTH) as (hosting, prompt, [boss, _]):
        times, answer = set(), answer_to(prompt)
        for _again in range(2):
            assert await vote(answer, boss) == Outcome.VOTED
            times.add((await Vote.objects.aget()).at)
            assert await reads.read(actions, prompt) == [("opened", ""), ("voted", "boss")]
        changes = [event.payload.get("change") for event in await hosting.events()]
        assert (changes.count("voted"), len(times)) == (1, 1)


async def test_a_vote_that_was_changed_or_withdrawn_and_comes_again_counts_no_more() -> None:
    async with asking_people("boss", "other", "third", **THREE) as scene:
        _, prompt, [boss, other, third] = scene
        first_vote = answer_to(prompt, "yes")
        for answer in (first_vote, answer_to(prompt, "no"), first_vote):
            assert await vote(answer, boss) == Outcome.VOTED
        await assert_outcomes(prompt, (other, "yes", Outcome.VOTED))
        await change("delegate", prompt, boss, to="third")
        await assert_outcomes(prompt, (third, "no", Outcome.VOTED))
        assert await vote(first_vote, boss) == Outcome.VOTED
        await assert_outcomes(prompt, (third, "yes", Outcome.ACCEPTED))


@pytest.mark.parametrize("value", ["yes", "no"])
async def test_a_vote_that_comes_again_after_the_decision_is_acknowledged(value: str) -> None:
    async with asking_people("boss", "other", "third", **THREE) as scene:
        _, prompt, [boss, other, third] = scene
        answer = answer_to(prompt, value)
        for outcome in (Outcome.VOTED, Outcome.DUPLICATE):
            assert await vote(answer, boss) == outcome
            for person in (other, third):
                await give("yes", prompt, person)
        # the same vote again, with another answer id
        assert (await give(value, prompt, boss)).outcome == Outcome.STALE


async def test_votes_for_different_options_do_not_agree() -> None:
    prompt = CheckboxPrompt(text="Which days?", options=["monday", "tuesday"])
    how = {**BOTH, "prompt": prompt}
    async with asking_people("boss", "other", **how) as (_, question, [boss, other]):
        await assert_outcomes(
            question,
            (boss, "monday", Outcome.VOTED),
            (other, "monday, tuesday", Outcome.VOTED),
            (other, "monday", Outcome.ACCEPTED),
        )


async def test_votes_of_former_candidates_do_not_count() -> None:
    async with asking_people("boss", "other", **BOTH) as (_, prompt, [boss, _]):
        b1, b2 = await reads.read(people, "b1", "b2")
        await assert_outcomes(prompt, (boss, "yes", Outcome.VOTED))
        to = [user("b1"), user("b2")]
        await runs.areassign(prompt.pk, to=to, by=django_user(boss))
        await assert_outcomes(prompt, (b1, "yes", Outcome.VOTED))
        decided = await give("yes", prompt, b2)
        assert decided.outcome == Outcome.ACCEPTED
        assert [one["by"] for one in (decided.response or {})["votes"]] == ["b1", "b2"]


@pytest.mark.parametrize(
    ("how", "via"),
    [("left the group", "test"), ("was deactivated", "test"), ("left the group", "python")],
)
async def test_votes_of_those_who_may_no_longer_answer_do_not_count(how: str, via: str) -> None:
    async with asking_people("gone", "boss", "other", **MANAGERS) as scene:
        _, prompt, [former_member, boss, other] = scene
        if via == "python":
            by = await User.objects.aget(pk=former_member.id)
            assert (await runs.aanswer(prompt.pk, "yes", by=by)).outcome == Outcome.VOTED
        else:
            await assert_outcomes(prompt, (former_member, "yes", Outcome.VOTED))

        def go() -> None:
            if how == "left the group":
                Group.objects.get(name="managers").user_set.remove(former_member.id)
            else:
                User.objects.filter(pk=former_member.id).update(is_active=False)

        await reads.read(go)
        await assert_outcomes(prompt, (boss, "yes", Outcome.VOTED))
        rows = Interaction.objects.select_related("conversation")
        counted_votes = await reads.read(lambda: votes.counting_votes([rows.get(pk=prompt.pk)]))
        assert [one.by_id for one in counted_votes[prompt.pk]] == [boss.id]
        await assert_outcomes(prompt, (other, "yes", Outcome.ACCEPTED))


async def test_votes_that_have_decided_stay_when_their_people_leave() -> None:
    async with asking_people("boss", "other", **MANAGERS) as (_, prompt, [boss, other]):
        decided = ((boss, "yes", Outcome.VOTED), (other, "yes", Outcome.ACCEPTED))
        await assert_outcomes(prompt, *decided)

        def counted_ids() -> list[Any]:
            Group.objects.get(name="managers").user_set.clear()
            settled_prompt = Interaction.objects.select_related("conversation").get(pk=prompt.pk)
            return [one.by_id for one in votes.counting_votes([settled_prompt])[prompt.pk]]

        assert await reads.read(counted_ids) == [boss.id, other.id]


async def test_an_operators_vote_counts_as_long_as_they_are_active() -> None:
    async with asking_people("boss", "other", "op", **BOTH) as (_, prompt, [boss, _, op]):
        answer_result = await give_over_claims("yes", prompt, op)
        assert answer_result.outcome == Outcome.VOTED
        for is_active, outcome in ((False, Outcome.VOTED), (True, Outcome.ACCEPTED)):
            await User.objects.filter(pk=op.id).aupdate(is_active=is_active)
            await assert_outcomes(prompt, (boss, "yes", outcome))


@pytest.mark.parametrize("how", [{"votes": 2}, {"votes": 1, "four_eyes": True}])
async def test_a_voted_prompt_is_delegated_among_candidates_only(how: dict[str, Any]) -> None:
    """Otherwise one person could vote twice: as herself, and as a guest that she created."""
    async with asking_people("boss", "other", "guest-0", **{**BOTH, **how}) as scene:
        _, prompt, [boss, _, guest] = scene
        with pytest.raises(Invalid, match="may not answer"):
            await change("delegate", prompt, boss, to="guest-0")
        rows = Candidate.objects.filter(interaction=prompt.pk, user=guest.id)
        assert not await reads.read(rows.exists)
        assert await reads.read(assignee, prompt) is None
        assert (await change("delegate", prompt, boss, to="other")).assignee == "other"


async def test_a_delegates_vote_replaces_the_delegators_vote() -> None:
    async with asking_people("boss", "other", "third", **THREE) as scene:
        _, prompt, [boss, other, third] = scene
        await assert_outcomes(prompt, (boss, "yes", Outcome.VOTED))
        await change("delegate", prompt, boss, to="other")
        await assert_outcomes(prompt, (other, "yes", Outcome.VOTED))
        with pytest.raises(Invalid, match="other has voted"):
            await change("delegate", prompt, third, to="other")
        await assert_outcomes(prompt, (third, "yes", Outcome.ACCEPTED))


async def test_voters_lose_their_claim_and_cannot_claim_again() -> None:
    async with asking_people("boss", "other", **MANAGERS) as (_, prompt, [boss, other]):
        assert await reads.read(counts, boss, other) == [1, 1]
        assert (await change("claim", prompt, boss)).changed
        await assert_outcomes(prompt, (boss, "yes", Outcome.VOTED))
        assert await reads.read(assignee, prompt) is None
        assert await reads.read(counts, boss, other) == [0, 1]
        with pytest.raises(Invalid, match="You have voted"):
            await change("claim", prompt, boss)
        await assert_outcomes(prompt, (other, "yes", Outcome.ACCEPTED))


async def test_a_prompt_settled_by_one_answer_stores_no_vote() -> None:
    async with asking_people("boss", to=user("boss")) as (_, prompt, [boss]):
        answer_result = await give("yes", prompt, boss)
        assert [one["by"] for one in (answer_result.response or {})["votes"]] == ["boss"]
        assert not await reads.read(Vote.objects.exists)
