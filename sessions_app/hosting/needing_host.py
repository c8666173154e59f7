"""The condition for runs that need a host, and the turns of runs that may have caused crashes."""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress

from django.db import DatabaseError
from django.db.models import Max, QuerySet

from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import registry

# Number of crashes (deaths of a process with the run in memory) after which a run is a suspect: the
# run may be the cause of the deaths, so other runs must be able to progress without it.
SUSPECT_CRASHES = 2
# Seconds between two checks of the progress of a run that has crashed SUSPECT_CRASHES times, and
# the longest wait for its progress.
SUSPECT_LOOK = 1.0
SUSPECT_PATIENCE = 5.0


# SQL condition for runs that need a host. A queued run must wait for active and earlier queued runs
# of its conversation, unless the workflow accepts parallel runs, or is no longer offered (the host
# reports this). A child run never waits for other runs, because its parent waits for the child. A
# run that waits for people needs a host only if a stop was requested. (SQLite would otherwise make
# the subquery for each run, so CASE repeats the status.)
HAS_TURN = """
    (
        sessions_app_run.status = 'running'
        OR sessions_app_run.stop_requested_at IS NOT NULL
        AND sessions_app_run.status IN ('queued', 'waiting', 'suspended')
        OR sessions_app_run.status = 'queued' AND (
            sessions_app_run.parent_id IS NOT NULL
            OR sessions_app_run.workflow NOT IN ({one_by_one})
            OR CASE WHEN sessions_app_run.status = 'queued' THEN NOT EXISTS (
                SELECT 1 FROM sessions_app_run before
                WHERE before.conversation_id = sessions_app_run.conversation_id
                AND before.parent_id IS NULL AND before.status IN ('queued', 'running', 'waiting')
                AND (before.status <> 'queued' OR before.sequence < sessions_app_run.sequence)
            ) END
        )
    )
"""


def has_turn() -> tuple[str, list[str]]:
    """Return the SQL condition for runs that need a host, and the values of its placeholders."""
    one_by_one = [
        offer.workflow.name for offer in registry.offered_workflows() if offer.policy != "parallel"
    ]
    placeholders = ", ".join(["%s"] * len(one_by_one)) or "''"
    return HAS_TURN.format(one_by_one=placeholders), one_by_one


def runs_needing_host() -> QuerySet[Run]:
    """Return the runs that need a host."""
    condition, one_by_one = has_turn()
    return Run.objects.extra(where=[condition], params=one_by_one)  # noqa: S610 - no values in it


def keys_needing_host() -> tuple[list[str], list[str]]:
    """Return two lists of keys that need a host: keys without a suspect run, and keys with one.

    Both lists are ordered by the number of crashes.
    """
    rows = (
        runs_needing_host().values_list("key").annotate(crashes=Max("crashes")).order_by("crashes")
    )
    keys = [key for key, crashes in rows if crashes < SUSPECT_CRASHES]
    suspects = [key for key, crashes in rows if crashes >= SUSPECT_CRASHES]
    return keys, suspects


def with_suspect(keys: Collection[str]) -> set[str]:
    """Return those keys of which a run needs a host and is a suspect (has crashed repeatedly)."""
    suspects = runs_needing_host().filter(key__in=keys, crashes__gte=SUSPECT_CRASHES)
    return set(suspects.values_list("key", flat=True))


class SuspectsInTurn:
    """A queue of keys whose runs may kill the process; such keys are hosted one after the other.

    Each key waits until the previous one made progress, or for `SUSPECT_PATIENCE`.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._before: tuple[str, float] | None = None
        self._stopped = asyncio.Event()

    async def wait(self, key: str) -> None:
        """Wait until the key may be hosted, or until `stop` is called."""
        async with self._turn:
            if self._before is not None:
                await self._wait_for_progress(*self._before)
            self._before = key, time.monotonic()

    def stop(self) -> None:
        """End all waits for a turn, present and future."""
        self._stopped.set()

    async def _wait_for_progress(self, key: str, since: float) -> None:
        while time.monotonic() < since + SUSPECT_PATIENCE:
            with suppress(TimeoutError):
                async with asyncio.timeout(SUSPECT_LOOK):
                    await self._stopped.wait()
                return
            with suppress(DatabaseError):  # the database is unreachable: the loop checks again
                if not await reads.read(with_suspect, [key]):
                    return
