"""The counts on the parts of the inbox, and how many statements a page of it takes."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_app.inbox import inbox_query, pending_counts
from chat_app.inbox.inbox_parts import InboxPart, InboxPartQuery, count_parts, read_inbox
from chat_app.inbox.inbox_query import pending_names
from chat_app.inbox.pending_counts import count_waiting
from chat_app.page.inbox.alike import MOST_ALIKE, group_alike
from chat_app.page.inbox.inbox_entries import make_entries
from sessions_app.models import Candidate, Interaction, Vote
from sessions_app.models.interaction import NEVER
from sessions_app.prompts import NotificationPrompt
from tests.inbox.many_prompts import NOW, ask, new_conversation, new_prompt, new_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    """Return a user for whom prompts wait in all ways, some of them claimed or voted on."""
    boss, other = User.objects.create_user("boss"), User.objects.create_user("other")
    group = Group.objects.create(name="managers")
    group.user_set.add(boss, other)
    boss.user_permissions.add(Permission.objects.get(codename="add_group"))
    for owner in (boss, other):
        ask(owner, boss, group, "auth.add_group")
    for_group = Interaction.objects.filter(for_owner=False, candidates__group=group)
    free = list(for_group.order_by("conversation__owner", "position"))
    Interaction.objects.filter(pk=free[0].pk).update(assignee=boss)
    Interaction.objects.filter(pk=free[1].pk).update(assignee=other)
    rules = {"votes": 2, "four_eyes": False}
    Interaction.objects.filter(pk=free[2].pk).update(assignment=rules)
    Vote.objects.create(interaction=free[2], by=boss, response={}, at=NOW)
    times = {"due": NOW, "asked_at": NOW}
    Candidate.objects.create(interaction=free[3], user=boss, owner=other, **times)
    four_eyes = Interaction.objects.filter(conversation__owner=boss, candidates__user=boss)
    four_eyes.update(assignment={"votes": 1, "four_eyes": True})
    return boss


def names_of(user: User) -> set[tuple[str, object]]:
    return pending_names([user.pk])[user.pk]


@pytest.mark.slow
@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("part", [InboxPart.ALL, InboxPart.OTHERS])
def test_counts_are_what_the_parts_have(
    boss: User, part: InboxPart, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_cut:
        monkeypatch.setattr(pending_counts, "FIRST_ROWS", 2)
        monkeypatch.setattr(pending_counts, "ROWS_PER_NAME", 0)
    counts = count_parts(boss.pk, names_of(boss), part)
    found = {one: len(read_inbox(boss.pk, InboxPartQuery(one)).prompts) for one in counts}
    assert counts == found
    assert min(found.values()) > 0


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("part", [part for part in InboxPart if part != InboxPart.ANSWERED])
def test_notes_that_ask_nothing_are_listed_but_not_counted(
    boss: User, part: InboxPart, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_cut:
        monkeypatch.setattr(pending_counts, "FIRST_ROWS", 2)
        monkeypatch.setattr(pending_counts, "ROWS_PER_NAME", 0)
    listed = read_inbox(boss.pk, InboxPartQuery(part)).ids
    Interaction.objects.filter(pk=listed[0]).update(
        prompt=NotificationPrompt(text="Told.").model_dump(mode="json"), name="notification"
    )
    assert read_inbox(boss.pk, InboxPartQuery(part)).ids == listed
    assert count_parts(boss.pk, names_of(boss), part)[part] == len(listed) - 1
    if part == InboxPart.ALL:
        waiting = count_waiting([boss.pk])[boss.pk]
        assert (waiting.prompts, waiting.ids) == (len(listed) - 1, frozenset(listed))


def test_what_is_due_first_comes_first_and_what_is_never_due_comes_last() -> None:
    owner, boss = (User.objects.create_user(name) for name in ("owner", "boss"))
    boss.groups.add(group := Group.objects.create(name="managers"))
    conversation = new_conversation(owner, "c")
    conversation.save()
    run = new_run(conversation)
    run.save()
    to_whom: list[dict[str, Any]] = [{"user": boss}, {"group": group}]
    hour, rules = timedelta(hours=1), {"four_eyes": False, "votes": 1}
    for position, due_at in enumerate([None, NOW + 2 * hour, NOW + hour, None]):
        times = {"due_at": due_at, "created_at": NOW - position * hour}
        prompt = new_prompt(run, position, for_owner=False, assignment=rules, **times)
        prompt.save()
        place = {"due": due_at or NEVER, "asked_at": prompt.created_at, "owner": owner}
        Candidate.objects.create(interaction=prompt, **to_whom[position % 2], **place)
    for ways in (inbox_query.of_others(owner.pk), inbox_query.waiting_prompts(boss.pk)):
        for count in (2, 4):
            prompts = Interaction.objects.in_bulk(ids := inbox_query.first_prompts(ways, count))
            assert [prompts[id_].position for id_ in ids] == [2, 1, 3, 0][:count]


@pytest.mark.parametrize("part", list(InboxPart))
@pytest.mark.parametrize("more", [0, 40])
def test_counts_and_groups_take_no_more_statements_than_one_count(
    boss: User, part: InboxPart, more: int
) -> None:
    group = Group.objects.get()
    for number in range(more // 10):
        ask(User.objects.create_user(f"user{number}"), boss, group, "auth.add_group")
    with CaptureQueriesContext(connection) as queries:
        names = names_of(boss)
        page = read_inbox(boss.pk, InboxPartQuery(part), MOST_ALIKE, names)
        count_parts(boss.pk, names, part)
        group_alike(make_entries(page.prompts, boss.pk), boss.pk, page.ids)
    with CaptureQueriesContext(connection) as plain_queries:  # without groups, with one count
        make_entries(read_inbox(boss.pk, InboxPartQuery(part)).prompts, boss.pk)
        count_waiting([boss.pk])
    # The count of prompts for others leaves out the notes that the part lists.
    assert len(queries) <= len(plain_queries) + (2 if part == InboxPart.OTHERS else 0)
