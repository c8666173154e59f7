"""The rule that decides which people may answer a prompt. Everything here blocks.

An active person may answer if the prompt names that person: as the owner of the conversation, as a
user, as a member of a group, or by a permission. The four-eyes rule excludes the owner. Groups and
permissions are looked up each time. Django's `has_perm` decides on permissions, because backends
need not keep permissions in the database.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
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

# A reason for which a prompt may be for a person: ("own", the conversation's owner), or a column of
# Candidate (user, group, permission) with its value.
Name = tuple[str, Any]
ANYBODY = Q(pk__isnull=False)
MOST_COUNTED = 1000  # maximum number of people to count for a prompt that needs several votes
# Methods of an authentication backend that grant permissions.
GRANTS = ("has_perm", "get_all_permissions", "get_user_permissions", "get_group_permissions")


class PromptAudience(NamedTuple):
    """The data that decide who may answer; `for_owner` is True if the conversation's owner may."""

    interaction: UUID
    owner: UserId
    is_owner_active: bool
    for_owner: bool
    four_eyes: bool

    @classmethod
    def of(cls, prompt: Interaction) -> "PromptAudience":
        """Return the audience of an interaction's row."""
        owner, assignment = prompt.conversation.owner, assignment_of(prompt)
        four_eyes = assignment is not None and assignment.four_eyes
        return cls(prompt.pk, owner.pk, is_active(owner), prompt.for_owner, four_eyes)


def may_answer(user: UserId, audience: PromptAudience) -> bool:
    """Return whether the user may answer the prompt now, ignoring claims.

    Whether the owner may answer a prompt for the owner is known without a query.
    """
    if audience.owner == user and (audience.four_eyes or audience.for_owner):
        return audience.is_owner_active and not audience.four_eyes
    return user in answerers(audience, users().filter(pk=user))


def answerers(
    audience: PromptAudience,
    among: QuerySet[Any] | None = None,
    *,
    matching: Q = ANYBODY,
    limit: int | None = None,
) -> set[UserId]:
    """Return the people allowed to answer the prompt now, ignoring claims.

    An active person may answer if one of the prompt's names applies, except the owner under the
    four-eyes rule. Without `among`, only `limit` of the users that fulfil `matching` are examined.
    """
    candidate_names = _names_of([audience])[audience.interaction]
    if among is None:
        people = users().filter(_prefilter_by_names(candidate_names) & matching).distinct()[:limit]
    else:
        people = among
    groups = Q(groups__in=_values(candidate_names, "group"))
    names_of_people = names(people, groups, _values(candidate_names, "permission"))
    return {
        person
        for person, person_names in names_of_people.items()
        if _is_addressed(person, person_names, audience, candidate_names)
    }


def able_holders(
    holders: Mapping[UUID, UserId], audiences: Collection[PromptAudience]
) -> set[UUID]:
    """Return those prompts whose holder may answer; takes as many queries for many as for one.

    `holders` has a person for each prompt, and `audiences` the prompts.
    """
    names_of_prompts = _names_of(audiences)
    all_names = set[Name]().union(*names_of_prompts.values())
    people = users().filter(pk__in=set(holders.values()))
    groups = Q(groups__in=_values(all_names, "group"))
    names_of_people = names(people, groups, _values(all_names, "permission"))
    return {
        audience.interaction
        for audience in audiences
        if (person := holders[audience.interaction]) in names_of_people
        and _is_addressed(
            person, names_of_people[person], audience, names_of_prompts[audience.interaction]
        )
    }


