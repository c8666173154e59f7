"""The rule of who may answer a prompt. Everything here blocks.

An active person may answer who is named: as the owner of the conversation if it is for the owner,
as a user, as a member of a group, or by a permission; but not the owner under four eyes. Groups and
permissions are looked up each time. Permissions are asked of Django, whose backends need not keep
them in the database.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth import get_backends, get_user_model
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import PermissionsMixin
from django.db.models import Exists, OuterRef, Q, QuerySet

from sessions_app.models import Candidate, Interaction
from sessions_app.models.people import UserId, users
from sessions_app.prompts.assignment import Assignee, assignment_of

# What people go by: "own" with the owner of conversations, else a column of candidates and its
# value.
Name = tuple[str, Any]
ANYBODY = Q(pk__isnull=False)
# By these methods a backend grants permissions.
GRANTS = ("has_perm", "get_all_permissions", "get_user_permissions", "get_group_permissions")


class PromptAudience(NamedTuple):
    """A prompt as far as it decides who may answer it: `for_owner` is set where its owner may."""

    interaction: UUID
    owner: UserId
    is_owner_active: bool
    for_owner: bool
    four_eyes: bool

    @classmethod
    def of(cls, prompt: Interaction) -> "PromptAudience":
        """Return what decides who may answer the row."""
        owner, assignment = prompt.conversation.owner, assignment_of(prompt)
        four_eyes = assignment is not None and assignment.four_eyes
        return cls(prompt.pk, owner.pk, is_active(owner), prompt.for_owner, four_eyes)


def may_answer(user: UserId, audience: PromptAudience) -> bool:
    """Return whether the user may answer the prompt as things are now, whoever has claimed it.

    Of the owner and their own prompts this is known without a statement.
    """
    if audience.owner == user and (audience.four_eyes or audience.for_owner):
        return audience.is_owner_active and not audience.four_eyes
    return user in answerers(audience, users().filter(pk=user))


def answerers(
    audience: PromptAudience,
    among: QuerySet[Any] | None = None,
    *,
    matching: Q = ANYBODY,
    most: int | None = None,
) -> set[UserId]:
    """Return who may answer the prompt now, of these people or of all, whoever has claimed it.

    It states the rule: an active person who goes by what is wanted, unless four eyes bar them.
    Without `among`, only those who meet `matching` are looked at, at `most` so many.
    """
    candidate_names = _names_of(audience)
    if among is None:
        people = users().filter(_might(candidate_names) & matching).distinct()[:most]
    else:
        people = among
    groups = Q(groups__in=_values(candidate_names, "group"))
    names_of_people = names(people, groups, _values(candidate_names, "permission"))
    barred_people = {audience.owner} if audience.four_eyes else set()
    able = {
        person
        for person, person_names in names_of_people.items()
        if not candidate_names.isdisjoint(person_names)
    }
    return able - barred_people


def names(people: QuerySet[Any], groups: Q, permissions: Iterable[str]) -> dict[UserId, set[Name]]:
    """Return what each of the people goes by; who is not active goes by nothing, and is left out.

    Args:
        people: users.
        groups: which of the groups count, as a condition on their members.
        permissions: those that count.
    """
    active_people = [person for person in people if is_active(person)]
    by_person: dict[UserId, set[Name]] = {
        person.pk: {("own", person.pk), ("user", person.pk)} for person in active_people
    }
    if not active_people or not have_groups():
        return by_person
    for user, group in users().filter(groups, pk__in=list(by_person)).values_list("pk", "groups"):
        by_person[user].add(("group", group))
    permission_names = list(permissions)
    for person in active_people if permission_names else ():
        by_person[person.pk] |= {
            ("permission", name) for name in permission_names if person.has_perm(name)
        }
    return by_person


def is_named(username: str, assignees: Iterable[Assignee]) -> bool:
    """Return whether an active person is among these users, groups and permissions now."""
    by_kind: dict[str, list[str]] = {"user": [], "group": [], "permission": []}
    for assignee in assignees:
        by_kind[assignee.kind].append(assignee.name)
    person = users().filter(**{users().model.USERNAME_FIELD: username})
    groups = Q(groups__name__in=by_kind["group"])
    return any(
        username in by_kind["user"] or {"group", "permission"} & {kind for kind, _ in person_names}
        for person_names in names(person, groups, by_kind["permission"]).values()
    )


def heeds_four_eyes(user: UserId) -> Q:
    """Return the condition on assigned prompts that four eyes do not bar this user."""
    return ~Q(conversation__owner=user) | Q(assignment__four_eyes=False)


def somebody_may_answer() -> Q:
    """Return the condition on assigned prompts that at least one person may answer them now."""
    active = active_users()
    permitted = permitted_but_owner = Q(pk__in=[])
    for name in permissions():
        if holders := list(islice(_holders(name), 2)):
            permitted |= Q(permission=name)
            permitted_but_owner |= Q(permission=name) & (
                Q() if holders[1:] else ~Q(owner__in=holders)
            )
    by_owner = Q(for_owner=True, conversation__owner__in=active)
    four_eyes = Q(assignment__four_eyes=True)
    among_others = _among(active.exclude(pk=OuterRef("owner")), permitted_but_owner)
    return by_owner | (~four_eyes & _among(active, permitted)) | (four_eyes & among_others)


def permissions() -> Iterator[str]:
    """Yield the permissions that prompts wait for: one look into the index for each of them."""
    name = ""
    while name := _next_permission(name):
        yield name


def active_users() -> QuerySet[Any]:
    """Return the users that were not deactivated, as far as a column says so."""
    rows = users().all()
    has_column = any(field.name == "is_active" for field in rows.model._meta.concrete_fields)  # noqa: SLF001 - Django's documented _meta
    return rows.filter(is_active=True) if has_column else rows


def is_active(person: object) -> bool:
    """Return whether a user is there, and was not deactivated; it need not be a column."""
    return person is not None and bool(getattr(person, "is_active", True))


def have_groups() -> bool:
    """Return whether users belong to groups and have permissions: a project's own may not."""
    return issubclass(get_user_model(), PermissionsMixin)


