"""Tests that a person who was deactivated while a card was open cannot answer in any way."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions_app import runs
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import answers
from sessions_app.interactions.answers import IncomingAnswer, Outcome
from sessions_app.interactions.claims import lost_claims, release_lost
from sessions_app.lifecycle.due import release_claims
from sessions_app.models import Interaction
from sessions_app.models.people import Person
from sessions_app.prompts import TextAnswer
from sessions_app.storage import reads
from sessions_app.storage.writer import writer
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Message,
    TextPrompt,
    group,
    permission,
    user,
    workflow,
)
from tests.runtime.assignment.asking import (
    actions,
    answer_to,
    asking_people,
    change,
    entries,
    give,
    give_over_claims,
    inbox_of,
    people,
)
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({}, "ann"),
        ({"to": [user("ann"), user("boss")]}, "ann"),
        ({"to": user("boss")}, "boss"),
        ({"to": group("managers")}, "boss"),
    ],
)
async def test_inactive_users_cannot_answer_anywhere(how: dict[str, Any], name: str) -> None:
    async with asking_people("boss", members="managers", **how) as (hosting, prompt, [boss]):
        person = {"ann": hosting.person, "boss": boss}[name]
        await User.objects.filter(pk=person.id).aupdate(is_active=False)
        assert (await give("yes", prompt, person)).outcome == Outcome.NOT_FOUND
        mine: dict[str, Any] = {"by": person, "conversation_id": "c"}
        unnamed = await answers.answer(
            **mine, answer=IncomingAnswer("a1", "test", TextAnswer("yes"))
        )
        together = await answers.answer_together(**mine, answers=[answer_to(prompt)])
        assert unnamed.outcome == together.outcome == Outcome.NOT_FOUND
        with pytest.raises(NotFound):
            await change("claim", prompt, person)
        row = await User.objects.aget(pk=person.id)
        with pytest.raises(Invalid, match="not active"):
            await runs.aanswer(prompt.pk, "yes", by=row)
        with pytest.raises(Invalid, match="not active"):
            await give_over_claims("yes", prompt, person)
        assert await Interaction.objects.filter(pk=prompt.pk, status="pending").aexists()


async def leave(person: Person) -> None:
    await reads.read(lambda: User.objects.get(pk=person.id).groups.clear())


async def retire(person: Person) -> None:
    await User.objects.filter(pk=person.id).aupdate(is_active=False)


@pytest.mark.parametrize("go", [leave, retire])
async def test_what_somebody_claimed_who_left_waits_for_the_others_again(
    go: Callable[[Person], Awaitable[None]],
) -> None:
    to = group("managers")
    async with asking_people("boss", "other", members="managers", to=to) as (_, prompt, people):
        boss, other = people
        await change("claim", prompt, boss)
        await release_claims()
        assert await reads.read(inbox_of, other) == []
        await go(boss)
        await release_claims()
        assert await reads.read(inbox_of, other) == [prompt.pk]
        *_, last = await reads.read(entries, prompt)
        assert (last.action, last.by_name, last.via) == ("released", "", "")


async def test_many_claims_are_checked_with_as_many_queries_as_one() -> None:
    to = [group("managers"), permission("auth.view_user")]
    async with asking_people("boss", members="managers", to=to) as (_, prompt, [boss]):
        await change("claim", prompt, boss)

        def check() -> int:
            with CaptureQueriesContext(connection) as queries:
                assert lost_claims(9) == []
            return len(queries)

        def repeat() -> None:
            row = Interaction.objects.get(pk=prompt.pk)
            candidates = list(row.candidates.all())
            for number in range(5):
                row.pk, row.position = uuid4(), 100 + number
                row.save(force_insert=True)
                for candidate in candidates:
                    candidate.pk, candidate.interaction = None, row
                    candidate.save(force_insert=True)

        one = await reads.read(check)
        await reads.read(repeat)
        assert await reads.read(check) == one
        await retire(boss)
        assert len(await reads.read(lost_claims, 9)) == 6
        assert len(await reads.read(lost_claims, 4)) == 4


@pytest.mark.parametrize("claims", [True, False])
async def test_a_claim_of_who_left_keeps_nobody_from_answering(*, claims: bool) -> None:
    to = group("managers")
    async with asking_people("boss", "other", members="managers", to=to) as (_, prompt, people):
        boss, other = people
        await change("claim", prompt, boss)
        assert (await give("yes", prompt, other)).outcome == Outcome.CLAIMED
        await leave(boss)
        if claims:
            assert (await change("claim", prompt, other)).changed
        assert (await give("yes", prompt, other)).outcome == Outcome.ACCEPTED
        assert await reads.read(lost_claims, 9) == []
        # Another person has settled the prompt since it was listed as a lost claim.
        await writer.write(lambda tx: release_lost(tx, prompt.pk))
        assert (await reads.read(actions, prompt))[-1] == ("answered", "other")


async def test_nobody_hands_a_prompt_to_who_is_inactive() -> None:
    to = [user("boss"), user("other")]
    async with asking_people("boss", "other", to=to) as (_, prompt, [boss, other]):
        await User.objects.filter(pk=other.id).aupdate(is_active=False)
        with pytest.raises(Invalid, match="no user"):
            await change("delegate", prompt, boss, to="other")


@workflow(name="t_asks_twice", title="Asks another, then the owner")
async def asks_twice(message: Message, context: Context) -> str:
    answer = await context.ask(BinaryPrompt(text="Go?", options=["yes", "no"]), to=user("boss"))
    await context.ask(TextPrompt(text="Really?"))
    return f"{answer.value} by {answer.by}"


async def test_a_replay_knows_who_has_answered_though_they_are_deleted() -> None:
    async with Hosting("t_asks_twice") as hosting:
        [boss] = await reads.read(people, "boss")
        run, prompt = await hosting.submit_until_prompt()
        await give("yes", prompt, boss)
        [own] = await hosting.prompts(run)
        await User.objects.filter(pk=boss.id).adelete()
        assert await hosting.complete(run, "yes", own, restart=True) == "yes by boss"
