"""What falls due: deadlines of interactions, ends of durable sleeps."""

import asyncio
from functools import partial
from itertools import count
from uuid import UUID

import structlog
from django.utils import timezone

from sessions_app import answers, database, retention
from sessions_app.dispatch.base import dispatcher
from sessions_app.errors import StorageUnavailable
from sessions_app.event_log import Transaction, writer
from sessions_app.models import Interaction, Run
from sessions_app.questions import find_questions, to_the_system

log = structlog.get_logger(__name__)

EVERY = 1.0
CLEAN_EVERY = 24 * 3600  # rounds
AT_ONCE = 200


def due_interactions() -> list[UUID]:
    """Pending interactions whose deadline has passed, oldest first."""
    due = Interaction.objects.filter(
        status=Interaction.Status.PENDING, expires_at__lte=timezone.now()
    )
    return list(due.order_by("expires_at").values_list("id", flat=True)[:AT_ONCE])


def due_sleeps() -> list[Run]:
    """Runs whose durable sleep is over."""
    return list(Run.objects.filter(wake_at__lte=timezone.now()).order_by("wake_at")[:AT_ONCE])


def expire(tx: Transaction, interaction: UUID) -> None:
    """The deadline has passed: settle the interaction, if nobody was faster."""
    for question in find_questions(interaction=interaction, pending=True):
        answers.expire(tx, question)


def wake_run(tx: Transaction, run: Run) -> None:
    """The sleep is over: it is the system's turn, unless it is another's by now."""
    if to_the_system(run.id, wake_at=run.wake_at):
        dispatcher().announce(tx, run.key)


async def settle_due() -> int:
    """Settle all that is due; each in a transaction of its own. Returns how many there were."""
    works = [
        partial(expire, interaction=interaction)
        for interaction in await database.read(due_interactions)
    ]
    works += [partial(wake_run, run=run) for run in await database.read(due_sleeps)]
    await asyncio.gather(*(writer.write(work) for work in works))
    return len(works)


async def maintain() -> None:
    """Where one process does everything: settle what is due, and now and then delete what is old;
    until cancelled.
    """
    for tick in count():
        try:
            while await settle_due() >= AT_ONCE:
                pass
            if tick % CLEAN_EVERY == 0:
                await retention.clean()
        except StorageUnavailable:
            log.warning("maintenance.storage_unavailable")
        except Exception:
            log.exception("maintenance.failed")
        await asyncio.sleep(EVERY)
