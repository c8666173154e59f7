"""Which of the prompts that wait need an operator."""

from typing import ClassVar

from django.contrib.auth.backends import ModelBackend
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from sessions_app.admin.read_only import ConditionFilter
from sessions_app.interactions.candidates import have_groups
from sessions_app.models import Candidate, Interaction
from sessions_app.models.people import users

PENDING = Q(status=Interaction.Status.PENDING)
ASSIGNED = PENDING & Q(assignment__isnull=False)


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


class Waits(ConditionFilter):
    """What waits, by how it stands, in the order of what to look at first."""

    title = "what waits"
    parameter_name = "waits"
    conditions: ClassVar = {
        "nobody": ("nobody can answer", nobody_can_answer),
        "overdue": ("overdue", lambda: PENDING & Q(due_at__lt=timezone.now())),
        "claimed": ("claimed", lambda: PENDING & Q(assignee__isnull=False)),
        "unclaimed": ("assigned, and not claimed", lambda: ASSIGNED & Q(assignee__isnull=True)),
    }
