"""The search for changes that concern a process's hosts, in case a wake-up message was lost."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

from sessions_app.hosting.host import Host
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.lease import LeaseState
from sessions_app.hosting.needing_host import runs_needing_host
from sessions_app.hosting.run_selection import RunSighting
from sessions_app.hosting.run_writes import WAITS
from sessions_app.journal.journal import is_wait, wait_id
from sessions_app.models import HostLease, Interaction, JournalEntry, Run
from sessions_app.storage import reads
from sessions_app.storage.records import InteractionSettled

# Pairs of a host's key and a settled interaction of one of the host's runs.
SettledOfKeys = list[tuple[str, InteractionSettled]]
SETTLED = (Interaction.Status.ANSWERED, Interaction.Status.EXPIRED)


@dataclass(frozen=True, slots=True)
class HostLookup:
    """The database's state for some keys: leases, runs that need a host, settled interactions."""

    leases: dict[str, LeaseState]
    runs: list[tuple[str, RunSighting]]
    settlements: SettledOfKeys


async def tell_hosts(hosts: HostRegistry) -> None:
    """Pass changes in the database to the hosts of this process: answers, runs to start or stop,
    and leases that other processes took.
    """
    hosts_by_key: dict[str, Host] = {host.key: host for host in hosts}
    if not hosts_by_key:
        return
    interactions = set().union(*(host.awaited_interactions for host in hosts_by_key.values()))
    lookup = await reads.read(look_up, list(hosts_by_key), interactions)
    for key, settlement in lookup.settlements:
        hosts.wake(key, settlement)
    for key, sighting in lookup.runs:
        hosts_by_key[key].notice_run(sighting)
    for key, host in hosts_by_key.items():
        host.check_lease(lookup.leases.get(key))


def look_up(keys: Collection[str], interactions: Collection[UUID]) -> HostLookup:
    """Read database changes for these keys and interactions. Blocks: call in a thread."""
    leases = HostLease.objects.filter(key__in=keys)
    rows = leases.values_list("key", "generation", "evict_requested_at")
    runs = runs_needing_host().filter(key__in=keys)
    sightings = runs.values_list("key", "id", "status", "stop_requested_at")
    return HostLookup(
        {key: LeaseState(generation, evict is not None) for key, generation, evict in rows},
        [(key, (run, status, stop is not None)) for key, run, status, stop in sightings],
        _settled_interactions(keys, interactions),
    )


def _settled_interactions(keys: Collection[str], ids: Collection[UUID]) -> SettledOfKeys:
    interactions = Interaction.objects.filter(pk__in=ids, status__in=SETTLED)
    by = f"answered_by__{get_user_model().USERNAME_FIELD}"
    rows: Iterable[Any] = interactions.values_list(
        "run__key", "run", "id", "status", "response", by, "answered_at"
    )
    settled_interactions = [(key, InteractionSettled(*columns)) for key, *columns in rows]
    return settled_interactions + _read_results(keys, [id_ for id_ in ids if is_wait(id_)])


def _read_results(keys: Collection[str], waits: Collection[UUID]) -> SettledOfKeys:
    """Read the results of the given waits (for arrivals or child runs) as settlements."""
    if not waits:
        return []
    entries = JournalEntry.objects.filter(run__key__in=keys, run__status=Run.Status.RUNNING)
    rows: Iterable[Any] = entries.filter(kind__in=WAITS, finished_at__isnull=False).values_list(
        "run__key", "run", "position", "result", "error", "finished_at"
    )
    status = Interaction.Status.ANSWERED.value
    return [
        (key, InteractionSettled(run, wait, status, {"value": result, "error": error}, None, at))
        for key, run, position, result, error, at in rows
        if (wait := wait_id(run, position)) in waits
    ]
