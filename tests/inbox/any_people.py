"""People and prompts as they come, beside a plain rule of who may answer what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sessions_app.models import Candidate, Interaction, Vote
from tests.inbox.many_prompts import NOW, new_conversation, new_prompt, new_run
from tests.support.running_form import CLUSTER

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


def use_granting(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Granting"]


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
EXAMPLES_OF_MISTAKES = [
    # Only the owner has the permission.
    ([CHIEF, PLAIN, PLAIN], Question(0, True, set(), set(), {BY_BACKEND}, True, None, set())),
    # Only the owner is asked, whom four eyes bar.
    ([PLAIN, PLAIN, PLAIN], Question(0, True, {0}, set(), set(), True, None, set())),
    (
        [PLAIN, GONE, PLAIN],
        Question(0, True, {1}, {0}, {BY_ROW, BY_BACKEND}, False, None, set()),
    ),
]


def with_any_people(test: Callable[..., None]) -> Callable[..., None]:
    """Give the test people and questions as they come, and some that were once mistaken."""
    for people, question in EXAMPLES_OF_MISTAKES:
        test = example(people, [question])(test)
    lists = {
        "people": st.lists(PERSON, min_size=PEOPLE, max_size=PEOPLE),
        "questions": st.lists(ASKED, min_size=1, max_size=4),
    }
    given_any = given(**lists)(test)
    checks = [HealthCheck.function_scoped_fixture]
    return settings(max_examples=EXAMPLES, suppress_health_check=checks)(given_any)
