"""A host's lease on its key: taken with a raised generation, checked by every write, released."""

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
    """Return the name of this process, as leases and reports have it.

    It is asked each time: a server may import the application, and fork its processes after that.
    """
    return f"{_MACHINE}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A host's claim on its key."""

    key: HostKey
    generation: int

    def check(self, tx: Transaction) -> bool:
        """Raise `Fenced` where another host has the key now; see `Transaction.check_fence`."""
        return tx.check_fence(self.key, self.generation)


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The state of a lease in the database; `evict`: an operator wants the builder closed."""

    generation: int
    evict: bool


# Raises `Fenced` if the host may not become one (any more): called first in the transaction that
# takes the lease.
JobClaim = Callable[[Transaction], None]


def take_lease(tx: Transaction, key: HostKey, claim: JobClaim | None = None) -> Lease:
    """Make this process the key's host. Every earlier host of it is fenced off from here on.

    Raises:
        Fenced: the claim does not hold any more.
    """
    if claim is not None:
        claim(tx)
    values = (key, this_process(), key.workflow, key.user, tx.now, tx.now)
    [(generation,)] = sql.fetch(TAKE, values)
    tx.forget_fence(key)
    return Lease(key, generation)


def let_go(tx: Transaction, lease: Lease, run_ids: Iterable[UUID] = ()) -> None:
    """Release the lease of a host that ends in good order, with these runs in hand.

    That is no crash of theirs. The lease stays as a record of who had the key last. What is left to
    do is announced: whoever announced work for this host did so before the lease is released here,
    and it is seen.
    """
    lease.check(tx)
    Run.objects.filter(pk__in=list(run_ids), crashes__gt=0).update(crashes=F("crashes") - 1)
    free: JsonObject = {"released_at": tx.now, "evict_requested_at": None, "metrics": {}}
    sql.update(HostLease, free, key=lease.key, generation=lease.generation)
    if runs_needing_host().filter(key=lease.key).exists():
        announce(tx, lease.key)


def release_all(tx: Transaction) -> None:
    """Release all leases, and forget their builders: only this process is left, and it hosts
    nothing yet. One before it may have had its name, as in a container that was restarted.
    """
    HostLease.objects.update(metrics={}, released_at=Coalesce("released_at", tx.now))


class LeaseFreshness:
    """The time of the database's last confirmation of this process's leases.

    A process that stood still (stopped, swapped out, cut off) may have lost them without knowing.
    Its writes are refused, but what has effects elsewhere must not even begin before it has looked.
    `silence`: for how many seconds a look holds; None where there is only one process.
    """

    def __init__(self, silence: float | None = None) -> None:
        self._silence = silence
        self._confirmed_at = time.monotonic()
        self._confirmed = asyncio.Event()

    @property
    def fresh(self) -> bool:
        """True while nobody can have taken over a lease that was confirmed."""
        return self._silence is None or time.monotonic() - self._confirmed_at < self._silence

    @property
    def seconds_left(self) -> float:
        """The seconds for which the leases stay fresh."""
        return self._confirmed_at + (self._silence or 0) - time.monotonic()

    def confirm(self, at: float) -> None:
        """Confirm the leases by a lookup that began at `at` (monotonic); lost ones are given up by
        now.
        """
        self._confirmed_at = at
        self._confirmed.set()

    async def wait_fresh(self) -> None:
        """Wait until the leases are confirmed. Who has lost its lease is cancelled meanwhile."""
        while not self.fresh:
            self._confirmed.clear()
            await self._confirmed.wait()
