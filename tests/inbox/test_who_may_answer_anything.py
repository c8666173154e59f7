"""People and prompts as they come, and all that says who may answer what, beside a plain rule."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chat_app.contrib.notifications import notices
from chat_app.inbox.inbox_parts import InboxQuery, Part, read_inbox
from sessions_app.contrib.operations.admin.prompt_filters import nobody_can_answer
from sessions_app.interactions.answerers import PromptAudience, answerers, may_answer
from sessions_app.interactions.pending_counts import count_waiting
from sessions_app.models import Candidate, Interaction, Vote
from tests.inbox.many_prompts import NOW, new_conversation, new_prompt, new_run
from tests.support.hitl import set_hitl
from tests.support.running_form import CLUSTER

pytestmark = pytest.mark.django_db

# Each takes hundreds of statements; PostgreSQL has to agree on what SQLite is asked more of.
EXAMPLES = 8 if CLUSTER else 30
PEOPLE = 3
SOME = st.sets(st.integers(0, PEOPLE - 1))
BY_ROW, BY_BACKEND = "auth.view_group", "leave.approve"


@dataclass(frozen=True)
class Somebody:
    """A person: their groups, and how they have permissions."""

    active: bool
    groups: set[int]
    permissions: set[str]
    superuser: bool


@dataclass(frozen=True)
class Question:
    """A prompt: of whom it is asked, and what happened to it since."""

    owner: int
    assigned: bool
    users: set[int]
    groups: set[int]
    permissions: set[str]
    four_eyes: bool
    assignee: int | None
    voters: set[int]


PERMISSIONS = st.sets(st.sampled_from([BY_ROW, BY_BACKEND]))
ODDLY = st.integers(0, 7).map(lambda number: number == 0)
PERSON = st.builds(Somebody, ODDLY.map(lambda is_odd: not is_odd), SOME, PERMISSIONS, ODDLY)
WHO = st.integers(0, PEOPLE - 1)
ASKED = st.builds(
    Question, WHO, st.booleans(), SOME, SOME, PERMISSIONS, st.booleans(), st.none() | WHO, SOME
)


def may(one: int, person: Somebody, question: Question) -> bool:
    """State the rule as the documents do."""
    if not person.active:
        return False
    if not question.assigned:
        return one == question.owner
    if question.four_eyes and one == question.owner:
        return False
    has = {BY_ROW, BY_BACKEND} if person.superuser else person.permissions
    return bool(
        one in question.users or question.groups & person.groups or question.permissions & has
    )


def waits(one: int, person: Somebody, question: Question) -> bool:
    is_free = not question.assigned or (
        question.assignee in (None, one) and one not in question.voters
    )
    return may(one, person, question) and is_free


class Granting(ModelBackend):
    """Grants by name what no row says."""

    names: frozenset[str] = frozenset()

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Return whether a row says so, or the name is among them."""
        is_granted = perm == BY_BACKEND and user_obj.get_username() in Granting.names
        return is_granted or super().has_perm(user_obj, perm)


