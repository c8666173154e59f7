"""The stops of runs with their child runs, in pieces that let other writes in.

A transaction asks a few runs to stop, and a few of their children. The maintenance asks the others
below within a second (`find_left`), also after a crash.
"""

from collections.abc import Container, Iterable
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db.models import F, IntegerField, Q, QuerySet
from django.db.models.functions import Cast

from sessions_app.errors import NotFound
from sessions_app.models import Conversation, Event, Run
from sessions_app.models.people import UserId
from sessions_app.notify.announce import announce
from sessions_app.storage import sql
from sessions_app.storage.branches import ancestors
from sessions_app.storage.records import RunRecord
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

# Maximum number of runs that one transaction asks to stop.
AT_ONCE = 20

ACTIVE = """
    SELECT id, parent_id, EXISTS (
        SELECT 1 FROM sessions_app_interaction i WHERE i.run_id = r.id AND i.status = 'pending'
    )
    FROM sessions_app_run r
    WHERE conversation_id = %s AND status IN ('queued', 'running', 'waiting')
"""


class ActiveRun(NamedTuple):
    """An active run of a conversation; `asks`: it waits for a person."""

    id: UUID
    parent: UUID | None
    asks: bool


async def stop(*, owner: UserId, conversation_id: str, run: str | None = None) -> list[UUID]:
    """Ask the active runs of a conversation, or only the run `run`, to stop; return their ids.

    The last event of a run confirms its stop. Each transaction asks `AT_ONCE` of the runs; after a
    crash in between, the caller has no confirmation, and repeats the stop.

    Raises:
        NotFound: this owner has no such conversation, or there is no such run in it.
    """
    work = partial(_stop, owner=owner, conversation_id=conversation_id, run_id=run)
    conversation, runs, is_left = await writer.write(work)
    if is_left:
        await stop_rest(conversation)
    return runs


async def stop_rest(conversation: UUID) -> None:
    """Ask the runs of a conversation's messages to stop that have not been asked yet, in parts."""
    while await writer.write(partial(stop_some, conversation=conversation)):
        pass


def stop_some(tx: Transaction, conversation: UUID) -> bool:
    """Ask the next `AT_ONCE` runs of a conversation's messages to stop; return whether more are
    left.
    """
    runs = Run.objects.filter(
        conversation=conversation, parent=None, stop_requested_at=None, status__in=Run.STOPPABLE
    )
    left = list(runs.order_by("sequence")[: AT_ONCE + 1])
    asked = _ask(tx, left[:AT_ONCE])
    stop_children(tx, *(run.id for run in asked))
    return len(left) > AT_ONCE


def stop_run(tx: Transaction, run_id: UUID) -> bool:
    """Ask a run of any owner to stop; return False if the run has ended.

    Raises:
        NotFound: there is no such run.
    """
    run = find_run(run_id)
    if run.status in Run.FINISHED:
        return False
    request_stop(tx, run)
    return True


def request_stop(tx: Transaction, run: Run) -> None:
    """Ask a run's host to stop the run and its children; repetitions do nothing."""
    if _ask(tx, [run]):
        stop_children(tx, run.id)


def stop_children(tx: Transaction, *parents: UUID) -> list[Run]:
    """Ask the first `AT_ONCE` children of stopped or ended runs to stop; return these."""
    children = Run.objects.filter(
        parent__in=parents, stop_requested_at=None, status__in=Run.STOPPABLE
    ).order_by("sequence")
    return _ask(tx, children[:AT_ONCE])


