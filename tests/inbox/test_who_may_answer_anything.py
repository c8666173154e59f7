"""People and prompts as they come, and all that says who may answer what, beside a plain rule."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from chat_app.inbox.inbox_parts import InboxPart, InboxPartQuery, read_inbox
from chat_app.inbox.pending_counts import count_waiting
from sessions_app.interactions.answerers import PromptAudience, answerers, may_answer
from tests.inbox.any_people import (
    PEOPLE,
    Question,
    Somebody,
    make_people,
    make_prompt,
    may,
    use_granting,
    waits,
    with_any_people,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _backend(settings: Any) -> None:
    use_granting(settings)


def listed(user: User, part: InboxPart) -> set[Any]:
    return {one.pk for one in read_inbox(user.pk, InboxPartQuery(part)).prompts}


@pytest.mark.slow
@with_any_people
def test_all_agree_who_may_answer(people: list[Somebody], questions: list[Question]) -> None:
    with transaction.atomic():
        users = make_people(people)
        prompts = [make_prompt(number, one, users) for number, one in enumerate(questions)]
        asked_prompts = list(zip(prompts, questions, strict=True))
        counted = count_waiting([one.pk for one in users])
        for number, (user, person) in enumerate(zip(users, people, strict=True)):
            mine = {prompt.pk for prompt, one in asked_prompts if waits(number, person, one)}
            assert listed(user, InboxPart.ALL) == mine
            assert (set(counted[user.pk].ids), counted[user.pk].prompts) == (mine, len(mine))
            assert listed(user, InboxPart.MINE) | listed(user, InboxPart.GROUPS) >= mine
            claimed = {
                prompt.pk
                for prompt, one in asked_prompts
                if prompt.assignee_id is not None and may(number, person, one)
            }
            assert listed(user, InboxPart.CLAIMED) == claimed
            for prompt, one in asked_prompts:
                assert may_answer(user.pk, PromptAudience.of(prompt)) == may(number, person, one)
        for prompt, one in asked_prompts:
            everybody = {
                users[number].pk for number in range(PEOPLE) if may(number, people[number], one)
            }
            assert answerers(PromptAudience.of(prompt), User.objects.all()) == everybody
        transaction.set_rollback(True)
