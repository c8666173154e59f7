"""Tests of prompts for others than the owner: who may answer, claim and delegate them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db.models import F
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from chat_app.inbox import inbox_query
from sessions_app import runs
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import answers, claims
from sessions_app.interactions.answers import IncomingAnswer, Outcome
from sessions_app.models import AuditEntry, Candidate, Conversation, Event, Interaction, Run
from sessions_app.models.people import users
from sessions_app.prompts import TextAnswer
from sessions_app.runs import requests
from sessions_app.storage import reads
from sessions_app.workflows import (
    BinaryPrompt,
    Escalation,
    TextPrompt,
    group,
    permission,
    user,
)
from tests.runtime.assignment.asking import (
    actions,
    answer_to,
    asking_people,
    asks,
    change,
    counts,
    give,
    give_over_claims,
    inbox_of,
    people,
)
from tests.support.hosting import Hosting, django_user, problem

pytestmark = pytest.mark.django_db(transaction=True)


def waiting_for_owner() -> int:
    return Conversation.objects.get().waiting


async def test_a_group_answers_and_nobody_else() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        hosting, prompt, [boss, other] = scene
        [eve] = await reads.read(people, "eve")
        for stranger in (hosting.person, eve):
            assert (await give("yes", prompt, stranger)).outcome == Outcome.NOT_FOUND
        # The only prompt, answered without its name.
        assert (await hosting.answer("yes")).outcome == Outcome.NOT_FOUND
        accepted = await give("yes", prompt, boss)
        assert (accepted.outcome, accepted.by) == (Outcome.ACCEPTED, "boss")
        assert await hosting.result(prompt.run_id) == "yes by boss: [('boss', 'yes', 'test')]"
        late = await give("no", prompt, other)
        assert (late.outcome, late.by) == (Outcome.STALE, "boss")
        assert await reads.read(actions, prompt) == [("opened", ""), ("answered", "boss")]
        assert await reads.read(waiting_for_owner) == 0
        assert not await reads.read(Candidate.objects.filter(pending=True).exists)


async def test_the_permission_is_looked_at_when_the_answer_comes() -> None:
    async with asking_people("boss", to=permission("sessions_app.change_run")) as scene:
        _, prompt, [boss] = scene

        def allow(is_allowed: bool) -> None:
            holders = Permission.objects.get(codename="change_run").user_set
            holders.set([boss.id] if is_allowed else [])

        for is_allowed in (False, True, False):
            await reads.read(allow, is_allowed)
            assert await reads.read(inbox_of, boss) == [prompt.pk] * is_allowed
            if not is_allowed:
                assert (await give("yes", prompt, boss)).outcome == Outcome.NOT_FOUND
        await reads.read(allow, True)
        assert (await give("yes", prompt, boss)).outcome == Outcome.ACCEPTED


async def test_the_owner_named_beside_others_answers_as_ever() -> None:
    to = [user("ann"), user("boss")]
    async with asking_people("boss", to=to) as (hosting, prompt, [boss]):
        assert await reads.read(waiting_for_owner) == 1
        assert (await change("claim", prompt, boss)).changed
        answer_result = await hosting.answer("yes", prompt)
        assert (answer_result.outcome, answer_result.by) == (Outcome.CLAIMED, "boss")
        await change("release", prompt, boss)
        assert (await hosting.answer("yes")).outcome == Outcome.ACCEPTED
        await hosting.until_ended(prompt.run_id)
        assert await reads.read(waiting_for_owner) == 0


async def test_an_own_question_waits_for_others_while_one_of_them_has_claimed_it() -> None:
    async with asking_people("boss", to=[user("ann"), user("boss")]) as (hosting, prompt, [boss]):
        ann = hosting.person

        def places() -> tuple[list[Any], list[Any]]:
            return inbox_of(ann), inbox_query.first_prompts(inbox_query.of_others(ann.id), 9)

        assert await reads.read(places) == ([prompt.pk], [])
        await change("claim", prompt, boss)
        assert await reads.read(places) == ([], [prompt.pk])
        await change("delegate", prompt, boss, to="ann")
        assert await reads.read(places) == ([prompt.pk], [])


async def test_a_claim_is_exclusive_until_it_is_released_or_handed_on() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        hosting, prompt, [boss, other] = scene
        [cara, eve] = await reads.read(people, "cara", "eve")
        with pytest.raises(NotFound):
            await change("claim", prompt, eve)
        both = await asyncio.gather(*(change("claim", prompt, one) for one in (boss, other)))
        assert [one.changed for one in both].count(True) == 1
        assert len({one.assignee for one in both}) == 1
        first, second = (boss, other) if both[0].changed else (other, boss)
        assert (await give("yes", prompt, second)).outcome == Outcome.CLAIMED
        assert not (await change("release", prompt, second)).changed
        assert [(await change("release", prompt, first)).changed for _ in range(2)] == [True, False]
        assert [(await change("claim", prompt, second)).changed for _ in range(2)] == [True, False]
        with pytest.raises(Invalid, match="no user"):
            await change("delegate", prompt, second, to="nobody")
        assert (await change("delegate", prompt, second, to="cara")).assignee == "cara"
        assert (await give("yes", prompt, second)).outcome == Outcome.CLAIMED
        assert (await give("yes", prompt, cara)).outcome == Outcome.ACCEPTED
        await hosting.until_ended(prompt.run_id)
        changes = [
            event.payload.get("change", event.payload["status"])
            for event in await hosting.events()
            if event.type == Event.Type.ASSIGNMENT_UPDATE
        ]
        assert changes == ["claimed", "released", "claimed", "delegated", "answered"]
        to_whom = AuditEntry.objects.filter(action="delegated").values_list("detail__to", flat=True)
        assert await reads.read(to_whom.get) == ["cara"]


async def test_the_log_tells_who_has_a_prompt_by_whom_and_why() -> None:
    to = [user("boss"), user("other")]
    async with asking_people("boss", "other", to=to) as (hosting, prompt, [boss, _]):
        await change("claim", prompt, boss)
        await change("delegate", prompt, boss, to="other", note="I am away.")
        updates = [e for e in await hosting.events() if e.type == Event.Type.ASSIGNMENT_UPDATE]
        about = {"interaction_id": str(prompt.pk), "status": "pending", "by": "boss"}
        handed_on: dict[str, Any] = {"assignee": "other", "to": ["other"], "note": "I am away."}
        assert [event.payload for event in updates] == [
            {**about, "change": change, "at": event.created_at.isoformat(), **detail}
            for event, change, detail in zip(
                updates, ("claimed", "delegated"), ({"assignee": "boss"}, handed_on), strict=True
            )
        ]


async def test_reusing_the_id_of_another_persons_answer_is_stale() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        _, prompt, [boss, other] = scene
        same = IncomingAnswer("the same id", "test", TextAnswer("yes"), interaction=str(prompt.pk))
        results = [
            await answers.answer(by=by, conversation_id=None, answer=same)
            for by in (boss, other, boss)
        ]
        assert [(one.outcome, one.by) for one in results] == [
            (Outcome.ACCEPTED, "boss"),
            (Outcome.STALE, "boss"),
            (Outcome.DUPLICATE, "boss"),
        ]


async def test_joint_answers_are_all_refused_if_one_prompt_is_claimed_else_all_taken() -> None:
    async with asking_people("boss", "other", members="managers", to=group("managers")) as scene:
        hosting, first, [boss, other] = scene
        _, second = await hosting.submit_until_prompt(conversation="c2")
        await change("claim", second, other)
        both = [answer_to(first), answer_to(second)]
        result = await answers.answer_together(by=boss, conversation_id=None, answers=both)
        assert (result.outcome, result.by) == (Outcome.CLAIMED, "other")
        pending = Interaction.objects.filter(status="pending").count
        assert await reads.read(pending) == 2
        by = await users().aget(pk=boss.id)
        assert (await runs.aanswer(second.pk, "yes", by=by)).outcome == Outcome.CLAIMED
        await change("release", second, other)
        await answers.answer(by=boss, conversation_id=None, answer=both[0])
        await answers.answer_together(by=boss, conversation_id=None, answers=both)
        assert await reads.read(pending) == 0  # the answer that was sent again changed nothing


async def test_four_eyes_exclude_the_owner() -> None:
    to = [user("ann"), group("managers")]
    async with asking_people("ann", "boss", members="managers", to=to, four_eyes=True) as scene:
        hosting, prompt, [ann, boss] = scene
        assert (await hosting.answer("yes", prompt)).outcome == Outcome.NOT_FOUND
        with pytest.raises(Invalid, match="Someone else"):
            await give_over_claims("yes", prompt, ann)
        with pytest.raises(Invalid, match="may not answer"):
            await change("delegate", prompt, boss, to="ann")
        assert (await give("yes", prompt, boss)).outcome == Outcome.ACCEPTED


async def test_a_deleted_conversation_asks_nobody() -> None:
    async with asking_people("boss", to=[user("ann"), user("boss")]) as (hosting, prompt, [boss]):
        deleted = Conversation.objects.all()  # what `delete` does, except for stopping the runs
        await reads.read(lambda: deleted.update(deleted_at=timezone.now()))
        for person in (boss, hosting.person):
            assert (await give("yes", prompt, person)).outcome == Outcome.NOT_FOUND
            assert await reads.read(inbox_of, person) == []
            with pytest.raises(NotFound):
                await change("claim", prompt, person)


async def test_concurrent_rounds_escalate_a_prompt_once_and_drop_its_claim() -> None:
    async with Hosting("t_assigned") as hosting:
        [boss, eve] = await reads.read(people, "boss", "eve")
        [dora] = await reads.read(people, "dora", to="directors")
        later = [Escalation(60, group("directors")), Escalation(120, user("eve"))]
        asks(to=user("boss"), escalate=later)
        _, prompt = await hosting.submit_until_prompt()
        await change("claim", prompt, boss)
        await hosting.settle_due()
        assert (await give("yes", prompt, dora)).outcome == Outcome.NOT_FOUND
        pending = Interaction.objects.filter(pk=prompt.pk)
        await reads.read(lambda: pending.update(escalates_at=F("created_at")))
        before = timezone.now()
        await asyncio.gather(hosting.settle_due(), hosting.settle_due())
        stood = await reads.read(pending.get)
        assert stood.assignee_id is None
        assert stood.escalates_at is not None
        minute = timedelta(seconds=60)  # between the first escalation and the second
        assert before + minute <= stood.escalates_at <= timezone.now() + minute
        for candidate in (boss, dora):
            assert await reads.read(inbox_of, candidate) == [prompt.pk]
        assert (await give("yes", prompt, eve)).outcome == Outcome.NOT_FOUND
        assert (await give("yes", prompt, dora)).outcome == Outcome.ACCEPTED
        action_names = [action for action, _ in await reads.read(actions, prompt)]
        assert action_names == ["opened", "claimed", "escalated", "answered"]


DIRECTORS, EVE = group("directors"), user("eve")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("escalate", "is_group_gone", "names", "answerer"),
    [
        (Escalation(60, [DIRECTORS, EVE]), True, ["boss", "eve"], "eve"),
        (Escalation(60, DIRECTORS), False, ["boss", "directors"], "dora"),
        ([Escalation(60, DIRECTORS), Escalation(60, EVE)], False, None, "eve"),
    ],
    ids=["those who are left", "a group", "a second one at the same time"],
)
async def test_an_escalated_prompt_is_claimed_on_its_page_and_answered(
    escalate: Any, is_group_gone: bool, names: list[str] | None, answerer: str
) -> None:
    async with Hosting("t_assigned") as hosting:
        _, eve = await reads.read(people, "boss", "eve")
        [dora] = await reads.read(people, "dora", to="directors")
        asks(to=user("boss"), escalate=escalate)
        _, prompt = await hosting.submit_until_prompt()
        if is_group_gone:
            await Group.objects.filter(name="directors").adelete()
        await hosting.advance(seconds=61)
        if names:
            stored = await Interaction.objects.aget(pk=prompt.pk)
            assert stored.assignment is not None
            assert stored.assignment["names"] == names
        assert await offers_claim(prompt, answerer)
        by = {"eve": eve, "dora": dora}[answerer]
        assert (await give("yes", prompt, by)).outcome == Outcome.ACCEPTED


async def test_a_prompt_that_was_handed_on_and_released_can_be_claimed_by_both() -> None:
    async with Hosting("t_assigned") as hosting:
        [boss, eve] = await reads.read(people, "boss", "eve")
        asks(to=user("boss"))
        _, prompt = await hosting.submit_until_prompt()
        assert not await offers_claim(prompt, "boss")
        for change, by in (("delegate", boss), ("release", eve)):
            await claims.change(change, str(prompt.pk), to="eve", by=by, via="test")
        assert [await offers_claim(prompt, name) for name in ("boss", "eve")] == [True, True]


async def offers_claim(prompt: Interaction, name: str) -> bool:
    """Return whether the prompt's page offers the named user to claim the prompt."""
    client = AsyncClient()
    await client.aforce_login(await users().aget(username=name))
    page = await client.get(reverse("chat:prompt", args=[prompt.pk]))
    return 'value="claim"' in page.content.decode()