def left() -> tuple[QuerySet[Run], QuerySet[Run]]:
    """Return the runs that a stop has not reached yet, with their parents asked or ended.

    These are children of stopped or ended runs, and runs of deleted conversations. A child that the
    clean-up code of a stopped run has begun is none of them before that run ends.
    """
    runs = Run.objects.filter(stop_requested_at=None, status__in=Run.STOPPABLE)
    stop_position = Cast(F("parent__stop_point__position"), IntegerField())
    is_for_clean_up = Q(parent__stop_point__isnull=False, parent_position__gt=F("stop_position"))
    stopped = Q(parent__stop_requested_at__isnull=False) & ~is_for_clean_up
    children = runs.filter(parent__isnull=False).annotate(stop_position=stop_position)
    of_deleted = runs.filter(conversation__deleted_at__isnull=False)
    return children.filter(stopped | Q(parent__status__in=Run.FINISHED)), of_deleted


def find_left(limit: int) -> list[Run]:
    """Return runs of both kinds of `left`. Blocks."""
    children, of_deleted = left()
    rows = children[:limit]
    return [*rows, *of_deleted[: limit - len(rows)]]


def find_run(run_id: UUID) -> Run:
    """Return the run of that id, of any owner.

    Raises:
        NotFound: there is no such run.
    """
    run = Run.objects.select_related("conversation").filter(pk=run_id).first()
    if run is None:
        raise NotFound("There is no such run.")
    return run


def read_active(conversation: UUID) -> list[ActiveRun]:
    """Return the active runs of a conversation. Blocks."""
    return [
        ActiveRun(sql.read_uuid(run), parent and sql.read_uuid(parent), bool(asks))
        for run, parent, asks in sql.fetch(ACTIVE, (conversation,))
    ]


def interrupt(
    tx: Transaction, by: RunRecord, *, only_asking: bool, spared: Container[UUID] = ()
) -> None:
    """Stop the other active runs of the conversation, in favour of the new run `by`.

    `only_asking`: only runs that wait for a person, themselves or by their children.
    """
    active = read_active(by.conversation_id)
    parents = {run.id: run.parent for run in active}
    roots = {_root(run.id, parents) for run in active if run.asks or not only_asking} - {by.id}
    for run in Run.objects.filter(pk__in=roots).order_by("sequence"):
        if run.id not in spared:
            request_stop(tx, run)


def _root(run: UUID, parents: dict[UUID, UUID | None]) -> UUID:
    """Return the run that a message began, above an active run; `parents` are of active runs."""
    while (parent := parents.get(run)) is not None:
        run = parent
    return run if run in parents else ancestors(run)[-1]


def _stop(
    tx: Transaction, owner: UserId, conversation_id: str, run_id: str | None
) -> tuple[UUID, list[UUID], bool]:
    """Return the conversation, the active runs to stop, and whether some are left to ask."""
    ids = Conversation.objects.of(owner, conversation_id).values_list("pk", flat=True)
    conversation = ids.first()
    if conversation is None:
        raise NotFound("There is no such conversation.")
    runs = Run.objects.filter(conversation=conversation)
    active = runs.filter(status__in=Run.STOPPABLE)
    if run_id is None:
        stopped = list(active.order_by("sequence").values_list("pk", flat=True))
        return conversation, stopped, stop_some(tx, conversation)
    run = runs.filter(pk=run_id).first() if sql.is_uuid(run_id) else None
    if run is None:
        raise NotFound("There is no such run in this conversation.")
    if run.status not in Run.STOPPABLE:
        return conversation, [], False
    request_stop(tx, run)
    return conversation, [run.id], False


def _ask(tx: Transaction, runs: Iterable[Run]) -> list[Run]:
    """Ask the runs' hosts to stop them; return the runs that were not asked before."""
    asked = []
    for run in runs:
        tx.lock(run.conversation_id)
        stoppable = Run.objects.filter(pk=run.pk, status__in=Run.STOPPABLE, stop_requested_at=None)
        if stoppable.update(stop_requested_at=tx.now):
            tx.append(run, Event.Type.RUN, {"status": run.status, "reason": "stopping"})
            asked.append(run)
    for key in dict.fromkeys(run.key for run in asked):
        announce(tx, key)
    return asked
