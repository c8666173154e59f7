"""What a worker looks up in the database, should nobody have told it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sessions_app.event_log import InteractionSettled
from sessions_app.models import HostLease, Interaction
from sessions_app.take_up import Lease, Seen
from sessions_app.turns import needing_host

SETTLED = (Interaction.Status.ANSWERED, Interaction.Status.EXPIRED)


@dataclass(frozen=True, slots=True)
class Looked:
    """The leases of the keys, the runs that need a host, and the interactions settled."""

    leases: dict[str, Lease]
    runs: list[tuple[str, Seen]]
    settled: list[tuple[str, InteractionSettled]]


def look(keys: Collection[str], awaited: Collection[UUID]) -> Looked:
    """Look after these keys and these interactions. Blocks: for a thread."""
    leases = HostLease.objects.filter(key__in=keys)
    rows = leases.values_list("key", "generation", "evict_requested_at")
    return Looked(
        {key: Lease(generation, evict is not None) for key, generation, evict in rows},
        _runs(keys),
        _settled(awaited),
    )


def _runs(keys: Collection[str]) -> list[tuple[str, Seen]]:
    rows = needing_host().filter(key__in=keys)
    fields = ("key", "id", "status", "stop_requested_at")
    return [
        (key, (run, status, stop is not None))
        for key, run, status, stop in rows.values_list(*fields)
    ]


def _settled(awaited: Collection[UUID]) -> list[tuple[str, InteractionSettled]]:
    settled = Interaction.objects.filter(pk__in=awaited, status__in=SETTLED)
    rows: Iterable[Any] = settled.values_list(
        "run__key", "run", "id", "status", "response", "answered_by__username", "answered_at"
    )
    return [(key, InteractionSettled(*news)) for key, *news in rows]
