"""What a look at the list reads: no more of a person who has a thousand conversations."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from chat_app.page.sidebar.sidebar_entries import newest, sidebar
from sessions_app.models import Conversation
from sessions_app.prompts import TextPrompt
from tests.support.database.stored_log import StoredLog
from tests.support.database.work_done import work_done

pytestmark = pytest.mark.django_db


def fill(owner: User, count: int) -> None:
    """Conversations of a person in which nothing waits, every tenth of them deleted."""
    now = timezone.now()
    Conversation.objects.bulk_create(
        Conversation(
            owner=owner,
            conversation_id=f"{count}-{number}",
            workflow="none",
            title="x",
            created_at=now,
            updated_at=now,
            listed_at=now - timedelta(minutes=number),
            deleted_at=None if number % 10 else now,
        )
        for number in range(count)
    )


def look(owner: User) -> None:
    assert newest(owner.pk) is not None
    assert len(sidebar(owner.pk).entries) == 30


def test_a_look_reads_no_more_however_many_conversations_there_are() -> None:
    ann, ben = User.objects.create_user("ann"), User.objects.create_user("ben")
    for owner, count in ((ann, 100), (ben, 3_000)):
        fill(owner, count)
        for number in range(3):
            log = StoredLog(owner, f"asks {number}")
            log.ask(log.message(), TextPrompt(text="Name?", timeout=60))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    few, many = (work_done(partial(look, owner)) for owner in (ann, ben))
    assert many <= few * 1.1, (few, many)
