"""Tests of what a look at the list reads: no more of a person who has a thousand conversations."""

from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection

from chat_app.page.sidebar.sidebar_entries import newest, sidebar
from sessions_app.prompts import TextPrompt
from tests.page.sidebar.many import fill
from tests.support.database.stored_log import StoredLog
from tests.support.database.work_done import work_done

pytestmark = pytest.mark.django_db


def look(owner: User) -> None:
    assert newest(owner.pk) is not None
    assert len(sidebar(owner.pk).entries) == 30


@pytest.mark.slow
def test_the_list_costs_the_same_for_many_conversations() -> None:
    ann, ben = User.objects.create_user("ann"), User.objects.create_user("ben")
    for owner, count in ((ann, 100), (ben, 3_000)):
        fill(owner, count, deleted=10)
        for number in range(3):
            log = StoredLog(owner, f"asks {number}")
            log.ask(log.message(), TextPrompt(text="Name?", timeout=60))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    few, many = (work_done(partial(look, owner)) for owner in (ann, ben))
    assert many <= few * 1.1, (few, many)
