"""The reports that each process stores every few seconds: on itself, and on its builders."""

import asyncio
import hashlib
import inspect
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

from django.apps import apps
from django.utils import timezone
from django.utils.crypto import salted_hmac

from sessions_app.errors import StorageUnavailable
from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.dispatch.dispatcher import Dispatcher, ProcessReport
from sessions_app.hosting.lease import this_process
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import HostLease, Process
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.periodic import repeat
from sessions_app.storage.safety_times import STALLED_AFTER
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry

log = Log(__name__)

EVERY = 5.0  # seconds between two reports
GONE_AFTER = timedelta(seconds=20)
FORGOTTEN_AFTER = timedelta(hours=1)
UNSEEN_EVERY = 60  # seconds between two deletions of unseen processes
# Seconds without a stored report after which the process counts as unable to write.
OVERDUE = 3 * EVERY
# Seconds for which a failed write means that the next write may fail, too.
RECENT = 2 * EVERY

# Metrics of builders by host key: `total_requests`, `error_count`, `total_latency_ms`, `ref_count`.
Metrics = dict[str, JsonObject]

# Time (monotonic) of this process's last stored report; empty if the process reports nothing.
_stored_at: list[float] = []


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The known state of a process. `silent`: seconds since the last sign of life."""

    row: Process
    silent: float
    alive: bool


async def report(dispatcher: Dispatcher) -> None:
    """Store a report every few seconds until cancelled."""
    stored_metrics: Metrics = {}
    _stored_at[:] = [time.monotonic()]

    async def once() -> None:
        nonlocal stored_metrics
        await writer.write(lambda tx: record(tx, dispatcher.report()))
        _stored_at[:] = [time.monotonic()]
        live = {} if dispatcher.hosts is None else dispatcher.hosts.builders()
        await record_builders(live, stored_metrics)
        stored_metrics = live

    try:
        await repeat(once, every=EVERY, name="reports")
    finally:
        _stored_at.clear()


def stores_writes() -> bool:
    """Return whether the database stores the writes of this process.

    With a full disk the database only reads, but for a while takes writes as small as a report.
    """
    if time.monotonic() - writer.failed_at < RECENT:
        return False
    return all(time.monotonic() - at < OVERDUE for at in _stored_at)


async def sign_off() -> None:
    """Delete this process's report: the process ends in good order."""
    try:
        await writer.write(lambda tx: Process.objects.filter(name=this_process()).delete())
    except StorageUnavailable:
        log.warning("reports.storage_unavailable")


async def record_builders(live: Metrics, stored_metrics: Metrics) -> None:
    """Store the changes of the live builders since `stored_metrics`."""
    changes = {key: metrics for key, metrics in live.items() if stored_metrics.get(key) != metrics}
    changes |= {key: {} for key in stored_metrics.keys() - live.keys()}
    # A transaction for each lease: transactions that lock many leases could deadlock.
    await asyncio.gather(*(writer.write(partial(_store, *change)) for change in changes.items()))


def _store(key: str, metrics: JsonObject, tx: Transaction) -> None:
    # Own leases only: another process may have taken the key over, with a builder of its own.
    leases = HostLease.objects.filter(pk=key, worker=this_process())
    leases.update(metrics=metrics, last_activity=tx.now)


def record(tx: Transaction, report: ProcessReport) -> None:
    """Store that the process is up, with its report."""
    row = Process(**asdict(report), settings=shared_settings(), last_seen=tx.now)
    columns = [field.name for field in Process._meta.fields if not field.primary_key]  # noqa: SLF001 - Django's documented _meta
    Process.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["name"], update_fields=columns
    )


def forget_unseen(tx: Transaction) -> int:
    """Delete processes that ended without signing off, after an hour; return their number."""
    return Process.objects.filter(last_seen__lt=tx.now - FORGOTTEN_AFTER).delete()[0]


@cache
def shared_settings() -> dict[str, str]:
    """Return digests of settings that all processes must share; a digest reveals no secret."""
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
    """Return all known processes by name."""
    silences = queue.silences()
    return {row.name: _process(row, silences) for row in Process.objects.order_by("name")}


def alive() -> list[Process]:
    """Return the processes that are up."""
    return [process.row for process in processes().values() if process.alive]


def hosting_processes() -> list[str]:
    """Return the names of the processes that are up and host runs."""
    return [row.name for row in alive() if row.kind != Process.Kind.WEB]


def _process(row: Process, silences: dict[int, float]) -> ProcessState:
    # A worker counts as alive by its heartbeats, which decide on a take-over; another process by
    # its reports.
    silent = (timezone.now() - row.last_seen).total_seconds()
    limit = GONE_AFTER.total_seconds()
    if row.job_worker is not None:
        # Heartbeats are removed when the worker ends, and after a take-over of its jobs.
        silent = silences.get(row.job_worker, max(silent, limit))
        limit = STALLED_AFTER
    return ProcessState(row, max(silent, 0), silent < limit)
