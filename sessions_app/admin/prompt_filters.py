"""Which of the prompts that wait need an operator."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.backends import ModelBackend
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from sessions_app.interactions.candidates import have_groups
from sessions_app.models import Candidate, Interaction
from sessions_app.models.people import users

PENDING = Q(status=Interaction.Status.PENDING)
ASSIGNED = PENDING & Q(assignment__isnull=False)


class Waits(admin.SimpleListFilter):
    """What waits, by how it stands."""

    title = "what waits"
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """In the order of what to look at first."""
        return [
            ("nobody", "nobody can answer"),
            ("overdue", "overdue"),
            ("claimed", "claimed"),
            ("unclaimed", "assigned, and not claimed"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Interaction]
    ) -> QuerySet[Interaction]:
        match self.value():
            case "nobody":
                return queryset.filter(nobody_can_answer())
            case "overdue":
                return queryset.filter(PENDING, due_at__lt=timezone.now())
            case "claimed":
                return queryset.filter(PENDING, assignee__isnull=False)
            case "unclaimed":
                return queryset.filter(ASSIGNED, assignee__isnull=True)
        return queryset


def nobody_can_answer() -> Q:
    """Pending, and no active user is a candidate, as Django's groups and permissions are now."""
    candidates = Candidate.objects.filter(pending=True).exclude(permission="")
    names = candidates.values_list("permission", flat=True).distinct().order_by()
    held = []
    if have_groups():
        held = [name for name in names if ModelBackend().with_perm(name).exists()]
    anybody, others = (~Exists(_able(held, but_owner=but_owner)) for but_owner in (False, True))
    four_eyes = Q(assignment__four_eyes=True)
    return ASSIGNED & Q(for_owner=False) & ((~four_eyes & anybody) | (four_eyes & others))


def _able(held: list[str], *, but_owner: bool) -> QuerySet[Candidate]:
    if not have_groups():
        return Candidate.objects.filter(user__isnull=False, interaction=OuterRef("pk"))
    people = users().filter(is_active=True)
    members = people.filter(groups=OuterRef("group"))
    named = people.filter(pk=OuterRef("user"))
    if but_owner:
        owner = OuterRef(OuterRef("conversation__owner"))
        members, named = members.exclude(pk=owner), named.exclude(pk=owner)
    able = Q(Exists(named)) | Q(Exists(members)) | Q(permission__in=held)
    return Candidate.objects.filter(able, interaction=OuterRef("pk"))
