"""The checks of any deployment: settings, database, processes, and that runs are executed.

`manage.py check --deploy --database default` shows these findings; `manage.py doctor` adds Django's
and those of applications.
"""

import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib import import_module
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Info, Warning
from django.core.checks.registry import registry as registered_checks
from django.db import DatabaseError
from django.http.request import validate_host
from django.utils import timezone

from sessions_app.hosting.dispatch.queue import figures, without_job
from sessions_app.hosting.needing_host import runs_needing_host
from sessions_app.lifecycle import processes
from sessions_app.lifecycle.findings import TAG, Check, Findings, examine
from sessions_app.lifecycle.requirements import (
    CLUSTER,
    DATABASE,
    FORM,
    IS_COMPLETE_CLUSTER,
    MIGRATIONS,
    POOL,
    PROJECT,
    WORKFLOWS,
)
from sessions_app.models import HostLease, Process, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.notify.announce import announce
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import clock
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry

Kind = Process.Kind
LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", "::1"}
# Django's checks that are skipped: they are about tasks of the TLS proxy (HSTS, redirect to HTTPS),
# about the browsers' preload list, which is up to the domain's owner, or covered by `_settings`.
SKIPPED_CHECKS = {f"security.W{number}" for number in ("004", "008", "021", "012", "016", "018")}
# Seconds in the queue that lead to a warning: a worker with a free slot takes milliseconds.
LONG = 5.0
# Time since the last change after which a run without a host is reported: a host may be starting.
RUN_FORGOTTEN_AFTER = timedelta(seconds=15)
KEYS_SHOWN = 5
TAKE_TIMEOUT = 10.0  # seconds that a queue's workers may take to accept the test work
# Seconds until work is taken that give a warning: a worker full of waiting runs needs 1 to 2 s.
SLOW_SECONDS = 5.0
# Timeout in seconds for the release of the test's lease: a host without runs keeps it for a while.
RELEASE_TIMEOUT = 15.0
LOOK = 0.02
# Import late: the checks of a cluster need packages that only clusters install.
of_form = import_module(f"{__package__}.{'cluster' if IS_COMPLETE_CLUSTER else 'disk'}")


def _settings() -> Findings:
    form = "cluster" if CLUSTER else "local"
    public = set(settings.ALLOWED_HOSTS) - LOCAL_HOSTS
    yield Info(f"{form} form, for {', '.join(sorted(public)) or 'this machine only'}")
    if CLUSTER and not public:
        yield Warning("no host but this machine is allowed", "Set ALLOWED_HOSTS.")
    if "*" in public:
        yield Warning("any host name is allowed", "Name the hosts in ALLOWED_HOSTS.")
    if settings.DEBUG and (public or CLUSTER):
        yield Error("DEBUG is on: errors show the code to everybody", "Set DEBUG=false.")
    if public and not settings.SESSION_COOKIE_SECURE:
        yield Warning("cookies go over plain HTTP", "End TLS at a proxy and set HTTPS=true.")


def _of_django() -> Findings:
    """Run the checks of `manage.py check --deploy`, except those with the tag of this runtime."""
    messages = _messages(tagged=False, databases=[])
    yield from _named(one for one in messages if one.id not in SKIPPED_CHECKS)


def _of_applications() -> Findings:
    """Run the checks that other applications have for this runtime; they may use the database."""
    messages = _messages(tagged=True, databases=["default"])
    yield from _named(one for one in messages if not str(one.id).startswith("sessions_app."))


def _messages(*, tagged: bool, databases: list[str]) -> Iterator[CheckMessage]:
    for check in registered_checks.get_checks(include_deployment_checks=True):
        if (TAG in check.tags) == tagged and check is not check_deployment:
            yield from check(app_configs=None, databases=databases)


def _named(messages: Iterable[CheckMessage]) -> Findings:
    """Convert Django's messages, unless silenced, to findings that begin with the message's id."""
    for message in messages:
        if not message.is_silenced():
            is_wrong, is_fact = message.level >= checks.ERROR, message.level < checks.WARNING
            kind = Error if is_wrong else Info if is_fact else Warning
            yield kind(f"{message.id}: {message.msg}", message.hint)


def _writes() -> Findings:
    """Write and delete a dummy lease, with real commits: a rollback would not test the disk."""
    now = timezone.now()
    lease = HostLease(key=f"doctor:{uuid4()}", started_at=now, last_activity=now, released_at=now)
    start = time.perf_counter()
    try:
        lease.save(force_insert=True)
        lease.delete()
    except DatabaseError as error:
        yield Error(
            f"no write gets through: {error}",
            "Look for a full disk, locks, or a read-only server.",
        )
    else:
        yield Info(f"one took {(time.perf_counter() - start) * 500:.1f} ms")


