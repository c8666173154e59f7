"""How the deployment stands, in a few lines: processes, runs, hosts, queues."""

from dataclasses import dataclass

from django.db.models import Count, Q
from django.urls import NoReverseMatch, reverse

from sessions_app.models import HostLease, Process, Run
from sessions_app.operations import processes, queues
from sessions_app.operations.queues import Queue

SHOWN = (Run.Status.QUEUED, Run.Status.RUNNING, Run.Status.WAITING, Run.Status.SUSPENDED)


@dataclass(frozen=True, slots=True)
class Overview:
    """What is counted. `jobs`: the page of Procrastinate's jobs, where there is one."""

    web: int
    workers: int
    gone: int
    runs: list[tuple[str, int]]
    held: int
    orphaned: int
    queues: list[Queue]
    jobs: str


def overview() -> Overview:
    """Look now."""
    known = processes.processes().values()
    alive = [process.row for process in known if process.alive]
    hosting = [row.name for row in alive if row.kind != Process.Kind.WEB]
    counted = Run.objects.filter(status__in=SHOWN).order_by().values_list("status")
    counts = dict(counted.annotate(Count("pk")))
    leases = HostLease.objects.filter(released_at=None)
    orphaned = Count("pk", filter=~Q(worker__in=["", *hosting]))
    return Overview(
        web=sum(row.kind != Process.Kind.WORKER for row in alive),
        workers=len(hosting),
        gone=len(known) - len(alive),
        runs=[(status.value, counts.get(status.value, 0)) for status in SHOWN],
        **leases.aggregate(held=Count("pk"), orphaned=orphaned),
        queues=queues.figures(),
        jobs=_jobs(),
    )


def _jobs() -> str:
    try:
        return reverse("admin:procrastinate_procrastinatejob_changelist")
    except NoReverseMatch:  # the local form
        return ""
