"""The lease of a host on a key: its generation grows with each host, and each write checks it."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Coalesce

from sessions_app.hosting.needing_host import runs_needing_host
from sessions_app.json_types import JsonObject
from sessions_app.models import HostLease, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.notify.announce import announce
from sessions_app.storage import sql
from sessions_app.storage.transaction import Transaction

_MACHINE = socket.gethostname()

TAKE = """
    INSERT INTO sessions_app_hostlease AS lease
        (key, worker, workflow, user_id, started_at, last_activity, generation, metrics)
    VALUES (%s, %s, %s, %s, %s, %s, 1, '{}')
    ON CONFLICT (key) DO UPDATE SET generation = lease.generation + 1,
        worker = excluded.worker, workflow = excluded.workflow, user_id = excluded.user_id,
        started_at = excluded.started_at, last_activity = excluded.last_activity,
        released_at = NULL, evict_requested_at = NULL
    RETURNING generation
"""


def this_process() -> str:
    """Return the name of this process for leases and reports.

    Never cached: a server may import the application, and fork its processes afterwards.
    """
    return f"{_MACHINE}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A host's lease on a key; each new host of the key gets a higher `generation`."""

    key: HostKey
    generation: int

    def check(self, tx: Transaction) -> bool:
        """Raise `Fenced` if another host has the key now; see `Transaction.check_fence`."""
        return tx.check_fence(self.key, self.generation)


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The state of a lease in the database; `evict`: an operator asked to evict the builder."""

    generation: int
    evict: bool


# A function that raises `Fenced` if another worker has taken the host's job over. The transaction
# that takes the lease calls the function first.
JobCheck = Callable[[Transaction], None]


def take_lease(tx: Transaction, key: HostKey, job_check: JobCheck | None = None) -> Lease:
    """Make this process the key's host; writes of every earlier host of the key fail from now on.

    Raises:
        Fenced: `job_check` found that the job no longer belongs to this worker.
    """
    if job_check is not None:
        job_check(tx)
    values = (key, this_process(), key.workflow, key.user, tx.now, tx.now)
    [(generation,)] = sql.fetch(TAKE, values)
    tx.forget_fence(key)
    return Lease(key, generation)


def release_lease(tx: Transaction, lease: Lease, run_ids: Iterable[UUID] = ()) -> None:
    """Release the lease of a host that ends normally, with these runs in memory.

    Their count of crashes, which the start of an execution raises, is lowered again. The row stays
    as a record of the key's last host. If a run still needs a host, work is announced again. All
    work announced to this host was committed before this transaction, so none is overlooked.
    """
    lease.check(tx)
    Run.objects.filter(pk__in=list(run_ids), crashes__gt=0).update(crashes=F("crashes") - 1)
    free: JsonObject = {"released_at": tx.now, "evict_requested_at": None, "metrics": {}}
    sql.update(HostLease, free, key=lease.key, generation=lease.generation)
    if runs_needing_host().filter(key=lease.key).exists():
        announce(tx, lease.key)


def release_all(tx: Transaction) -> None:
    """Release all leases and clear their metrics, at the start of a single process.

    An earlier process may have had the same name as this one, as in a restarted container.
    """
    HostLease.objects.update(metrics={}, released_at=Coalesce("released_at", tx.now))


class LeaseFreshness:
    """The time at which the database last confirmed this process's leases.

    A process that was frozen (stopped, swapped out, cut off) may have lost leases without knowing.
    The database refuses its writes, but a step with effects elsewhere must not begin before the
    leases are confirmed. `silence`: seconds for which a confirmation is valid; None if there is
    only one process.
    """

    def __init__(self, silence: float | None = None) -> None:
        self._silence = silence
        self._confirmed_at = time.monotonic()
        self._confirmed = asyncio.Event()

    @property
    def fresh(self) -> bool:
        """True while no other process can have taken over a confirmed lease."""
        return self._silence is None or time.monotonic() - self._confirmed_at < self._silence

    @property
    def seconds_left(self) -> float:
        """The seconds for which the last confirmation is still valid; negative afterwards."""
        return self._confirmed_at + (self._silence or 0) - time.monotonic()

    def confirm(self, at: float) -> None:
        """Note that a query, begun at `at` (monotonic), has confirmed the leases.

        Before the call, the caller must abandon the runs of leases that were lost.
        """
        self._confirmed_at = at
        self._confirmed.set()

    async def wait_fresh(self) -> None:
        """Wait until the leases are confirmed. Runs with a lost lease are cancelled meanwhile."""
        while not self.fresh:
            self._confirmed.clear()
            await self._confirmed.wait()
