"""Who was deactivated since the card was opened answers at no door."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from sessions_app import runs
from sessions_app.admin import repairs
from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import answers, claims
from sessions_app.interactions.answers import IncomingAnswer, Outcome
from sessions_app.models import Interaction
from sessions_app.storage import reads
from sessions_app.workflows import group, user
from tests.runtime.assignment.test_who_may_answer import asks, give, people
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("how", "who"),
    [
        ({}, "ann"),
        ({"to": [user("ann"), user("boss")]}, "ann"),
        ({"to": user("boss")}, "boss"),
        ({"to": group("managers")}, "boss"),
    ],
)
async def test_who_is_inactive_answers_at_no_door(how: dict[str, Any], who: str) -> None:
    async with Hosting("t_assigned") as hosting:
        [boss] = await reads.read(people, "boss", to="managers")
        asks(**how)
        [prompt] = await hosting.prompts(await hosting.submit())
        person = {"ann": hosting.person, "boss": boss}[who]
        await reads.read(lambda: User.objects.filter(pk=person.id).update(is_active=False))
        row = await reads.read(lambda: User.objects.get(pk=person.id))

        assert (await give("yes", prompt, person)).outcome == Outcome.NOT_FOUND
        given = IncomingAnswer(uuid4().hex, "test", "yes")
        unnamed = await answers.answer(by=person, conversation_id="c", answer=given)
        assert unnamed.outcome == Outcome.NOT_FOUND
        named = IncomingAnswer(uuid4().hex, "test", "yes", interaction=str(prompt.pk))
        together = await answers.answer_together(by=person, conversation_id="c", answers=[named])
        assert together.outcome == Outcome.NOT_FOUND
        with pytest.raises(NotFound):
            await claims.change("claim", str(prompt.pk), by=person, via="test")
        with pytest.raises(Invalid, match="not active"):
            await runs.aanswer(prompt.pk, "yes", by=row)
        with pytest.raises(Invalid, match="not active"):
            await hosting.in_thread(repairs.answer, prompt.pk, person=person, given="yes")
        status = await reads.read(lambda: Interaction.objects.get(pk=prompt.pk).status)
        assert status == "pending"


async def test_nobody_hands_a_prompt_to_who_is_inactive() -> None:
    async with Hosting("t_assigned") as hosting:
        boss, other = await reads.read(people, "boss", "other")
        asks(to=[user("boss"), user("other")])
        [prompt] = await hosting.prompts(await hosting.submit())
        await reads.read(lambda: User.objects.filter(pk=other.id).update(is_active=False))
        with pytest.raises(Invalid, match="no user"):
            await claims.change("delegate", str(prompt.pk), to="other", by=boss, via="test")
