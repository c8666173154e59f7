"""Tests of the admin's filter of prompts that nobody can answer."""

from typing import Any

import pytest
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.db import transaction

from sessions_app.contrib.operations.admin.attention import nobody_can_answer
from sessions_app.contrib.operations.admin.question_texts import who_can_answer
from sessions_app.models import Interaction
from sessions_app.storage import reads
from sessions_app.workflows import group, permission
from tests.inbox.any_people import (
    Question,
    Somebody,
    make_people,
    make_prompt,
    may,
    use_granting,
    with_any_people,
)
from tests.inbox.test_own_backend import ByName, Listing, use
from tests.runtime.assignment.asking import asking_people
from tests.support.hosting import make_members


def nobody() -> bool:
    return Interaction.objects.filter(nobody_can_answer()).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("backend", [ByName, Listing])
async def test_nobody_can_answer_once_all_whom_the_backend_permits_are_inactive(
    settings: Any, backend: type[BaseBackend]
) -> None:
    use(settings, backend)
    to = permission("leave.approve")
    async with asking_people("chief", "chief2", "other", to=to) as (_, _, [chief, other_chief, _]):
        for deactivated, is_stuck in ((other_chief, False), (chief, True)):
            await User.objects.filter(pk=deactivated.id).aupdate(is_active=False)
            assert await reads.read(nobody) == is_stuck


@pytest.mark.django_db(transaction=True)
async def test_question_that_needs_more_votes_than_people_is_one_of_them() -> None:
    how: dict[str, Any] = {"to": group("approvers"), "votes": 3}
    async with asking_people("chief", "other", members="approvers", **how) as (_, prompt, _):
        assert await reads.read(nobody)
        page = await reads.read(lambda: who_can_answer(Interaction.objects.get(pk=prompt.pk)))
        assert "too few for 3 votes" in page
        await reads.read(lambda: make_members("approvers", "third"))
        assert not await reads.read(nobody)


@pytest.mark.slow
@pytest.mark.django_db
@with_any_people
def test_the_filter_has_the_prompts_that_nobody_may_answer(
    settings: Any, people: list[Somebody], questions: list[Question]
) -> None:
    use_granting(settings)
    with transaction.atomic():
        users = make_people(people)
        for number, question in enumerate(questions):
            prompt = make_prompt(number, question, users)
            able = sum(may(index, one, question) for index, one in enumerate(people))
            enough_may = able >= (3 if question.assigned else 1)  # the prompt needs three votes
            is_stuck = Interaction.objects.filter(nobody_can_answer(), pk=prompt.pk).exists()
            assert is_stuck != enough_may
        transaction.set_rollback(True)