async def test_an_escalated_prompt_has_its_place_in_the_inbox_by_its_deadline() -> None:
    async with Hosting("t_assigned") as hosting:
        boss, dora = await reads.read(people, "boss", "dora")
        asks(to=user("dora"))
        _, first = await hosting.submit_until_prompt()
        urgent = BinaryPrompt(text="Pay?", options=["yes", "no"], timeout=3600)
        asks(urgent, to=user("boss"), votes=2, escalate=Escalation(60, user("dora")))
        _, escalated = await hosting.submit_until_prompt(conversation="c2")
        assert await requests.aescalate(escalated.pk, by=django_user(boss))
        assert await reads.read(inbox_of, dora) == [escalated.pk, first.pk]


WHY = TextPrompt(text="Why?", timeout=10)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"to": []}, "names nobody"),
    ({"to": "managers"}, "to=group('managers') for a group, or to=user('managers')"),
    ({"to": ["ann"]}, "or to=user('ann')"),
    (
        {"to": user("ann"), "escalate": Escalation(60, "managers")},  # type: ignore[arg-type]  # the mistake
        "to=group('managers')",
    ),
    ({"four_eyes": True}, "need to="),
    ({"to": group("managers"), "votes": "all"}, "needs users by name"),
    ({"to": user("ann"), "votes": 2}, "votes=2 of 1 people"),
    ({"prompt": WHY, "to": group("managers"), "votes": 2}, "needs a prompt with options"),
    (
        {"prompt": WHY, "to": user("ann"), "escalate": Escalation(20, user("ann"))},
        "an escalation comes after the prompt",
    ),
    ({"prompt": WHY, "to": user("ann"), "due": 20}, "due=20 is after the prompt's timeout=10"),
    # Only the database write finds the overflow.
    ({"to": user("ann"), "due": 1e12}, "OverflowError"),
    ({"to": user("nobody")}, "user 'nobody', which does not exist"),
    ({"to": user("ann"), "four_eyes": True}, "needs the answers of 1 people, and 0 of those"),
    ({"to": group("nobodies")}, "group 'nobodies', which does not exist"),
    (
        {"to": user("ann"), "escalate": Escalation(60, user("nobody"))},
        "user 'nobody', which does not exist",
    ),
]


