"""The take-over of a dead worker's jobs: new jobs replace them, in one transaction."""

from collections.abc import Collection, Iterable

from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.needing_host import with_suspect
from sessions_app.storage import sql
from sessions_app.storage.safety_times import STALLED_AFTER
from sessions_app.storage.transaction import Transaction


def is_any_left() -> bool:
    """Return whether a job may have lost its worker: then `take_over` is worth a transaction."""
    return bool(queue.fetch(queue.ANY_LEFT, (STALLED_AFTER,))[0][0])


def take_over(tx: Transaction) -> int:
    """Requeue the jobs of dead workers; return the number of jobs."""
    silent_workers = (
        worker for (worker,) in sql.fetch(queue.SILENT, (STALLED_AFTER, STALLED_AFTER))
    )
    return _replace(sql.fetch(queue.TAKE_FROM_SILENT, (queue.array(silent_workers),)))


def take_from_dead(key: str) -> None:
    """Requeue the job of the key if a dead worker has that job."""
    _replace(queue.fetch(queue.TAKE_KEY, (key, STALLED_AFTER)))


def requeue(jobs: Collection[int]) -> None:
    """Requeue jobs that a worker has acquired, but does not execute."""
    _replace(sql.fetch(queue.TAKE, (queue.array(jobs),)))


def _replace(taken_away: Iterable[sql.Row]) -> int:
    """Queue new jobs for the keys of deleted jobs; return the number of deleted jobs.

    A deleted job without a key was a periodic job: Procrastinate defers the next one on schedule.
    """
    locks = [lock for _, lock in sorted(taken_away)]
    keys = [lock for lock in locks if lock is not None]
    suspects = with_suspect(keys)
    for key in keys:
        queue.put(key, suspect=key in suspects)
    return len(locks)
