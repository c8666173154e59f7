"""What a worker looks up in the database, should no wake have come."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

from sessions_app.hosting.lease import LeaseState
from sessions_app.hosting.needing_host import needing_host
from sessions_app.hosting.run_selection import RunSighting
from sessions_app.models import HostLease, Interaction
from sessions_app.storage.records import InteractionSettled

SETTLED = (Interaction.Status.ANSWERED, Interaction.Status.EXPIRED)


@dataclass(frozen=True, slots=True)
class HostLookup:
    """The leases of the keys, the runs that need a host, and the interactions settled."""

    leases: dict[str, LeaseState]
    runs: list[tuple[str, RunSighting]]
    settled: list[tuple[str, InteractionSettled]]


def look_up(keys: Collection[str], awaited: Collection[UUID]) -> HostLookup:
    """Look after these keys and these interactions. Blocks: for a thread."""
    leases = HostLease.objects.filter(key__in=keys)
    rows = leases.values_list("key", "generation", "evict_requested_at")
    return HostLookup(
        {key: LeaseState(generation, evict is not None) for key, generation, evict in rows},
        _runs(keys),
        _settled(awaited),
    )


def _runs(keys: Collection[str]) -> list[tuple[str, RunSighting]]:
    rows = needing_host().filter(key__in=keys)
    fields = ("key", "id", "status", "stop_requested_at")
    return [
        (key, (run, status, stop is not None))
        for key, run, status, stop in rows.values_list(*fields)
    ]


def _settled(awaited: Collection[UUID]) -> list[tuple[str, InteractionSettled]]:
    settled = Interaction.objects.filter(pk__in=awaited, status__in=SETTLED)
    by = f"answered_by__{get_user_model().USERNAME_FIELD}"
    rows: Iterable[Any] = settled.values_list(
        "run__key", "run", "id", "status", "response", by, "answered_at"
    )
    return [(key, InteractionSettled(*news)) for key, *news in rows]
