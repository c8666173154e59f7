"""The filters of prompts: by what an operator should do about them, and by the door that was
used.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib.admin.views.main import ChangeList
from django.db.models import OrderBy, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin.question_texts import BY_DEADLINE
from sessions_app.contrib.operations.admin.read_only import ConditionFilter, KnownValues
from sessions_app.interactions.answerers import somebody_may_answer
from sessions_app.interactions.outcome_texts import VIA, via_words
from sessions_app.models import Interaction

PENDING = Q(status=Interaction.Status.PENDING)
ASSIGNED = PENDING & Q(assignment__isnull=False)
# So many are looked at: of 200,000 that wait, a page would take seconds.
FIRST = 2_000


def nobody_can_answer() -> Q:
    """Keep pending prompts that nobody may answer, as groups and permissions are now: of those
    that are due first.
    """
    return _first(ASSIGNED, *BY_DEADLINE) & ~somebody_may_answer()


def _first(condition: Q, *order: OrderBy | str) -> Q:
    """Keep the first prompts that meet the condition, in an order that an index has."""
    first = Interaction.objects.filter(condition).order_by(*order)
    return Q(pk__in=first.values("pk")[:FIRST])


class Waits(ConditionFilter):
    """A filter of pending prompts by their state, the most urgent state first."""

    title = _("what waits")
    parameter_name = "waits"
    conditions: ClassVar = {
        "nobody": (_("nobody can answer"), nobody_can_answer),
        "overdue": (
            _("overdue"),
            lambda: _first(PENDING & Q(due_at__lt=timezone.now()), "due_at"),
        ),
        "claimed": (
            _("claimed"),
            lambda: _first(PENDING & Q(assignee__isnull=False), "assignee"),
        ),
        "unclaimed": (
            _("assigned, and not claimed"),
            lambda: _first(ASSIGNED & Q(assignee__isnull=True), *BY_DEADLINE),
        ),
    }


class Via(KnownValues):
    """A filter by the door that was used, in words."""

    known = staticmethod(lambda: VIA)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the doors, each in words."""
        for choice in super().choices(changelist):
            yield {**choice, "display": via_words(str(choice["display"])) or choice["display"]}