def names(people: QuerySet[Any], groups: Q, permissions: Iterable[str]) -> dict[UserId, set[Name]]:
    """Return, for each active person, the names by which a prompt can address the person.

    Args:
        people: users.
        groups: a condition on users that selects the relevant groups.
        permissions: the relevant permissions.
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
    """Return whether the assignees include an active person: by user name, group or permission."""
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
    """Return the condition on prompts that no four-eyes rule excludes the user."""
    return ~Q(conversation__owner=user) | Q(assignment__four_eyes=False)


def somebody_may_answer() -> Q:
    """Return the condition on assigned prompts that at least one person may answer now."""
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


def lacking_votes(prompts: QuerySet[Interaction]) -> list[UUID]:
    """Return those of the prompts that need the votes of more people than may answer now.

    At most `MOST_COUNTED` people are counted for a prompt.
    """
    voted_on = prompts.filter(assignment__votes__gt=1).select_related("conversation__owner")
    return [
        prompt.pk
        for prompt in voted_on
        if (rules := assignment_of(prompt))
        and len(answerers(PromptAudience.of(prompt), limit=MOST_COUNTED)) < rules.votes
    ]


def permissions() -> Iterator[str]:
    """Yield the permissions that pending prompts name; each takes one lookup in an index."""
    name = ""
    while name := _next_permission(name):
        yield name


def active_users() -> QuerySet[Any]:
    """Return the users whose `is_active` column, if the model has one, is true."""
    rows = users().all()
    has_column = any(field.name == "is_active" for field in rows.model._meta.concrete_fields)  # noqa: SLF001 - Django's documented _meta
    return rows.filter(is_active=True) if has_column else rows


def is_active(person: object) -> bool:
    """Return whether a user exists and is active; `is_active` need not be a column."""
    return person is not None and bool(getattr(person, "is_active", True))


def have_groups() -> bool:
    """Return whether the user model has groups and permissions: a project's own may not."""
    return issubclass(get_user_model(), PermissionsMixin)


def _is_addressed(
    person: UserId, person_names: set[Name], audience: PromptAudience, prompt_names: set[Name]
) -> bool:
    is_barred = audience.four_eyes and person == audience.owner
    return not is_barred and not prompt_names.isdisjoint(person_names)


def _names_of(audiences: Collection[PromptAudience]) -> dict[UUID, set[Name]]:
    """Return the names by which each of the prompts addresses people."""
    names_of_prompts: dict[UUID, set[Name]] = {
        audience.interaction: {("own", audience.owner)} if audience.for_owner else set()
        for audience in audiences
    }
    rows = Candidate.objects.filter(interaction__in=names_of_prompts)
    for prompt, *values in rows.values_list("interaction", "user", "group", "permission"):
        names_of_prompts[prompt] |= {
            (kind, value)
            for kind, value in zip(("user", "group", "permission"), values, strict=True)
            if value not in (None, "")
        }
    return names_of_prompts


def _values(names: set[Name], *kinds: str) -> list[Any]:
    return [value for kind, value in names if kind in kinds]


def _among(people: QuerySet[Any], permitted: Q) -> Q:
    condition = Q(Exists(people.filter(pk=OuterRef("user"))))
    if have_groups():
        condition |= Q(Exists(people.filter(groups=OuterRef("group")))) | permitted
    return Q(Exists(Candidate.objects.filter(condition, interaction=OuterRef("pk"))))


def _holders(permission: str) -> Iterator[UserId]:
    if have_groups():
        for person in users().filter(_prefilter_by_permission(permission)).iterator():
            if is_active(person) and person.has_perm(permission):
                yield person.pk


def _prefilter_by_names(names: set[Name]) -> Q:
    """Return a condition on users: everybody with any of the names fulfils it, perhaps others."""
    condition = Q(pk__in=_values(names, "own", "user"))
    if have_groups():
        condition |= Q(groups__in=_values(names, "group"))
        for permission in _values(names, "permission"):
            condition |= _prefilter_by_permission(permission)
    return condition


def _prefilter_by_permission(permission: str) -> Q:
    """Return a condition on users that every holder of the permission fulfils, perhaps others too.

    If a backend cannot list the holders of a permission, the condition is ANYBODY.
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
            except ValueError:  # the name lacks the one dot that ModelBackend requires
                return ANYBODY
            condition |= Q(pk__in=holders.values("pk"))
    return condition


def _lists(backend: type) -> bool:
    """Return whether a backend's `with_perm` lists all holders of a permission.

    The method may be inherited, and so miss the grants that a subclass adds.
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
    # The first filter lets SQLite seek in the index; the second repeats the condition of the
    # partial index, without which the index is not used.
    candidates = Candidate.objects.filter(permission__gt=last).filter(
        pending=True, permission__gt=""
    )
    return candidates.order_by("permission").values_list("permission", flat=True).first() or ""
