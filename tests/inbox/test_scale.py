"""The inbox of one among ten thousand people, for whom a hundred thousand prompts wait."""

from functools import partial
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection

from chat_app.inbox import inbox_query, pending_counts
from chat_app.inbox.inbox_parts import InboxPart, InboxPartQuery, find_prompt, read_inbox
from chat_app.inbox.pending_counts import count_waiting
from chat_app.page.sidebar.sidebar_entries import sidebar
from sessions_app.models import Candidate, Conversation, Interaction, Vote
from tests.inbox.many_prompts import (
    EACH,
    NOW,
    PEOPLE,
    analyze,
    ask,
    ask_for_many,
    plan_as_elsewhere,
)
from tests.support.database.work_done import whole_tables, work_done

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]

QUERIES = ("", "why", "b", "none", "nothing of this")


def look(user: User) -> None:
    """Read all that this person's inbox can show, and the count in the header of every page."""
    for part in InboxPart:
        for query in QUERIES:
            read_inbox(user.pk, InboxPartQuery(part, query))
    for one in [one.pk for one in read_inbox(user.pk, InboxPartQuery()).prompts]:
        assert find_prompt(user.pk, one)
    assert find_prompt(user.pk, uuid4()) is None
    assert count_waiting([user.pk])[user.pk].prompts == len(
        read_inbox(user.pk, InboxPartQuery()).prompts
    )
    assert sidebar(user.pk).waiting_count


@pytest.mark.slow
@pytest.mark.beyond("the inbox of one among ten thousand people costs little")
def test_the_inbox_costs_the_same_among_ten_thousand_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan_as_elsewhere()
    boss = User.objects.create_user("boss")
    group = Group.objects.create(name="managers")
    group.user_set.add(boss)
    boss.user_permissions.add(Permission.objects.get(codename="add_group"))
    ask(boss, boss, group, "auth.add_group")
    Candidate.objects.filter(user=boss).delete()  # what one asks oneself is one's own
    analyze()
    waits = len(read_inbox(boss.pk, InboxPartQuery()).prompts)
    few = work_done(partial(look, boss))
    ask_for_many()
    analyze()
    assert Interaction.objects.filter(status="pending").count() == (PEOPLE + 1) * EACH
    assert len(read_inbox(boss.pk, InboxPartQuery()).prompts) == waits > 0
    many = work_done(partial(look, boss))
    assert many <= few * 2, (few, many)
    if connection.vendor == "sqlite":
        assert not whole_tables(partial(look, boss))
    some = list(User.objects.filter(username__in=["boss", "u1", "u2", "u3"]))
    claim_and_vote(*some)
    assert_counts_agree(some)
    monkeypatch.setattr(pending_counts, "FIRST_ROWS", 4)
    monkeypatch.setattr(pending_counts, "ROWS_PER_NAME", 0)
    assert_counts_agree(some)
    settle_all()
    work = work_done(partial(sidebar, boss.pk))
    assert work <= few, (few, work)


def claim_and_vote(*people: User) -> None:
    """Claim one prompt of each for the first of them, have them vote on one, one for four eyes."""
    for one in people:
        free = inbox_query.first_prompts(
            inbox_query.waiting_prompts(one.pk, "user", "group", "permission"), 20
        )
        first, second, third, *_ = (Interaction.objects.get(pk=each) for each in free)
        Interaction.objects.filter(pk=first.pk).update(assignee=people[0])
        for prompt, rule in ((second, {"votes": 2}), (third, {"four_eyes": True})):
            prompt.assignment = {"votes": 1, "four_eyes": False, **rule}
            prompt.save()
        Vote.objects.get_or_create(interaction=second, by=one, defaults={"response": {}, "at": NOW})


def assert_counts_agree(people: list[User]) -> None:
    """Check that what is counted for many at once is what each one's inbox has."""
    counted = count_waiting([one.pk for one in people])
    for one in people:
        first_ids = set(
            inbox_query.first_prompts(inbox_query.waiting_prompts(one.pk), pending_counts.CAP)
        )
        assert counted[one.pk].prompts == len(first_ids)
        assert counted[one.pk].ids == (first_ids if len(first_ids) < pending_counts.CAP else set())
    assert count_waiting([people[1].pk])[people[1].pk] == counted[people[1].pk]


def settle_all() -> None:
    Candidate.objects.update(pending=False)
    Interaction.objects.update(status="answered")
    Conversation.objects.update(waiting=0)
    analyze()
