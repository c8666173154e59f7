"""Prompts for others than the owner: who may answer them, claim them, hand them on."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.db.models import F
from django.utils import timezone

from sessions_app.admin import repairs
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import answers, claims, inbox_query
from sessions_app.interactions.answers import AnswerResult, IncomingAnswer, Outcome
from sessions_app.interactions.pending_counts import waiting_for
from sessions_app.models import AuditEntry, Candidate, Conversation, Event, Interaction, Run
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Escalation,
    Message,
    TextPrompt,
    group,
    permission,
    user,
    workflow,
)
from tests.support.hosting import Hosting, make_user, problem

pytestmark = pytest.mark.django_db(transaction=True)


class Asks:
    """What the next prompt is asked with."""

    how: ClassVar[dict[str, Any]] = {}
    prompt: ClassVar[Any] = None


@workflow(name="t_assigned", title="Asks others")
async def assigned(message: Message, context: Context) -> AsyncGenerator[str, None]:
    answer = await context.ask(Asks.prompt, **Asks.how)
    yield f"{answer.value} by {answer.by}: {[(one.by, one.value, one.via) for one in answer.votes]}"


def asks(prompt: Any = None, **how: Any) -> None:
    Asks.how = how
    Asks.prompt = prompt or BinaryPrompt(text="Give ann 3 days off?", options=["yes", "no"])


def people(*names: str, to: str = "") -> list[Person]:
    """Users of these names, in the group."""
    made = [make_user(name) for name in names]
    if to:
        Group.objects.get_or_create(name=to)[0].user_set.add(*made)
    return [Person.of(one) for one in made]


async def give(value: str, prompt: Interaction, by: Person) -> AnswerResult:
    given = IncomingAnswer(uuid4().hex, "test", value, interaction=str(prompt.pk))
    return await answers.answer(by=by, conversation_id=None, answer=given)


def actions(prompt: Interaction) -> list[tuple[str, str]]:
    found = AuditEntry.objects.filter(interaction=prompt.pk).order_by("pk")
    return list(found.values_list("action", "by_name"))


def inbox_of(person: Person) -> list[Any]:
    return inbox_query.first(inbox_query.waiting(person.id), 9)


async def test_a_group_answers_and_nobody_else() -> None:
    asks(to=group("managers"))
    async with Hosting("t_assigned") as hosting:
        [boss, other] = await reads.read(people, "boss", "other", to="managers")
        [eve] = await reads.read(people, "eve")
        run, prompt = await hosting.prompted()
        for stranger in (hosting.person, eve):
            assert (await give("yes", prompt, stranger)).outcome == Outcome.NOT_FOUND
        assert (await hosting.answer("yes")).outcome == Outcome.NOT_FOUND  # the only one, not named
        found = await give("yes", prompt, boss)
        assert (found.outcome, found.by) == (Outcome.ACCEPTED, "boss")
        assert await hosting.result(run) == "yes by boss: [('boss', 'yes', 'test')]"
        late = await give("no", prompt, other)
        assert (late.outcome, late.by) == (Outcome.STALE, "boss")
        done = await reads.read(actions, prompt)
        assert done == [("opened", ""), ("answered", "boss")]
        waiting = await reads.read(lambda: Conversation.objects.get().waiting)
        assert waiting == 0
        left = await reads.read(lambda: Candidate.objects.filter(pending=True).count())
        assert left == 0


async def test_the_permission_is_looked_at_when_the_answer_comes() -> None:
    asks(to=permission("sessions_app.change_run"))
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss")
        [prompt] = await hosting.prompts(await hosting.submit())
        assert (await give("yes", prompt, boss)).outcome == Outcome.NOT_FOUND

        def allow() -> None:
            allowed = Permission.objects.get(codename="change_run")
            allowed.user_set.add(boss.id)

        await reads.read(allow)
        assert await reads.read(inbox_of, boss) == [prompt.pk]
        await reads.read(lambda: Permission.objects.get(codename="change_run").user_set.clear())
        assert await reads.read(inbox_of, boss) == []
        assert (await give("yes", prompt, boss)).outcome == Outcome.NOT_FOUND
        await reads.read(allow)
        assert (await give("yes", prompt, boss)).outcome == Outcome.ACCEPTED


async def test_the_owner_named_beside_others_answers_as_ever() -> None:
    asks(to=[user("ann"), group("managers")])
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss", to="managers")
        run, prompt = await hosting.prompted()
        assert await reads.read(lambda: Conversation.objects.get().waiting) == 1
        assert await claims.change("claim", str(prompt.pk), by=boss, via="test")
        taken = await hosting.answer("yes", prompt)
        assert (taken.outcome, taken.by) == (Outcome.CLAIMED, "boss")
        await claims.change("release", str(prompt.pk), by=boss, via="test")
        assert (await hosting.answer("yes")).outcome == Outcome.ACCEPTED
        await hosting.ended(run)
        assert await reads.read(lambda: Conversation.objects.get().waiting) == 0


async def test_a_claim_is_exclusive_until_it_is_released_or_handed_on() -> None:
    asks(to=group("managers"))
    async with Hosting("t_assigned") as hosting:
        [boss, other] = await reads.read(people, "boss", "other", to="managers")
        [cara, eve] = await reads.read(people, "cara", "eve")
        run, prompt = await hosting.prompted()
        id_ = str(prompt.pk)
        with pytest.raises(NotFound):
            await claims.change("claim", id_, by=eve, via="test")
        both = await asyncio.gather(
            *(claims.change("claim", id_, by=one, via="test") for one in (boss, other))
        )
        assert [one.changed for one in both].count(True) == 1
        assert len({one.assignee for one in both}) == 1
        first, second = (boss, other) if both[0].changed else (other, boss)
        assert (await give("yes", prompt, second)).outcome == Outcome.CLAIMED
        assert not (await claims.change("release", id_, by=second, via="test")).changed
        assert (await claims.change("release", id_, by=first, via="test")).changed
        assert (await claims.change("claim", id_, by=second, via="test")).changed
        with pytest.raises(Invalid, match="no user"):
            await claims.change("delegate", id_, to="nobody", by=second, via="test")
        handed = await claims.change("delegate", id_, to="cara", by=second, via="test")
        assert handed.assignee == "cara"
        assert (await give("yes", prompt, second)).outcome == Outcome.CLAIMED
        assert (await give("yes", prompt, cara)).outcome == Outcome.ACCEPTED
        await hosting.ended(run)
        changes = [
            event.payload.get("change", event.payload["status"])
            for event in await hosting.events()
            if event.type == Event.Type.ASSIGNMENT_UPDATE
        ]
        assert changes == ["claimed", "released", "claimed", "delegated", "answered"]
        to_whom = AuditEntry.objects.filter(action="delegated").values_list("detail__to", flat=True)
        assert await reads.read(to_whom.get) == ["cara"]


async def test_the_id_of_anothers_answer_makes_it_not_ones_own() -> None:
    asks(to=group("managers"))
    async with Hosting("t_assigned") as hosting:
        [boss, other] = await reads.read(people, "boss", "other", to="managers")
        [prompt] = await hosting.prompts(await hosting.submit())
        same = IncomingAnswer("the same id", "test", "yes", interaction=str(prompt.pk))
        found = [
            await answers.answer(by=by, conversation_id=None, answer=same)
            for by in (boss, other, boss)
        ]
        assert [one.outcome for one in found] == [
            *(Outcome.ACCEPTED, Outcome.STALE, Outcome.DUPLICATE)
        ]
        assert [one.by for one in found] == ["boss"] * 3


async def test_of_answers_given_together_none_is_taken_where_another_has_claimed_one() -> None:
    asks(to=group("managers"))
    async with Hosting("t_assigned") as hosting:
        [boss, other] = await reads.read(people, "boss", "other", to="managers")
        first = await hosting.prompts(await hosting.submit(conversation="c1"))
        second = await hosting.prompts(await hosting.submit(conversation="c2"))
        await claims.change("claim", str(second[0].pk), by=other, via="test")
        given = [
            IncomingAnswer(uuid4().hex, "test", "yes", interaction=str(prompt.pk))
            for prompt in (*first, *second)
        ]
        found = await answers.answer_together(by=boss, conversation_id=None, answers=given)
        assert (found.outcome, found.by) == (Outcome.CLAIMED, "other")
        pending = Interaction.objects.filter(status="pending").count
        assert await reads.read(pending) == 2


async def test_four_eyes_are_not_the_owners() -> None:
    asks(to=[user("ann"), group("managers")], four_eyes=True)
    async with Hosting("t_assigned") as hosting:
        await reads.read(lambda: Group.objects.create(name="managers").user_set.add(hosting.user))
        [boss] = await reads.read(people, "boss", to="managers")
        [prompt] = await hosting.prompts(await hosting.submit())
        assert (await hosting.answer("yes", prompt)).outcome == Outcome.NOT_FOUND
        with pytest.raises(Invalid, match="Somebody else"):
            await hosting.in_thread(repairs.answer, prompt.pk, person=hosting.person, given="yes")
        with pytest.raises(Invalid, match="may not answer"):
            await claims.change("delegate", str(prompt.pk), to="ann", by=boss, via="test")
        assert (await give("yes", prompt, boss)).outcome == Outcome.ACCEPTED


async def test_a_deleted_conversation_asks_nobody() -> None:
    asks(to=[user("ann"), user("boss")])
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss")
        [prompt] = await hosting.prompts(await hosting.submit())
        deleted = Conversation.objects.all()  # as `delete` does, but for what its runs do then
        await reads.read(lambda: deleted.update(deleted_at=timezone.now()))
        for person in (boss, hosting.person):
            assert (await give("yes", prompt, person)).outcome == Outcome.NOT_FOUND
            assert await reads.read(inbox_of, person) == []
            with pytest.raises(NotFound):
                await claims.change("claim", str(prompt.pk), by=person, via="test")


async def test_two_of_three_give_the_same_answer() -> None:
    asks(to=[user("boss"), user("cara"), user("dora")], votes=2)
    async with Hosting("t_assigned") as hosting:
        [boss, cara, dora] = await reads.read(people, "boss", "cara", "dora")
        run, prompt = await hosting.prompted()
        assert (await give("yes", prompt, boss)).outcome == Outcome.VOTED
        assert (await give("no", prompt, cara)).outcome == Outcome.VOTED
        assert (await give("yes", prompt, cara)).outcome == Outcome.ACCEPTED  # a change of mind
        assert (await give("no", prompt, dora)).outcome == Outcome.STALE
        votes = "[('boss', 'yes', 'test'), ('cara', 'yes', 'test')]"
        assert await hosting.result(run) == f"yes by cara: {votes}"
        assert await reads.read(actions, prompt) == [
            *(("opened", ""), ("voted", "boss"), ("voted", "cara"), ("answered", "cara"))
        ]


async def test_it_escalates_once_also_if_two_look_and_the_claim_is_gone() -> None:
    asks(
        to=user("boss"),
        escalate=[Escalation(60, group("directors")), Escalation(120, user("eve"))],
    )
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss")
        [dora] = await reads.read(people, "dora", to="directors")
        [eve] = await reads.read(people, "eve")
        [prompt] = await hosting.prompts(await hosting.submit())
        await claims.change("claim", str(prompt.pk), by=boss, via="test")
        await hosting.settle_due()
        assert (await give("yes", prompt, dora)).outcome == Outcome.NOT_FOUND
        pending = Interaction.objects.filter(pk=prompt.pk)
        await reads.read(lambda: pending.update(escalates_at=F("created_at")))
        await asyncio.gather(hosting.settle_due(), hosting.settle_due())
        stood = await reads.read(pending.get)
        assert stood.assignee_id is None
        assert stood.escalates_at is not None
        # The next one is 60 seconds after this one.
        assert 59 < (stood.escalates_at - stood.created_at).total_seconds() < 100
        for candidate in (boss, dora):
            assert await reads.read(inbox_of, candidate) == [prompt.pk]
        assert (await give("yes", prompt, eve)).outcome == Outcome.NOT_FOUND
        assert (await give("yes", prompt, dora)).outcome == Outcome.ACCEPTED
        done = [action for action, _ in await reads.read(actions, prompt)]
        assert done == ["opened", "claimed", "escalated", "answered"]


@pytest.mark.parametrize(
    ("prompt", "how", "why"),
    [
        (None, {"to": []}, "names nobody"),
        (None, {"to": "managers"}, "to=group('managers') for a group, or to=user('managers')"),
        (None, {"to": ["ann"]}, "or to=user('ann')"),
        (
            None,
            {"to": user("ann"), "escalate": Escalation(60, "managers")},  # type: ignore[arg-type]  # the mistake
            "to=group('managers')",
        ),
        (None, {"four_eyes": True}, "need to="),
        (None, {"to": group("managers"), "votes": "all"}, "needs users by name"),
        (None, {"to": user("ann"), "votes": 2}, "votes=2 of 1 people"),
        (
            TextPrompt(text="Why?"),
            {"to": group("managers"), "votes": 2},
            "needs a prompt with options",
        ),
        (
            TextPrompt(text="Why?", timeout=10),
            {"to": user("ann"), "escalate": Escalation(20, user("ann"))},
            "an escalation comes after the prompt",
        ),
        (None, {"to": user("nobody")}, "user 'nobody', which there is not"),
        (None, {"to": group("nobodies")}, "group 'nobodies', which there is not"),
        (
            None,
            {"to": user("ann"), "escalate": Escalation(60, user("nobody"))},
            "user 'nobody', which there is not",
        ),
    ],
)
async def test_what_makes_no_sense_says_so(prompt: Any, how: dict[str, Any], why: str) -> None:
    asks(prompt, **how)
    async with Hosting("t_assigned") as hosting:
        ended = await hosting.ended(await hosting.submit())
        assert ended.status == Run.Status.FAILED
        assert why in problem(ended)["detail"]


async def test_an_inbox_has_what_waits_for_a_person_the_first_due_first() -> None:
    asks(to=group("managers"), four_eyes=True, due=60)
    async with Hosting("t_assigned") as hosting:
        [boss, other] = await reads.read(people, "boss", "other", to="managers")
        await reads.read(lambda: Group.objects.get(name="managers").user_set.add(hosting.user))
        first = await hosting.prompts(await hosting.submit(conversation="c1"))
        asks(to=[user("ann"), user("boss")], due=30)
        second = await hosting.prompts(await hosting.submit(conversation="c2"))
        asks()
        await hosting.prompts(await hosting.submit(conversation="c3"))

        def counts() -> list[int]:
            everybody = [one.id for one in (hosting.person, boss, other)]
            found = waiting_for(everybody)
            return [found[one].prompts for one in everybody]

        both = [second[0].pk, first[0].pk]
        assert await reads.read(inbox_of, boss) == both
        assert await reads.read(inbox_of, other) == both[1:]
        own = await reads.read(inbox_of, hosting.person)
        assert (len(own), own[0]) == (2, both[0])
        assert await reads.read(counts) == [2, 2, 1]
        await claims.change("claim", str(first[0].pk), by=other, via="test")
        assert await reads.read(counts) == [2, 1, 1]
        await give("yes", first[0], other)
        await give("yes", second[0], boss)
        assert await reads.read(counts) == [1, 0, 0]
