"""Whose turn it is: the runs that need a host."""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress

from django.db import DatabaseError
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import registry

# Runs that were in memory when their process died so often are suspects: if one of them is what
# kills it, the others are to get on.
SUSPECT_CRASHES = 2
# How often is looked whether a suspect got on, and for how long the next one waits for it; seconds.
SUSPECT_LOOK = 1.0
SUSPECT_PATIENCE = 5.0


def needing_host() -> QuerySet[Run]:
    """The runs that a host would do something about; those that wait for people need none.

    A queued run waits for those of its conversation that are active, and behind those that were
    queued before it, unless its workflow takes them in parallel. A child waits for nobody, as its
    parent waits for it.
    """
    parallel = [one.workflow.name for one in registry.offered() if one.policy == "parallel"]
    before = Run.objects.filter(
        Q(status=Run.Status.QUEUED, sequence__lt=OuterRef("sequence"))
        | Q(status__in=[Run.Status.RUNNING, Run.Status.WAITING]),
        conversation=OuterRef("conversation"),
        parent=None,
    )
    first = Q(parent__isnull=False) | Q(workflow__in=parallel) | ~Exists(before)
    return Run.objects.filter(
        Q(status=Run.Status.RUNNING)
        | (Q(status=Run.Status.QUEUED) & first)
        | Q(
            status__in=[*Run.UNFINISHED, Run.Status.SUSPENDED],
            stop_requested_at__isnull=False,
        )
    )


def keys_needing_host() -> tuple[list[str], list[str]]:
    """The keys of those runs; apart, in the order of suspicion, those with a suspect."""
    rows = needing_host().values_list("key").annotate(crashes=Max("crashes")).order_by("crashes")
    keys = [key for key, crashes in rows if crashes < SUSPECT_CRASHES]
    suspects = [key for key, crashes in rows if crashes >= SUSPECT_CRASHES]
    return keys, suspects


def with_suspect(keys: Collection[str]) -> set[str]:
    """Those of the keys of which a run that needs a host is a suspect."""
    suspects = needing_host().filter(key__in=keys, crashes__gte=SUSPECT_CRASHES)
    return set(suspects.values_list("key", flat=True))


class SuspectsInTurn:
    """The keys with suspects that a process takes up, one by one: the next may be what kills it.

    Each waits until the one before it got on, or for `SUSPECT_PATIENCE`.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._before: tuple[str, float] | None = None
        self._stopped = asyncio.Event()

    async def wait(self, key: str) -> None:
        """Until it is the key's turn, or all stop."""
        async with self._turn:
            if self._before is not None:
                await self._got_on(*self._before)
            self._before = key, time.monotonic()

    def stop(self) -> None:
        """Nobody waits from now on."""
        self._stopped.set()

    async def _got_on(self, key: str, since: float) -> None:
        while time.monotonic() < since + SUSPECT_PATIENCE:
            with suppress(TimeoutError):
                async with asyncio.timeout(SUSPECT_LOOK):
                    await self._stopped.wait()
                return
            with suppress(DatabaseError):  # it is away: look again
                if not await reads.read(with_suspect, [key]):
                    return
