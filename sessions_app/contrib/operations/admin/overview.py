"""The state of the deployment in a few lines, and the prompts that wait for people."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from sessions_app.contrib.operations.admin.cells import status_word
from sessions_app.contrib.operations.admin.question_texts import BY_DEADLINE
from sessions_app.dispatch import queue
from sessions_app.lifecycle import processes
from sessions_app.models import HostLease, Interaction, Process, Run
from sessions_app.workflows import registry

UNFINISHED = (Run.Status.QUEUED, Run.Status.RUNNING, Run.Status.WAITING, Run.Status.SUSPENDED)
# So many prompts are shown that wait.
FIRST = 5
# Of each status so many of the oldest runs are counted by version: those that old versions have.
OLDEST = 10_000


@dataclass(frozen=True, slots=True)
class RunsOfVersion:
    """The number of unfinished runs of one version of a workflow; `declared` if they can finish."""

    workflow: str
    version: int
    count: int
    declared: bool

    @property
    def query(self) -> str:
        """The query string that finds these runs in the list of runs."""
        return urlencode(
            {
                "workflow": self.workflow,
                "version": self.version,
                "finished_at__isnull": True,
            }
        )


def overview() -> dict[str, object]:
    """Count what stands above the lists of processes and hosts. `mismatches`: waiting runs that the
    code no longer matches; `jobs`: the page of Procrastinate's jobs, where there is one.
    """
    all_processes = processes.processes().values()
    alive = [process.row for process in all_processes if process.alive]
    hosting_names = [row.name for row in alive if row.kind != Process.Kind.WEB]
    statuses = Run.objects.filter(status__in=UNFINISHED).order_by().values_list("status")
    counts = dict(statuses.annotate(Count("pk")))
    since = timezone.now() - timedelta(days=1)
    failed_runs = Run.objects.filter(status=Run.Status.FAILED, finished_at__gte=since)
    leases = HostLease.objects.filter(released_at=None)
    orphaned = Count("pk", filter=~Q(worker__in=["", *hosting_names]))
    waits = Run.objects.filter(status=Run.Status.WAITING)
    return {
        "web": sum(row.kind != Process.Kind.WORKER for row in alive),
        "workers": len(hosting_names),
        "gone": len(all_processes) - len(alive),
        "runs": [
            (status.value, status_word(status), counts.get(status.value, 0))
            for status in UNFINISHED
        ],
        "failed": failed_runs.count(),
        "failed_since": since.strftime("%Y-%m-%dT%H:%MZ"),
        "mismatches": waits.exclude(replay_problem="").count(),
        "versions": _versions(),
        **leases.aggregate(held=Count("pk"), orphaned=orphaned),
        "queues": queue.figures(),
        "jobs": _jobs(),
    }


def count_waiting() -> dict[str, object]:
    """Count what waits for people, and find the prompts whose deadlines come first. `overdue` ones
    should have been answered; those `due` expire within the hour. What has no deadline comes last.
    """
    pending = Interaction.objects.filter(status=Interaction.Status.PENDING)
    first = pending.prefetch_related("run__conversation__owner", "assignee").order_by(*BY_DEADLINE)
    # Each by its own index: together they would read all rows.
    return {
        "count": pending.count(),
        "due": pending.filter(expires_at__lt=timezone.now() + timedelta(hours=1)).count(),
        "overdue": pending.filter(due_at__lt=timezone.now()).count(),
        "first": list(first[:FIRST]),
    }


def _versions() -> list[RunsOfVersion]:
    """Count the oldest unfinished runs by version, for workflows with more than their newest
    version.
    """
    counts: Counter[tuple[str, int]] = Counter()
    for status in UNFINISHED:
        oldest = Run.objects.filter(status=status).order_by("created_at").values("pk")[:OLDEST]
        runs = Run.objects.filter(pk__in=oldest, version__isnull=False).order_by()
        for workflow, version, count in runs.values_list("workflow", "version").annotate(
            Count("pk")
        ):
            counts[workflow, version] += count
    is_newest = {
        (name, declaration.version): declaration is newest
        for name, newest in registry.declared_workflows().items()
        for declaration in newest.versions
    }
    workflow_names = {each[0] for each in counts if not is_newest.get(each)}
    return [
        RunsOfVersion(name, version, count, (name, version) in is_newest)
        for (name, version), count in sorted(counts.items())
        if name in workflow_names
    ]


def _jobs() -> str:
    try:
        return reverse("admin:procrastinate_procrastinatejob_changelist")
    except NoReverseMatch:  # the local form
        return ""
