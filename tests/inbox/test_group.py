"""The inbox of who belongs to a group for which very many prompts wait."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Group, User

from chat_app.inbox.inbox_parts import (
    MAX_PAGES,
    MOST_SEARCHED,
    InboxPart,
    InboxPartQuery,
    read_inbox,
)
from chat_app.inbox.pending_counts import CAP, FIRST_ROWS, count_waiting
from chat_app.page.sidebar.sidebar_entries import sidebar
from sessions_app.models import Candidate, Conversation, Interaction, Run, Vote
from sessions_app.models.interaction import NEVER
from tests.inbox.many_prompts import (
    NOW,
    PROMPT,
    analyze,
    new_conversation,
    new_prompt,
    new_run,
    plan_as_elsewhere,
)
from tests.support.database.work_done import work_done

pytestmark = pytest.mark.django_db

CONVERSATIONS = 100
QUERIES = ("", "why", "nothing of this")
VERY_LARGE = pytest.mark.beyond("the inbox of a group of thirty thousand prompts costs little")


def ask_group(owner: User, group: Group, count: int, votes: int = 1) -> None:
    """Have the owner ask the group so many prompts, in CONVERSATIONS of theirs."""
    conversations = Conversation.objects.bulk_create(
        new_conversation(owner, uuid4().hex) for _ in range(CONVERSATIONS)
    )
    runs = Run.objects.bulk_create(map(new_run, conversations))
    rules = {"to": [], "names": [group.name], "four_eyes": False, "votes": votes}
    prompt_fields = {"assignment": rules, "for_owner": False}
    prompts = Interaction.objects.bulk_create(
        (
            new_prompt(
                runs[number % CONVERSATIONS],
                number,
                prompt={**PROMPT, "text": f"Why {number}?"},
                created_at=NOW + timedelta(seconds=number),
                due_at=NOW + timedelta(seconds=number) if number % 2 else None,
                **prompt_fields,
            )
            for number in range(count)
        ),
        batch_size=1000,
    )
    Candidate.objects.bulk_create(
        (
            Candidate(
                interaction=one,
                group=group,
                due=one.due_at or NEVER,
                asked_at=one.created_at,
                owner=owner,
            )
            for one in prompts
        ),
        batch_size=1000,
    )


def doors(boss: User, owner: User) -> dict[str, Callable[[], object]]:
    """Return all that shows people what waits, or counts it."""
    parts = {
        f"{part} {query}": partial(read_inbox, boss.pk, InboxPartQuery(part, query))
        for part in InboxPart
        for query in QUERIES
    }
    return {
        **parts,
        "page 4": partial(read_inbox, boss.pk, InboxPartQuery(page=4)),
        "of the owner": partial(read_inbox, owner.pk, InboxPartQuery(InboxPart.OTHERS)),
        "count": partial(count_waiting, [boss.pk, owner.pk]),
        "sidebar": partial(sidebar, boss.pk),
    }


@pytest.fixture
def group() -> Group:
    return Group.objects.create(name="managers")


@pytest.fixture
def boss(group: Group) -> User:
    boss = User.objects.create_user("boss")
    group.user_set.add(boss)
    return boss


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("owner")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "times"),
    # Of many rows the planner, by its sample, may join in another order.
    [(MOST_SEARCHED, 1.5), pytest.param(30_000, 4, marks=VERY_LARGE)],
)
def test_a_large_group_inbox_costs_as_little_as_a_small_one(
    boss: User, owner: User, group: Group, more: int, times: float
) -> None:
    plan_as_elsewhere()
    ask_group(owner, group, MOST_SEARCHED + 100)
    analyze()
    few = {name: work_done(door) for name, door in doors(boss, owner).items()}
    ask_group(owner, group, more)
    analyze()
    many = {name: work_done(door) for name, door in doors(boss, owner).items()}
    # Pages of tables and indexes are more in all, by some hundred: so it is with 30,000, too.
    grown = {name: (few[name], many[name]) for name in few if many[name] > few[name] * times + 500}
    assert not grown


def test_nothing_is_counted_past_a_hundred(boss: User, group: Group) -> None:
    ask_group(boss, group, CAP - 1)
    assert count_waiting([boss.pk])[boss.pk].prompts == CAP - 1
    ask_group(boss, group, 2)
    counts = count_waiting([boss.pk])[boss.pk]
    assert (counts.prompts, counts.ids) == (CAP, frozenset())
    assert sidebar(boss.pk).waiting_count == CAP


@pytest.mark.slow
def test_prompts_already_voted_on_hide_no_pending_ones(
    boss: User, owner: User, group: Group
) -> None:
    ask_group(owner, group, 2 * FIRST_ROWS, votes=2)
    voted = read_all(boss)[: FIRST_ROWS + 50]
    Vote.objects.bulk_create(
        Vote(interaction_id=one, by=boss, response={}, at=NOW) for one in voted
    )
    assert count_waiting([boss.pk])[boss.pk].prompts == CAP
    remaining = read_all(boss)
    assert (len(remaining), set(remaining) & set(voted)) == (2 * FIRST_ROWS - len(voted), set())


def read_all(reader: User) -> list[UUID]:
    prompts: list[UUID] = []
    for page in range(1, MAX_PAGES):
        inbox = read_inbox(reader.pk, InboxPartQuery(page=page))
        prompts += [prompt.pk for prompt in inbox.prompts]
        if not inbox.has_more:
            break
    return prompts