def _web() -> Findings:
    alive = [row.name for row in processes.alive() if row.kind != Kind.WORKER]
    if alive:
        yield Info(f"{len(alive)} up: {', '.join(alive)}")
    else:
        yield Error("none is up", "Start the web server, such as Daphne.")


def _workers() -> Findings:
    workers = [row for row in processes.alive() if row.kind != Kind.WEB and not row.draining]
    if not workers:
        yield Error("none is up: runs do not continue", "Start one: manage.py worker")
        return
    free = {row.name: max(row.concurrency - row.hosts, 0) for row in workers}
    slots = ", ".join(f"{row.name} {free[row.name]} of {row.concurrency}" for row in workers)
    fact = f"{len(workers)} up; free places: {slots}"
    if any(free.values()):
        yield Info(fact)
    else:
        yield Warning(
            f"{fact}: the next run waits until a host whose runs only wait makes room",
            "See for how long with --end-to-end; start more, or raise --concurrency.",
        )


def _queues() -> Findings:
    """Check that each queue of an offered workflow has a worker that takes its jobs."""
    workers = [row for row in processes.alive() if row.kind != Kind.WEB and not row.draining]
    served_queues = {name for row in workers for name in row.queues}
    takes_all = any(not row.queues for row in workers)
    workflows_by_queue: dict[str, list[str]] = {}
    for offer in registry.offered_workflows():
        workflows_by_queue.setdefault(offer.config.queue, []).append(offer.workflow.name)
    for queue, workflows in workflows_by_queue.items():
        if takes_all or queue in served_queues:
            yield Info(f"{queue} is served")
        else:
            yield Error(
                f"no worker takes {queue}: {', '.join(workflows)} do not continue",
                f"Start one: manage.py worker --queues {queue}",
            )


def _silent() -> Findings:
    """Find processes that no longer report, although they have not shut down."""
    for process in processes.processes().values():
        name = process.row.name
        if process.alive:
            continue
        if _has_ended(name):
            yield Warning(
                f"{name} ended without a report",
                "Look into its log, and check whether it was killed. It is forgotten in an hour.",
            )
        else:
            yield Error(
                f"{name} has been silent for {process.silent:.0f} s: it is frozen, cut off from "
                "the database, or was killed on its machine",
                "Look into its log there, and restart it. One that is gone for good, or is "
                "of the site whose backup was restored here, is forgotten in an hour.",
            )


def _has_ended(name: str) -> bool:
    """Return whether a process has certainly ended; only this machine's processes can be tested."""
    # A local deployment has only one process: if a live one is reported, the named one has ended.
    if not CLUSTER and processes.alive():
        return True
    host, _, pid = name.rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)  # signal 0 tests whether the process exists
    except ProcessLookupError:
        return True
    except PermissionError:  # the process exists, and belongs to another user
        pass
    return False


def _agreement() -> Findings:
    own_settings = processes.shared_settings()
    alive = processes.alive()
    for setting, digest in own_settings.items():
        if names := [row.name for row in alive if row.settings.get(setting) != digest]:
            yield Error(
                f"{setting} is another one at {', '.join(names)} than here",
                "Give all processes the same, and restart them.",
            )
        elif alive:
            yield Info(f"{setting} is the same at all {len(alive)}")
    for row in processes.with_wrong_clocks():
        yield Error(
            f"the clock of {row.name} is {clock.in_words(row.clock_ahead)}: it hosts no runs",
            "Have NTP set the clocks of all machines.",
        )


def _jobs() -> Findings:
    queues = figures()
    if not queues:
        yield Info("none is waiting or running")
    for queue in queues:
        oldest = f" (oldest {queue.oldest:.1f} s)" if queue.oldest else ""
        fact = f"{queue.name}: {queue.queued} queued{oldest}, {queue.running} running"
        if queue.stalled:
            yield Error(
                f"{fact}, {queue.stalled} stalled: their workers are gone",
                "A living worker takes them over within 10 s: see that one is up.",
            )
        elif queue.oldest > LONG:
            yield Warning(f"{fact}: it waits for long", "Start more workers for this queue.")
        else:
            yield Info(fact)
        if queue.failed:
            yield Warning(
                f"{queue.name}: {queue.failed} failed",
                "Look at them in the admin (Procrastinate jobs) and in the workers' logs.",
            )


def _unhosted_runs() -> Findings:
    """Find runs that need a host, and have neither a host nor a job."""
    since = timezone.now() - RUN_FORGOTTEN_AFTER
    runs = runs_needing_host().filter(conversation__updated_at__lt=since)
    if RuntimeSettings.load().cluster:
        runs = without_job(runs)
    else:
        leases = HostLease.objects.filter(
            released_at=None, worker__in=processes.hosting_processes()
        )
        runs = runs.exclude(key__in=leases.values("key"))
    keys = sorted(set(runs.values_list("key", flat=True)[:1000]))
    if keys:
        ellipsis = " …" if len(keys) > KEYS_SHOWN else ""
        yield Error(
            f"work without a host, by key ({len(keys)}): {', '.join(keys[:KEYS_SHOWN])}{ellipsis}",
            "It is found within seconds where a process that hosts is up: see that one is.",
        )
    else:
        yield Info("all that has work has a host, or a job that will be one")


