"""Checks of the processes: they are up, agree in their settings, and serve every queue."""

import os
import socket
from collections.abc import Iterator

from django.utils import timezone

from sessions_app.dispatch import processes
from sessions_app.doctor.findings import Check, Finding, ok, warning, wrong
from sessions_app.models import Process
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
    taking = [row for row in processes.alive() if row.kind != Kind.WEB and not row.draining]
    if not taking:
        yield wrong("none is up: runs do not go on", "Start one: manage.py worker")
        return
    free = {row.name: max(row.concurrency - row.hosts, 0) for row in taking}
    places = ", ".join(f"{row.name} {free[row.name]} of {row.concurrency}" for row in taking)
    fact = f"{len(taking)} up; free places: {places}"
    if any(free.values()):
        yield ok(fact)
    else:
        yield warning(
            f"{fact}: the next run has to wait until one that only waits makes room",
            "See for how long with --end-to-end; start more, or raise --concurrency.",
        )


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


def _silent() -> Iterator[Finding]:
    """Those that neither report any more nor have signed off."""
    for process in processes.processes().values():
        name = process.row.name
        if process.alive:
            continue
        if _ended(name):
            yield warning(
                f"{name} ended without a word",
                "Look into its log, and whether it was killed. It is forgotten in an hour.",
            )
        else:
            yield wrong(
                f"{name} has been silent for {process.silent:.0f} s: it is frozen, cut off from "
                "the database, or was killed on its machine",
                "Look into its log there, and start it anew. One that is gone for good is "
                "forgotten in an hour.",
            )


def _ended(name: str) -> bool:
    """Whether a process is gone for certain; of those on other machines nobody here knows."""
    host, _, pid = name.rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)  # sends nothing
    except ProcessLookupError:
        return True
    except PermissionError:  # it is somebody else's
        pass
    return False


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
    Check("silent", _silent, needs="migrations"),
    Check("agreement", _agreement, needs="migrations"),
)
