"""Checks of the work: it is taken, nothing is forgotten, nothing is set aside."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from sessions_app.dispatch import jobs, processes, queues
from sessions_app.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.hosting.needing_host import needing_host
from sessions_app.models import HostLease, Run
from sessions_app.settings import RuntimeSettings

# A job is taken within milliseconds where a worker has room.
LONG = 5.0  # seconds
# News that is on its way is none that was forgotten.
PATIENCE = timedelta(seconds=15)
SHOWN = 5


def _jobs() -> Iterator[Finding]:
    found = queues.figures()
    if not found:
        yield ok("none is waiting or running")
    for queue in found:
        oldest = f" (oldest {queue.oldest:.1f} s)" if queue.oldest else ""
        fact = f"{queue.name}: {queue.queued} queued{oldest}, {queue.running} running"
        if queue.stalled:
            yield wrong(
                f"{fact}, {queue.stalled} stalled: their workers are gone",
                "A living worker takes them over within 10 s: see that one is up.",
            )
        elif queue.oldest > LONG:
            yield warning(f"{fact}: it waits for long", "Start more workers for this queue.")
        else:
            yield ok(fact)
        if queue.failed:
            yield warning(
                f"{queue.name}: {queue.failed} failed",
                "Look at them in the admin (Procrastinate jobs) and in the workers' logs.",
            )


def _forgotten() -> Iterator[Finding]:
    """Runs whose turn it is, and nobody who would see it."""
    since = timezone.now() - PATIENCE
    runs = needing_host().filter(conversation__updated_at__lt=since)
    if RuntimeSettings.load().cluster:
        runs = jobs.without_job(runs)
    else:
        held = HostLease.objects.filter(released_at=None, worker__in=processes.hosting())
        runs = runs.exclude(key__in=held.values("key"))
    keys = sorted(set(runs.values_list("key", flat=True)[:1000]))
    if keys:
        more = " …" if len(keys) > SHOWN else ""
        yield wrong(
            f"work without a host, by key ({len(keys)}): {', '.join(keys[:SHOWN])}{more}",
            "It is found within seconds where a process that hosts is up: see that one is.",
        )
    else:
        yield ok("all that has work has a host, or a job that will be one")


def _suspended() -> Iterator[Finding]:
    if count := Run.objects.filter(status=Run.Status.SUSPENDED).count():
        yield warning(
            f"suspended: {count}",
            "Their pages in the admin say why: Runs, filter by status.",
        )
    else:
        yield ok("no run is suspended")


CHECKS = (
    *([Check("jobs", _jobs, needs="migrations")] if RuntimeSettings.load().cluster else []),
    Check("forgotten", _forgotten, needs="migrations"),
    Check("runs", _suspended, needs="migrations"),
)
