"""The events that fall due: deadlines and escalations of interactions, ends of durable sleeps."""

import asyncio
from functools import partial
from itertools import count
from uuid import UUID

import structlog
from django.utils import timezone

from sessions_app.errors import StorageUnavailable
from sessions_app.interactions import claims
from sessions_app.interactions.settlement import expiry, find_interactions, set_running, settle
from sessions_app.lifecycle import retention
from sessions_app.models import Interaction, Run
from sessions_app.notify.announce import announce
from sessions_app.storage import reads
from sessions_app.storage.periodic import repeat
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer

log = structlog.get_logger(__name__)

EVERY = 1.0
CLEAN_EVERY = 24 * 3600  # rounds
AT_ONCE = 200


def due_interactions(column: str) -> list[UUID]:
    """Return pending interactions whose time of that column has come, oldest first."""
    is_due = {f"{column}__lte": timezone.now()}
    interactions = Interaction.objects.filter(status=Interaction.Status.PENDING, **is_due)
    return list(interactions.order_by(column).values_list("id", flat=True)[:AT_ONCE])


def due_sleeps() -> list[Run]:
    """Return runs whose durable sleep is over."""
    return list(Run.objects.filter(wake_at__lte=timezone.now()).order_by("wake_at")[:AT_ONCE])


def expire(tx: Transaction, interaction: UUID) -> None:
    """Settle an interaction whose deadline has passed, if nobody was faster."""
    for pending in find_interactions(interaction=interaction, pending=True):
        settle(tx, pending, expiry(pending))


def escalate(tx: Transaction, interaction: UUID) -> None:
    """Offer an interaction to others too: nobody has answered in time."""
    for pending in find_interactions(interaction=interaction, pending=True):
        # Another process may have been faster, and the next time is to come.
        if not Interaction.objects.filter(pk=interaction, escalates_at__lte=tx.now).exists():
            continue
        claims.escalate(tx, pending, by=None, via="deadline")


def wake_run(tx: Transaction, run: Run) -> None:
    """Wake a run whose sleep is over, unless it is somebody else's turn by now."""
    if set_running(run.id, wake_at=run.wake_at):
        announce(tx, run.key)


async def settle_due() -> None:
    """Settle all that is due; each in a transaction of its own.

    What cannot be settled, such as a prompt whose class is gone, is logged and keeps nothing else.
    """
    count = AT_ONCE
    while count >= AT_ONCE:  # else that was all
        to_expire = await reads.read(due_interactions, "expires_at")
        to_escalate = await reads.read(due_interactions, "escalates_at")
        works = [partial(expire, interaction=interaction) for interaction in to_expire]
        works += [partial(escalate, interaction=interaction) for interaction in to_escalate]
        works += [partial(wake_run, run=run) for run in await reads.read(due_sleeps)]
        count = sum(await asyncio.gather(*map(_settle, works)))


async def _settle(work: Work[None]) -> bool:
    try:
        await writer.write(work)
    except StorageUnavailable:
        raise
    except Exception:
        log.exception("due.failed")
        return False
    return True


async def maintain() -> None:
    """Settle what is due and sometimes delete what is old, until cancelled.

    For the form in which one process does everything.
    """
    ticks = count()

    async def tick() -> None:
        await settle_due()
        if next(ticks) % CLEAN_EVERY == 0:
            await retention.clean()

    await repeat(tick, every=EVERY, name="maintenance")
