"""The filters of prompts: by what an operator should do about them, and by the door that was
used.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib.admin.views.main import ChangeList
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin.read_only import ConditionFilter, KnownValues
from sessions_app.interactions.answerers import somebody_may_answer
from sessions_app.interactions.outcome_texts import VIA, via_words
from sessions_app.models import Interaction

PENDING = Q(status=Interaction.Status.PENDING)
ASSIGNED = PENDING & Q(assignment__isnull=False)


def nobody_can_answer() -> Q:
    """Keep pending prompts that nobody may answer, as groups and permissions are now."""
    return ASSIGNED & ~somebody_may_answer()


class Waits(ConditionFilter):
    """A filter of pending prompts by their state, the most urgent state first."""

    title = _("what waits")
    parameter_name = "waits"
    conditions: ClassVar = {
        "nobody": (_("nobody can answer"), nobody_can_answer),
        "overdue": (_("overdue"), lambda: PENDING & Q(due_at__lt=timezone.now())),
        "claimed": (_("claimed"), lambda: PENDING & Q(assignee__isnull=False)),
        "unclaimed": (
            _("assigned, and not claimed"),
            lambda: ASSIGNED & Q(assignee__isnull=True),
        ),
    }


class Via(KnownValues):
    """A filter by the door that was used, in words."""

    known = staticmethod(lambda: VIA)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the doors, each in words."""
        for choice in super().choices(changelist):
            yield {**choice, "display": via_words(str(choice["display"])) or choice["display"]}
