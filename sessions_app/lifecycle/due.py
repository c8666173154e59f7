"""The events that fall due: deadlines and escalations of interactions, ends of sleeps, stops."""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from time import monotonic
from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet

from sessions_app.conversations import stops
from sessions_app.errors import StorageUnavailable
from sessions_app.interactions import claims
from sessions_app.interactions.escalation import escalate_due
from sessions_app.interactions.settlement import expiry, find_interactions, set_running, settle
from sessions_app.lifecycle import processes, retention
from sessions_app.logs import Log
from sessions_app.models import Interaction, Run
from sessions_app.notify.announce import announce
from sessions_app.storage import clock, reads
from sessions_app.storage.periodic import repeat
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

SETTLE_EVERY = 1.0
CLEAN_EVERY = 24 * 3600.0
CLAIMS_EVERY = 600
EVENTS_AT_ONCE = 200
POSTPONED_FOR = 60.0

T = TypeVar("T", bound=Hashable)

# Events that this process failed to settle, with the monotonic time until which each is skipped, so
# that failing attempts do not log an exception every second.
_postponed: dict[Hashable, float] = {}


def _pending(due_column: str) -> QuerySet[Interaction]:
    is_due = {f"{due_column}__lte": clock.now()}
    return Interaction.objects.filter(status=Interaction.Status.PENDING, **is_due)


def _asleep() -> QuerySet[Run]:
    return Run.objects.filter(wake_at__lte=clock.now())


def is_due() -> bool:
    """Return whether there is any due event, by one statement."""
    interactions = [_pending(column).values("pk") for column in ("expires_at", "escalates_at")]
    runs = [runs.values("pk") for runs in (_asleep(), *stops.left())]
    return interactions[0].union(interactions[1], *runs, all=True).exists()


def due_interactions(column: str, limit: int) -> list[UUID]:
    """Return pending interactions for which the time in `column` has passed, oldest first."""
    return list(_pending(column).order_by(column).values_list("id", flat=True)[:limit])


def due_sleeps(limit: int) -> list[Run]:
    """Return runs whose durable sleep has ended, oldest end first."""
    return list(_asleep().order_by("wake_at")[:limit])


def expire(tx: Transaction, interaction: UUID) -> None:
    """Settle an interaction after its deadline, unless an answer has settled it before."""
    for pending in find_interactions(interaction=interaction, pending=True):
        settle(tx, pending, expiry(pending))


def wake_run(tx: Transaction, run: Run) -> None:
    """Wake a run after its sleep, unless the run no longer waits for this sleep."""
    if set_running(run.id, wake_at=run.wake_at):
        announce(tx, run.key)


async def settle_due() -> None:
    """Settle all due events, each in its own transaction.

    An event that cannot be settled, such as the deadline of a prompt whose class is missing, is
    logged, and skipped for a while.
    """
    for one in [one for one, until in _postponed.items() if until <= monotonic()]:
        del _postponed[one]
    if not await reads.read(is_due):
        return
    await _settle_all(partial(due_interactions, "expires_at"), expire)
    await _settle_all(partial(due_interactions, "escalates_at"), escalate_due)
    await _settle_all(due_sleeps, wake_run)
    while await _settle_some(stops.find_left, stops.request_stop, stops.AT_ONCE):
        pass  # each stop may lead to the next ones, of the children


async def release_claims() -> None:
    """Release the claims of people who may no longer answer, for example after leaving a group."""
    await _settle_all(claims.lost_claims, claims.release_lost)


async def _settle_all(
    read_due: Callable[[int], list[T]], settle_one: Callable[[Transaction, T], None]
) -> None:
    """Settle all due events of a kind, oldest first."""
    while await _settle_some(read_due, settle_one, EVENTS_AT_ONCE) >= EVENTS_AT_ONCE:
        pass


async def _settle_some(
    read_due: Callable[[int], list[T]], settle_one: Callable[[Transaction, T], None], limit: int
) -> int:
    """Settle up to `limit` due events of a kind; return their number."""
    rows = await reads.read(read_due, limit + len(_postponed))
    due = [one for one in rows if one not in _postponed]
    await asyncio.gather(*(_settle(settle_one, one) for one in due))
    return len(due)


async def _settle(settle_one: Callable[[Transaction, T], None], one: T) -> None:
    try:
        await writer.write(lambda tx: settle_one(tx, one))
    except StorageUnavailable:
        raise
    except Exception:
        log.exception("due.failed")
        _postponed[one] = monotonic() + POSTPONED_FOR


async def maintain() -> None:
    """Do all periodic work until cancelled, in an installation with a single process.

    This is: settle due events, delete old data daily, release claims, and forget dead processes.
    """
    forget_unseen = partial(writer.write, processes.forget_unseen)
    await asyncio.gather(
        repeat(settle_due, every=SETTLE_EVERY, name="maintenance"),
        repeat(retention.clean, every=CLEAN_EVERY, name="cleaning"),
        repeat(release_claims, every=CLAIMS_EVERY, name="claims"),
        repeat(forget_unseen, every=processes.UNSEEN_EVERY, name="unseen processes"),
    )
