"""The record of live builders in the leases of their keys: what the admin shows, of any process."""

import asyncio
from functools import partial
from typing import Any

from django.db.models.functions import Coalesce

from sessions_app.dispatch.base import dispatcher
from sessions_app.event_log import Transaction, writer
from sessions_app.models import HostLease
from sessions_app.workers import NAME

# By key: `total_requests`, `error_count`, `total_latency_ms`, `ref_count`.
Metrics = dict[str, dict[str, Any]]


async def record(known: Metrics) -> Metrics:
    """Store what has changed since `known`; returns what is known now."""
    live = dispatcher().builders()
    changed = {key: metrics for key, metrics in live.items() if known.get(key) != metrics}
    changed |= {key: {} for key in known.keys() - live.keys()}
    # Each in its own transaction: several that lock many leases could wait for each other.
    await asyncio.gather(*(writer.write(partial(_store, *one)) for one in changed.items()))
    return live


def forget_others(tx: Transaction, worker: str) -> None:
    """Only this worker is left: what others held is free, and their builders are gone."""
    others = HostLease.objects.exclude(worker=worker)
    others.update(metrics={}, released_at=Coalesce("released_at", tx.now))


def _store(key: str, metrics: dict[str, Any], tx: Transaction) -> None:
    # Another process may have taken the key over, whose builder is not ours to describe.
    own = HostLease.objects.filter(pk=key, worker=NAME)
    own.update(metrics=metrics, last_activity=tx.now)
