"""The reports that each process stores every few seconds, about itself and its builders."""

import asyncio
import hashlib
import inspect
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

from django.apps import apps
from django.utils.crypto import salted_hmac

from sessions_app.errors import StorageUnavailable
from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.dispatch.dispatcher import Dispatcher, ProcessReport
from sessions_app.hosting.lease import this_process
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import HostLease, Process
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import clock, reads
from sessions_app.storage.periodic import repeat
from sessions_app.storage.safety_times import STALLED_AFTER
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry

log = Log(__name__)

REPORT_EVERY = 5.0  # seconds between two reports of a process
GONE_AFTER = timedelta(seconds=20)
FORGOTTEN_AFTER = timedelta(hours=1)
UNSEEN_EVERY = 60  # seconds between two deletions of processes without recent reports
# Seconds without a stored report after which the database counts as refusing writes.
OVERDUE = 3 * REPORT_EVERY
# Seconds after a failed write during which the database still counts as refusing writes.
RECENT = 2 * REPORT_EVERY

# Metrics of builders by host key: `total_requests`, `error_count`, `total_latency_ms`, `ref_count`.
Metrics = dict[str, JsonObject]

# Monotonic time of this process's last stored report; an empty list if it makes no reports.
_stored_at: list[float] = []


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The known state of a process. `silent`: seconds since its last report or heartbeat."""

    row: Process
    silent: float
    alive: bool


async def report(dispatcher: Dispatcher) -> None:
    """Store a report every few seconds until cancelled."""
    stored_metrics: Metrics = {}
    _stored_at[:] = [time.monotonic()]

    async def once() -> None:
        nonlocal stored_metrics
        await reads.read(clock.measure)
        await writer.write(lambda tx: record(tx, dispatcher.report()))
        _stored_at[:] = [time.monotonic()]
        live = {} if dispatcher.hosts is None else dispatcher.hosts.builders()
        await record_builders(live, stored_metrics)
        stored_metrics = live

    try:
        await repeat(once, every=REPORT_EVERY, name="reports")
    finally:
        _stored_at.clear()


def stores_writes() -> bool:
    """Return whether the database stores the writes of this process.

    With a full disk the database refuses writes, but for a while still stores small ones such as a
    report, so failures of other writes count, too.
    """
    if time.monotonic() - writer.failed_at < RECENT:
        return False
    return all(time.monotonic() - at < OVERDUE for at in _stored_at)


async def sign_off() -> None:
    """Delete this process's report at a normal end, so that the process does not count as dead."""
    try:
        await writer.write(lambda tx: Process.objects.filter(name=this_process()).delete())
    except StorageUnavailable:
        log.warning("reports.storage_unavailable")


async def record_builders(live: Metrics, stored_metrics: Metrics) -> None:
    """Store the metrics of builders that have changed since `stored_metrics`."""
    changes = {key: metrics for key, metrics in live.items() if stored_metrics.get(key) != metrics}
    changes |= {key: {} for key in stored_metrics.keys() - live.keys()}
    # One transaction for each lease, because transactions that lock many leases could deadlock.
    await asyncio.gather(*(writer.write(partial(_store, *change)) for change in changes.items()))


def _store(key: str, metrics: JsonObject, tx: Transaction) -> None:
    # Update only own leases: another process may have taken the key over, with its own builder.
    leases = HostLease.objects.filter(pk=key, worker=this_process())
    leases.update(metrics=metrics, last_activity=tx.now)


def record(tx: Transaction, report: ProcessReport) -> None:
    """Store the report of a process, with the current time as its last sign of life."""
    row = Process(**asdict(report), settings=shared_settings(), last_seen=tx.now)
    columns = [field.name for field in Process._meta.fields if not field.primary_key]  # noqa: SLF001 - Django's documented _meta
    Process.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["name"], update_fields=columns
    )


def forget_unseen(tx: Transaction) -> int:
    """Delete processes without a report for an hour, which have died; return their number."""
    unseen = Process.objects.filter(last_seen__lt=tx.now - FORGOTTEN_AFTER)
    workers = unseen.exclude(job_worker=None).values_list("job_worker", flat=True)
    queue.forget([worker for worker in workers if worker is not None])
    return unseen.delete()[0]


@cache
def shared_settings() -> dict[str, str]:
    """Return digests of settings that must be the same in all processes; they reveal no secret."""
    file = RuntimeSettings.load().WORKFLOWS_FILE
    workflows = b"" if file is None else file.read_bytes()
    secret_key = salted_hmac("sessions_app.workers", "the same?", algorithm="sha256")
    return {
        "SECRET_KEY": secret_key.hexdigest()[:16],
        "workflows": hashlib.sha256(workflows).hexdigest()[:16],
        "code": _code_digest(),
    }


def _code_digest() -> str:
    """Return a digest of our own files and of the files that declare the offered workflows."""
    # Applications with settings in `HITL`: the runtime, the chat, and their extensions.
    configs = [one for one in apps.get_app_configs() if hasattr(one, "settings_section")]
    files = {file for config in configs for file in Path(config.path).rglob("*.py")}
    sources = {
        inspect.getsourcefile(offer.workflow.function) for offer in registry.offered_workflows()
    }
    files |= {Path(name) for name in sources if name is not None}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def processes() -> dict[str, ProcessState]:
    """Return the states of all processes with a stored report, by name."""
    silences = queue.silences()
    return {row.name: _process(row, silences) for row in Process.objects.order_by("name")}


def alive() -> list[Process]:
    """Return the processes that are up."""
    return [process.row for process in processes().values() if process.alive]


def with_wrong_clocks() -> list[Process]:
    """Return the processes that are up and whose clock differs from the database's."""
    rows = Process.objects.exclude(clock_ahead__range=(-clock.LIMIT, clock.LIMIT))
    return list(rows.filter(last_seen__gt=clock.now() - GONE_AFTER).order_by("name"))


def hosting_processes() -> list[str]:
    """Return the names of the processes that are up and host runs."""
    return [row.name for row in alive() if row.kind != Process.Kind.WEB]


def _process(row: Process, silences: dict[int, float]) -> ProcessState:
    # A worker is alive by its heartbeats, as these also decide whether its jobs are taken over. Any
    # other process is alive by its reports.
    silent = (clock.now() - row.last_seen).total_seconds()
    limit = GONE_AFTER.total_seconds()
    if row.job_worker is not None:
        # A worker without a heartbeat row has ended, or its jobs were taken over.
        silent = silences.get(row.job_worker, max(silent, limit))
        limit = STALLED_AFTER
    return ProcessState(row, max(silent, 0), silent < limit)
