"""Who may answer an assigned prompt. Everything here blocks.

Candidates are rows; who belongs to a group or has a permission is looked up each time.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group, PermissionsMixin, UserManager
from django.db.models import Exists, OuterRef, Q

from sessions_app.errors import UnknownAssignee
from sessions_app.models import Candidate, Interaction
from sessions_app.models.candidate import NEVER
from sessions_app.models.people import UserId, users
from sessions_app.prompts.assignment import Assignee
from sessions_app.storage import sql

# Which of Django's can list who has a permission.
BACKEND = "django.contrib.auth.backends.ModelBackend"


class Asked(NamedTuple):
    """A prompt as far as it decides who may answer it: `for_owner` is set where its owner may."""

    interaction: UUID
    owner: UserId
    is_owner_active: bool
    for_owner: bool
    four_eyes: bool


@dataclass(slots=True)
class Found:
    """Who is meant by assignees; `names` are for people to read."""

    users: list[UserId] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    permissions: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def has_owner(self, owner: UserId, *, four_eyes: bool) -> bool:
        """Whether the owner of the conversation, as such, may answer what is for these."""
        return owner in self.users and not four_eyes


def find(named: Sequence[Assignee]) -> Found:
    """Look them up.

    Raises:
        UnknownAssignee: there is no such user or group.
    """
    found = Found()
    for one in named:
        extend(found, one)
    return found


def extend(found: Found, one: Assignee) -> None:
    """Look one up. Raises UnknownAssignee as `find`."""
    match one.kind:
        case "user":
            person = users().filter(**{_user_name(): one.name}).first()
            if person is None or not getattr(person, "is_active", True):
                raise UnknownAssignee(str(one))
            found.users.append(person.pk)
            found.names.append(getattr(person, "get_full_name", str)() or one.name)
        case "group":
            group = Group.objects.filter(name=one.name).values_list("pk", flat=True).first()
            if group is None:
                raise UnknownAssignee(str(one))
            found.groups.append(group)
            found.names.append(one.name)
        case "permission":
            found.permissions.append(one.name)
            found.names.append(one.name)


def _user_name() -> str:
    return str(users().model.USERNAME_FIELD)


class Place(NamedTuple):
    """A prompt's place in inboxes: when it is due or expires, when it was asked, and by whom."""

    due: datetime
    asked_at: datetime
    owner: UserId


def create(
    interaction: UUID, found: Found, place: Place, had: Collection[tuple[Any, ...]] = ()
) -> None:
    """Let these answer the prompt, but for those who could before."""
    rows = [
        *((user, None, "") for user in found.users),
        *((None, group, "") for group in found.groups),
        *((None, None, permission) for permission in found.permissions),
    ]
    Candidate.objects.bulk_create(
        Candidate(
            interaction_id=interaction,
            user_id=user,
            group_id=group,
            permission=permission,
            due=place.due,
            asked_at=place.asked_at,
            owner_id=place.owner,
        )
        for user, group, permission in rows
        if (user, group, permission) not in had
    )


def add(interaction: UUID, found: Found) -> None:
    """Let these answer the prompt, beside those who may already."""
    rows = Candidate.objects.filter(interaction=interaction)
    had = set(rows.values_list("user", "group", "permission"))
    create(interaction, found, _place_of(interaction), had)


def replace(interaction: UUID, found: Found) -> None:
    """Let these answer the prompt, and nobody else."""
    Candidate.objects.filter(interaction=interaction).delete()
    create(interaction, found, _place_of(interaction))


def _place_of(interaction: UUID) -> Place:
    columns = ("due_at", "expires_at", "created_at", "conversation__owner")
    due, expires, asked_at, owner = Interaction.objects.values_list(*columns).get(pk=interaction)
    return Place(due or expires or NEVER, asked_at, owner)


def settled(interaction: UUID) -> None:
    """Its prompt waits no longer."""
    sql.update(Candidate, {"pending": False}, interaction_id=interaction)


def may_answer(user: UserId, asked: Asked) -> bool:
    """Return whether the user may answer the prompt as things are now, whoever has claimed it.

    The one rule of all doors: for answers, votes, claims and pages.
    """
    if asked.owner == user and (asked.four_eyes or asked.for_owner):
        return asked.is_owner_active and not asked.four_eyes
    return _is_candidate(user, asked.interaction)


def active(user: UserId) -> AbstractBaseUser | None:
    """Return the user, unless there is none or they were deactivated."""
    person: AbstractBaseUser | None = users().filter(pk=user).first()
    return person if getattr(person, "is_active", True) else None


def _is_candidate(user: UserId, interaction: UUID) -> bool:
    person = active(user)
    if person is None:
        return False
    rows = Candidate.objects.filter(interaction=interaction)
    named = list(rows.values_list("user", "group", "permission"))
    groups = {group for _, group, _ in named if group is not None}
    if any(one == person.pk for one, _, _ in named):
        return True
    if not isinstance(person, PermissionsMixin):
        return False
    return (bool(groups) and person.groups.filter(pk__in=groups).exists()) or any(
        permission and person.has_perm(permission) for _, _, permission in named
    )


def have_groups() -> bool:
    """Whether users belong to groups and have permissions: a project's own may not."""
    return issubclass(get_user_model(), PermissionsMixin)


# A column of candidates, and what it has there.
Source = tuple[str, Any]


def sources(people: Sequence[UserId]) -> dict[UserId, list[Source]]:
    """Return, for each person, the candidates' columns and values that name them now."""
    found: dict[UserId, list[Source]] = {one: [("user", one)] for one in people}
    if not have_groups():
        return found
    asked = Exists(Candidate.objects.filter(pending=True, group=OuterRef("groups")))
    member = users().filter(asked, pk__in=people)
    for one, group in member.values_list("pk", "groups"):
        found[one].append(("group", group))
    wanted = list(permissions())
    for person in users().filter(pk__in=people) if wanted else ():
        found[person.pk] += [("permission", name) for name in wanted if person.has_perm(name)]
    return found


def permissions() -> Iterator[str]:
    """Yield the permissions that prompts wait for: one look into the index for each of them."""
    name = _next_permission("")
    while name is not None:
        yield name
        name = _next_permission(name)


def _next_permission(last: str) -> str | None:
    # SQLite begins at the first of two bounds; the second is the index's condition.
    named = Candidate.objects.filter(permission__gt=last).filter(pending=True, permission__gt="")
    return named.order_by("permission").values_list("permission", flat=True).first()


def any_pending() -> Q:
    """Whether prompts wait for any candidates: each kind has an index of those that do."""
    pending = Candidate.objects.filter(pending=True)
    named = pending.filter(user__isnull=False), pending.filter(group__isnull=False)
    return Q(Exists(named[0])) | Q(Exists(named[1])) | Q(Exists(pending.filter(permission__gt="")))


def people(interaction: UUID) -> set[UserId]:
    """All who are candidates, as things are now."""
    rows = list(Candidate.objects.filter(interaction=interaction))
    everybody = {row.user_id for row in rows if row.user_id is not None}
    manager = users()
    if not have_groups():
        return everybody
    groups = [row.group_id for row in rows if row.group_id is not None]
    members = manager.filter(groups__in=groups, is_active=True)
    everybody |= set(members.values_list("pk", flat=True))
    for row in rows:
        if row.permission and isinstance(manager, UserManager):  # who else can list them?
            allowed = manager.with_perm(row.permission, backend=BACKEND)
            everybody |= set(allowed.values_list("pk", flat=True))
    return everybody