def _names_of(audience: PromptAudience) -> set[Name]:
    rows = Candidate.objects.filter(interaction=audience.interaction)
    own_names: set[Name] = {("own", audience.owner)} if audience.for_owner else set()
    for user, group, permission in rows.values_list("user", "group", "permission"):
        own_names |= {("user", user), ("group", group), ("permission", permission)}
    return own_names - {("user", None), ("group", None), ("permission", "")}


def _values(names: set[Name], *kinds: str) -> list[Any]:
    return [value for kind, value in names if kind in kinds]


def _among(people: QuerySet[Any], permitted: Q) -> Q:
    condition = Q(Exists(people.filter(pk=OuterRef("user"))))
    if have_groups():
        condition |= Q(Exists(people.filter(groups=OuterRef("group")))) | permitted
    return Q(Exists(Candidate.objects.filter(condition, interaction=OuterRef("pk"))))


def _holders(permission: str) -> Iterator[UserId]:
    if have_groups():
        for person in users().filter(_might_have(permission)).iterator():
            if is_active(person) and person.has_perm(permission):
                yield person.pk


def _might(names: set[Name]) -> Q:
    """Return a condition on people that all who go by any of these meet."""
    condition = Q(pk__in=_values(names, "own", "user"))
    if have_groups():
        condition |= Q(groups__in=_values(names, "group"))
        for permission in _values(names, "permission"):
            condition |= _might_have(permission)
    return condition


def _might_have(permission: str) -> Q:
    """Return a condition on people that all who have the permission meet.

    A backend that grants it may be able to list them. Where one is not, everybody has to be asked.
    """
    condition = Q(is_superuser=True)
    if users().model.has_perm is not PermissionsMixin.has_perm:
        return ANYBODY
    for backend in get_backends():
        if not _lists(type(backend)):
            return ANYBODY
        if hasattr(backend, "with_perm"):
            try:
                holders = backend.with_perm(permission, is_active=None, include_superusers=False)
            except ValueError:  # Django's own takes names with one dot only
                return ANYBODY
            condition |= Q(pk__in=holders.values("pk"))
    return condition


def _lists(backend: type) -> bool:
    """Return whether a backend's `with_perm` has all whom it grants a permission.

    What a class inherits knows nothing of what that class grants beside it.
    """

    def stands_in(method: str) -> type:
        classes = (
            class_
            for class_ in backend.__mro__
            if method in vars(class_) and class_ is not BaseBackend
        )
        return next(classes, object)

    return all(issubclass(stands_in("with_perm"), stands_in(grant)) for grant in GRANTS)


def _next_permission(last: str) -> str:
    # SQLite begins at the first of two bounds; the second is the index's condition.
    candidates = Candidate.objects.filter(permission__gt=last).filter(
        pending=True, permission__gt=""
    )
    return candidates.order_by("permission").values_list("permission", flat=True).first() or ""