async def test_a_wrong_assignment_fails_the_run_with_the_reason() -> None:
    async with Hosting("t_assigned") as hosting:
        for how, why in MISTAKES:
            asks(**how)
            row = await hosting.until_ended(await hosting.submit())
            assert row.status == Run.Status.FAILED, why
            assert why in problem(row)["detail"]


async def test_an_inbox_has_what_waits_for_a_person_the_first_due_first() -> None:
    first_how: dict[str, Any] = {"to": group("managers"), "four_eyes": True, "due": 60}
    async with asking_people("ann", "boss", "other", members="managers", **first_how) as scene:
        hosting, first, everybody = scene
        ann, boss, other = everybody
        asks(to=[user("ann"), user("boss")], due=30)
        _, second = await hosting.submit_until_prompt(conversation="c2")
        asks()
        _, own = await hosting.submit_until_prompt(conversation="c3")
        assert await reads.read(inbox_of, boss) == [second.pk, first.pk]
        assert await reads.read(inbox_of, other) == [first.pk]
        assert await reads.read(inbox_of, ann) == [second.pk, own.pk]
        assert await reads.read(counts, *everybody) == [2, 2, 1]
        await change("claim", first, other)
        assert await reads.read(counts, *everybody) == [2, 1, 1]
        await give("yes", first, other)
        await give("yes", second, boss)
        assert await reads.read(counts, *everybody) == [1, 0, 0]
