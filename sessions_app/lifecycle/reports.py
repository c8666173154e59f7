"""The reports of each process about itself, every few seconds: that it is up, and its builders."""

import asyncio
import time
from functools import partial

from sessions_app.dispatch import processes
from sessions_app.dispatch.dispatcher import Dispatcher
from sessions_app.errors import StorageUnavailable
from sessions_app.hosting.lease import this_process
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import HostLease
from sessions_app.storage.periodic import repeat
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

EVERY = 5.0  # seconds
# What is written so often, and has not been for so long, cannot be written.
OVERDUE = 3 * EVERY
# For so long a write that failed says that the next one may.
RECENT = 2 * EVERY

# By key: `total_requests`, `error_count`, `total_latency_ms`, `ref_count`.
Metrics = dict[str, JsonObject]

# When this process last stored a report, by the monotonic clock; none where it reports nothing.
_stored_at: list[float] = []


async def report(dispatcher: Dispatcher) -> None:
    """Report until cancelled."""
    stored_metrics: Metrics = {}
    _stored_at[:] = [time.monotonic()]

    async def once() -> None:
        nonlocal stored_metrics
        await writer.write(lambda tx: processes.record(tx, dispatcher.report()))
        _stored_at[:] = [time.monotonic()]
        live = {} if dispatcher.hosts is None else dispatcher.hosts.builders()
        await record_builders(live, stored_metrics)
        stored_metrics = live

    try:
        await repeat(once, every=EVERY, name="reports")
    finally:
        _stored_at.clear()


def stores_writes() -> bool:
    """Return whether the database stores what this process writes.

    With a full disk it only reads, and for a while still takes what is as small as a report.
    """
    if time.monotonic() - writer.failed_at < RECENT:
        return False
    return all(time.monotonic() - at < OVERDUE for at in _stored_at)


async def sign_off() -> None:
    """Delete this process's report: it ends in good order."""
    try:
        await writer.write(lambda tx: processes.forget(tx, this_process()))
    except StorageUnavailable:
        log.warning("reports.storage_unavailable")


async def record_builders(live: Metrics, stored_metrics: Metrics) -> None:
    """Store the changes of the live builders since `stored_metrics`."""
    changes = {key: metrics for key, metrics in live.items() if stored_metrics.get(key) != metrics}
    changes |= {key: {} for key in stored_metrics.keys() - live.keys()}
    # Each in its own transaction: several that lock many leases could wait for each other.
    await asyncio.gather(*(writer.write(partial(_store, *change)) for change in changes.items()))


def _store(key: str, metrics: JsonObject, tx: Transaction) -> None:
    # Another process may have taken the key over, whose builder is not ours to describe.
    leases = HostLease.objects.filter(pk=key, worker=this_process())
    leases.update(metrics=metrics, last_activity=tx.now)
