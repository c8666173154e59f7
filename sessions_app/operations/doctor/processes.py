"""Checks of the processes: they are up, agree in their settings, and serve every queue."""

from collections.abc import Iterator

from django.utils import timezone

from sessions_app.models import Process
from sessions_app.operations import processes
from sessions_app.operations.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows import registry

Kind = Process.Kind
# Seconds that a process may be ahead of this machine's clock.
AHEAD = 2.0


def _web() -> Iterator[Finding]:
    alive = [row.name for row in processes.alive() if row.kind != Kind.WORKER]
    if alive:
        yield ok(f"{len(alive)} up: {', '.join(alive)}")
    else:
        yield wrong("none is up", "Start the web server, such as Daphne.")


def _workers() -> Iterator[Finding]:
    hosting = [row for row in processes.alive() if row.kind != Kind.WEB]
    if not [row for row in hosting if not row.draining]:
        yield wrong("none is up: runs do not go on", "Start one: manage.py worker")
        return
    yield ok(f"{len(hosting)} up; keys hosted: {sum(row.hosts for row in hosting)}")
    full = [row.name for row in hosting if row.concurrency and row.hosts >= row.concurrency]
    if len(full) == len(hosting):
        yield warning("all host as much as they may", "Start more, or raise --concurrency.")


def _queues() -> Iterator[Finding]:
    """Each queue that an offered workflow names needs a worker that takes its jobs."""
    taking = [row for row in processes.alive() if row.kind != Kind.WEB and not row.draining]
    served = {name for row in taking for name in row.queues}
    every = any(not row.queues for row in taking)
    wanted: dict[str, list[str]] = {}
    for offered in registry.offered():
        wanted.setdefault(offered.config.queue, []).append(offered.workflow.name)
    for queue, workflows in wanted.items():
        if every or queue in served:
            yield ok(f"{queue} is served")
        else:
            yield wrong(
                f"no worker takes {queue}: {', '.join(workflows)} do not go on",
                f"Start one: manage.py worker --queues {queue}",
            )


def _gone() -> Iterator[Finding]:
    known = processes.processes().values()
    if gone := [process.row.name for process in known if not process.alive]:
        yield warning(
            f"silent, and gone without a word: {', '.join(gone)}",
            "Look into their logs. They are forgotten in an hour.",
        )


def _agreement() -> Iterator[Finding]:
    ours = processes.shared_settings()
    alive = processes.alive()
    for what, digest in ours.items():
        if other := [row.name for row in alive if row.settings.get(what) != digest]:
            yield wrong(
                f"{what} is another one at {', '.join(other)} than here",
                "Give all processes the same, and start them anew.",
            )
        elif alive:
            yield ok(f"{what} is the same at all {len(alive)}")
    now = timezone.now()
    for row in alive:
        if (ahead := (row.last_seen - now).total_seconds()) > AHEAD:
            yield warning(
                f"the clock of {row.name} is {ahead:.0f} s ahead of the one here",
                "Have NTP set the clocks of all machines.",
            )


OF_WORKERS = (
    Check("workers", _workers, needs="migrations"),
    Check("queues", _queues, needs="workers"),
)
CHECKS = (
    Check("web", _web, needs="migrations"),
    *(OF_WORKERS if RuntimeSettings.load().cluster else ()),
    Check("gone", _gone, needs="migrations"),
    Check("agreement", _agreement, needs="migrations"),
)
