"""Whose turn it is: the runs that need a host."""

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from sessions_app.models import Run
from sessions_app.workflows import registry

# Runs that were in memory when their process died so often are suspects: if one of them is what
# kills it, the others are to get on.
SUSPECT_CRASHES = 2


def needing_host() -> QuerySet[Run]:
    """The runs that a host would do something about; those that wait for people need none.

    A queued run waits behind an earlier one of its conversation, unless its workflow takes them in
    parallel. A child waits for nobody, as its parent waits for it.
    """
    parallel = [one.workflow.name for one in registry.offered() if one.policy == "parallel"]
    earlier = Run.objects.filter(
        Q(created_at__lt=OuterRef("created_at"))
        | Q(created_at=OuterRef("created_at"), id__lt=OuterRef("id")),
        conversation=OuterRef("conversation"),
        parent=None,
        status__in=Run.UNFINISHED,
    )
    first = Q(parent__isnull=False) | Q(conversation__workflow__in=parallel) | ~Exists(earlier)
    return Run.objects.filter(
        Q(status=Run.Status.RUNNING)
        | (Q(status=Run.Status.QUEUED) & first)
        | Q(
            status__in=[*Run.UNFINISHED, Run.Status.SUSPENDED],
            stop_requested_at__isnull=False,
        )
    )


def keys_needing_host() -> tuple[list[str], list[str]]:
    """The keys of those runs; apart, in the order of suspicion, those with a suspect."""
    rows = needing_host().values_list("key").annotate(crashes=Max("crashes")).order_by("crashes")
    keys = [key for key, crashes in rows if crashes < SUSPECT_CRASHES]
    suspects = [key for key, crashes in rows if crashes >= SUSPECT_CRASHES]
    return keys, suspects
