"""People and prompts as they come, and who is mailed, beside a plain rule of who may answer."""

from typing import Any

import pytest
from django.db import transaction

from chat_app.contrib.notifications import notices
from tests.inbox.any_people import (
    Question,
    Somebody,
    make_people,
    make_prompt,
    may,
    use_granting,
    with_any_people,
)
from tests.inbox.many_prompts import NOW
from tests.support.hitl import set_hitl

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    use_granting(settings)
    set_hitl(settings, MAIL="now", PUBLIC_URL="https://chat.example.org")


@pytest.mark.slow
@with_any_people
def test_who_may_answer_is_mailed(people: list[Somebody], questions: list[Question]) -> None:
    with transaction.atomic():
        users = make_people(people)
        for number, question in enumerate(questions):
            prompt = make_prompt(number, question, users)
            everybody = {
                user.pk
                for index, (user, person) in enumerate(zip(users, people, strict=True))
                if may(index, person, question)
            }
            mailed_ids = {
                int(about["mail"])
                for _, about in notices._notices(prompt, "prompt.opened", "", NOW)
            }
            assert mailed_ids == (
                everybody & {prompt.assignee_id} if prompt.assignee_id else everybody
            )
        transaction.set_rollback(True)