@pytest.fixture(autouse=True)
def _backend(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Granting"]
    set_hitl(settings, MAIL="now", PUBLIC_URL="https://chat.example.org")


def make_people(people: list[Somebody]) -> list[User]:
    groups = [Group.objects.create(name=f"g{number}") for number in range(PEOPLE)]
    row = Permission.objects.get(codename="view_group")
    users = []
    for number, one in enumerate(people):
        user = User.objects.create(
            username=f"u{number}", is_active=one.active, is_superuser=one.superuser
        )
        user.groups.set(groups[number] for number in one.groups)
        user.user_permissions.set([row] if BY_ROW in one.permissions else [])
        users.append(user)
    Granting.names = frozenset(
        user.username
        for user, one in zip(users, people, strict=True)
        if BY_BACKEND in one.permissions
    )
    return users


def make_prompt(number: int, question: Question, users: list[User]) -> Interaction:
    for_owner = not question.assigned or (
        question.owner in question.users and not question.four_eyes
    )
    owner = users[question.owner]
    conversation = new_conversation(owner, f"c{number}", waiting=for_owner)
    conversation.save()
    run = new_run(conversation)
    run.save()
    rules = {"names": [], "four_eyes": question.four_eyes, "votes": 3, "to": []}
    assignee = None if question.assignee is None else users[question.assignee]
    assigned = {"assignment": rules, "assignee": assignee} if question.assigned else {}
    prompt = new_prompt(run, 0, for_owner=for_owner, due_at=None, **assigned)
    prompt.save()
    groups = list(Group.objects.order_by("name"))
    candidates: list[dict[str, Any]] = [
        *({"user": users[one]} for one in question.users),
        *({"group": groups[one]} for one in question.groups),
        *({"permission": one} for one in question.permissions),
    ]
    for one in candidates if question.assigned else ():
        Candidate.objects.create(interaction=prompt, asked_at=NOW, owner=owner, **one)
    for voter in question.voters if question.assigned else ():
        Vote.objects.create(interaction=prompt, by=users[voter], response={}, at=NOW)
    return prompt


PLAIN = Somebody(True, set(), set(), False)
CHIEF = Somebody(True, set(), {BY_BACKEND}, False)
GONE = Somebody(False, {0}, {BY_ROW}, True)


def listed(user: User, part: Part) -> set[Any]:
    return {one.pk for one in read_inbox(user.pk, InboxQuery(part)).prompts}


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    people=st.lists(PERSON, min_size=PEOPLE, max_size=PEOPLE),
    questions=st.lists(ASKED, min_size=1, max_size=4),
)
@example(  # only the owner has the permission
    [CHIEF, PLAIN, PLAIN], [Question(0, True, set(), set(), {BY_BACKEND}, True, None, set())]
)
@example(  # only the owner is asked, whom four eyes bar
    [PLAIN, PLAIN, PLAIN], [Question(0, True, {0}, set(), set(), True, None, set())]
)
@example(
    [PLAIN, GONE, PLAIN], [Question(0, True, {1}, {0}, {BY_ROW, BY_BACKEND}, False, None, set())]
)
def test_all_agree_who_may_answer(people: list[Somebody], questions: list[Question]) -> None:
    with transaction.atomic():
        users = make_people(people)
        prompts = [make_prompt(number, one, users) for number, one in enumerate(questions)]
        asked_prompts = list(zip(prompts, questions, strict=True))
        counted = count_waiting([one.pk for one in users])
        for number, (user, person) in enumerate(zip(users, people, strict=True)):
            mine = {prompt.pk for prompt, one in asked_prompts if waits(number, person, one)}
            assert listed(user, Part.ALL) == mine
            assert (set(counted[user.pk].ids), counted[user.pk].prompts) == (mine, len(mine))
            assert listed(user, Part.MINE) | listed(user, Part.GROUPS) >= mine
            claimed = {
                prompt.pk
                for prompt, one in asked_prompts
                if prompt.assignee_id is not None and may(number, person, one)
            }
            assert listed(user, Part.CLAIMED) == claimed
            for prompt, one in asked_prompts:
                assert may_answer(user.pk, PromptAudience.of(prompt)) == may(number, person, one)
        for prompt, one in asked_prompts:
            everybody = {
                users[number].pk for number in range(PEOPLE) if may(number, people[number], one)
            }
            assert answerers(PromptAudience.of(prompt), User.objects.all()) == everybody
            mailed_ids = {
                int(about["mail"])
                for _, about in notices._notices(prompt, "prompt.opened", "", NOW)
            }
            assert mailed_ids == (
                everybody & {prompt.assignee_id} if prompt.assignee_id else everybody
            )
            is_stuck = Interaction.objects.filter(nobody_can_answer(), pk=prompt.pk).exists()
            assert is_stuck == (one.assigned and not everybody)
        transaction.set_rollback(True)
