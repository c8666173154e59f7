"""The take-over of a dead worker's jobs: each is replaced by a new one, in one transaction."""

from collections.abc import Collection, Iterable

from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.needing_host import with_suspect
from sessions_app.storage import sql
from sessions_app.storage.safety_times import STALLED_AFTER
from sessions_app.storage.transaction import Transaction


def take_over(tx: Transaction) -> int:
    """Queue anew what dead workers have in hand; returns how many jobs there were."""
    silent_workers = (
        worker for (worker,) in sql.fetch(queue.SILENT, (STALLED_AFTER, STALLED_AFTER))
    )
    return _replace(sql.fetch(queue.TAKE_FROM_SILENT, (_array(silent_workers),)))


def take_from_dead(key: str) -> None:
    """Queue the key again, in place of a job that a dead worker has of it."""
    _replace(queue.fetch(queue.TAKE_KEY, (key, STALLED_AFTER)))


def give_back(jobs: Collection[int]) -> None:
    """Queue again the jobs that were taken and are not served."""
    _replace(sql.fetch(queue.TAKE, (_array(jobs),)))


def _replace(taken_away: Iterable[sql.Row]) -> int:
    """Queue new jobs of these keys; what has no key comes again by itself."""
    locks = [lock for _, lock in sorted(taken_away)]
    keys = [lock for lock in locks if lock is not None]
    suspects = with_suspect(keys)
    for key in keys:
        queue.put(key, suspect=key in suspects)
    return len(locks)


def _array(ids: Iterable[int]) -> str:
    return f"{{{', '.join(map(str, ids))}}}"  # as text: a list would go as JSON