def _count_suspended() -> Findings:
    if count := Run.objects.filter(status=Run.Status.SUSPENDED).count():
        yield Warning(
            f"suspended: {count}",
            "Their pages in the admin say why: Runs, filter by status.",
        )
    else:
        yield Info("no run is suspended")


def _dispatch() -> Findings:
    """Announce work for one workflow of each queue, and measure the time until a host takes it.

    No message is sent: a workflow may have real effects. Instead, a key without runs is announced;
    the worker that takes the key looks for runs, finds none and releases the lease.
    """
    queues = {offer.config.queue: offer for offer in registry.offered_workflows()}
    for queue, offer in queues.items():
        key = HostKey.of_conversation(uuid4(), offer.workflow.name)
        yield _announce(key, queue)
        writer.write_now(partial(_forget, key=key))


def _announce(key: str, queue: str) -> CheckMessage:
    start = time.monotonic()
    writer.write_now(lambda tx: announce(tx, key))
    lease = _wait(key, TAKE_TIMEOUT, released_at=None)
    seconds = time.monotonic() - start
    if lease is None:
        return Error(
            f"{queue}: nobody took the work in {TAKE_TIMEOUT:.0f} s",
            "Look at workers and jobs above, and into the workers' logs.",
        )
    if _wait(key, RELEASE_TIMEOUT, released_at__isnull=False) is None:
        return Error(f"{queue}: {lease.worker} does not let go", "Look into its log.")
    fact = f"{queue}: {lease.worker} took the work after {seconds * 1000:.0f} ms"
    if seconds > SLOW_SECONDS:
        return Warning(fact, "A new run waits for a place as long: start more workers.")
    return Info(fact)


def _wait(key: str, seconds: float, **conditions: object) -> HostLease | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if lease := HostLease.objects.filter(pk=key, **conditions).first():
            return lease
        time.sleep(LOOK)
    return None


def _forget(tx: Transaction, key: str) -> None:
    HostLease.objects.filter(pk=key, released_at__isnull=False).delete()


def _page() -> Findings:
    """Request `/health` of the web server at the address in the setting HEALTH_URL."""
    address = RuntimeSettings.load().HEALTH_URL
    if not address:
        yield Warning("where this site answers is not known", "Set HEALTH_URL in HITL.")
        return
    url = urlsplit(address)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.netloc, timeout=TAKE_TIMEOUT)
    try:
        with closing(connection):
            connection.request("GET", url.path, headers=_allowed_host(url))
            status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        yield Error(f"{address} does not answer: {error}", "Start the server.")
        return
    if status == HTTPStatus.OK:
        yield Info(f"{address} is well")
    else:
        yield Error(f"{address} answers {status}", "Look into its log.")


def _allowed_host(url: SplitResult) -> dict[str, str]:
    """Return a `Host` header that ALLOWED_HOSTS allows, if the server's address itself is not."""
    allowed_hosts = settings.ALLOWED_HOSTS
    if not allowed_hosts or validate_host(url.hostname or "", allowed_hosts):
        return {}
    return {"Host": allowed_hosts[0]}


STATIC = (PROJECT, POOL, FORM, Check(102, "settings", _settings))
CHECKS = (
    *STATIC,
    DATABASE,
    MIGRATIONS,
    WORKFLOWS,
    Check(106, "writes", _writes, needs="migrations"),
    *of_form.CHECKS,
    Check(130, "web", _web, needs="migrations"),
    *((Check(131, "workers", _workers, needs="migrations"),) if CLUSTER else ()),
    *((Check(132, "queues", _queues, needs="workers"),) if CLUSTER else ()),
    Check(133, "silent", _silent, needs="migrations"),
    Check(134, "agreement", _agreement, needs="migrations"),
    *((Check(140, "jobs", _jobs, needs="migrations"),) if CLUSTER else ()),
    Check(141, "forgotten", _unhosted_runs, needs="migrations"),
    Check(142, "runs", _count_suspended, needs="migrations"),
)
END_TO_END = (
    Check(150, "end to end", _dispatch, needs="workers")
    if CLUSTER
    else Check(150, "end to end", _page),
)
OF_DJANGO = Check(100, "settings", _of_django)
OF_APPLICATIONS = Check(143, "applications", _of_applications, needs="migrations")


@checks.register(TAG, checks.Tags.database, deploy=True)
def check_deployment(*, databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Run all checks, or only those without the database if Django passes no databases."""
    made = (PROJECT, POOL, WORKFLOWS)  # already run: the runtime itself registers these checks
    return list(examine([one for one in (CHECKS if databases else STATIC) if one not in made]))
