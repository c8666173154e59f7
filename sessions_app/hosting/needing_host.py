"""The rule of whose turn it is: the runs that need a host."""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress

from django.db import DatabaseError
from django.db.models import Max, QuerySet

from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import registry

# Runs that were in memory when their process died so often are suspects: if one of them is what
# kills it, the others are to get on.
SUSPECT_CRASHES = 2
# How often is looked whether a suspect got on, and for how long the next one waits for it; seconds.
SUSPECT_LOOK = 1.0
SUSPECT_PATIENCE = 5.0


# A queued run waits for those of its conversation that are active, and behind those that were
# queued before it, unless its workflow takes them in parallel, or is offered no more: then its host
# says so. A child waits for nobody, as its parent waits for it. One that waits for people needs no
# host, unless it is to stop.
HAS_TURN = """
    (
        sessions_app_run.status = 'running'
        OR sessions_app_run.stop_requested_at IS NOT NULL
        AND sessions_app_run.status IN ('queued', 'waiting', 'suspended')
        OR sessions_app_run.status = 'queued' AND (
            sessions_app_run.parent_id IS NOT NULL
            OR sessions_app_run.workflow NOT IN ({one_by_one})
            OR NOT EXISTS (
                SELECT 1 FROM sessions_app_run before
                WHERE before.conversation_id = sessions_app_run.conversation_id
                AND before.parent_id IS NULL AND before.status IN ('queued', 'running', 'waiting')
                AND (before.status <> 'queued' OR before.sequence < sessions_app_run.sequence)
            )
        )
    )
"""


def has_turn() -> tuple[str, list[str]]:
    """Return the condition under which a host would do something about a run, and its values."""
    one_by_one = [
        offer.workflow.name for offer in registry.offered_workflows() if offer.policy != "parallel"
    ]
    places = ", ".join(["%s"] * len(one_by_one)) or "''"
    return HAS_TURN.format(one_by_one=places), one_by_one


def runs_needing_host() -> QuerySet[Run]:
    """Return the runs whose turn it is."""
    condition, one_by_one = has_turn()
    return Run.objects.extra(where=[condition], params=one_by_one)  # noqa: S610 - no value in it


def keys_needing_host() -> tuple[list[str], list[str]]:
    """Return the keys of runs that need a host, and apart those with a suspect, by suspicion."""
    rows = (
        runs_needing_host().values_list("key").annotate(crashes=Max("crashes")).order_by("crashes")
    )
    keys = [key for key, crashes in rows if crashes < SUSPECT_CRASHES]
    suspects = [key for key, crashes in rows if crashes >= SUSPECT_CRASHES]
    return keys, suspects


def with_suspect(keys: Collection[str]) -> set[str]:
    """Return those of the keys with a suspect among their runs that need a host."""
    suspects = runs_needing_host().filter(key__in=keys, crashes__gte=SUSPECT_CRASHES)
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
        """Wait until it is the key's turn, or all stop."""
        async with self._turn:
            if self._before is not None:
                await self._got_on(*self._before)
            self._before = key, time.monotonic()

    def stop(self) -> None:
        """Let nobody wait from now on."""
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
