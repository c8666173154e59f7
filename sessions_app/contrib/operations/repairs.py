"""The repairs of runs, prompts, hosts and notices by operators. Blocking: call them from a thread.

Each function is one transaction of the writer, and returns whether anything changed; the caller
records the operator.
"""

from collections.abc import Callable
from inspect import unwrap
from typing import ParamSpec, TypeVar
from uuid import UUID, uuid4

from django.db.models import F, Q

from sessions_app.hosting.dispatch.take_over import take_from_dead
from sessions_app.interactions.answers import AnswerResult, IncomingAnswer, check_in_name
from sessions_app.lifecycle import processes
from sessions_app.models import HostLease, PendingSignal
from sessions_app.models.people import Person
from sessions_app.notify.announce import announce
from sessions_app.prompts import Answer
from sessions_app.runs import requests
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer

VIA = "admin"
P = ParamSpec("P")
T = TypeVar("T")
TO_BE_SENT = Q(due_at__isnull=False)
SENT = Q(outcome=PendingSignal.Outcome.SENT)
GIVEN_UP = Q(outcome=PendingSignal.Outcome.GIVEN_UP)


def carry_out(request: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Carry out one of `runs.requests` in a separate transaction of the writer.

    If the database fails, a SessionsError is raised, so that other rows can still be repaired.
    """
    build: Callable[P, Work[T]] = unwrap(request)
    return writer.write_now(build(*args, **kwargs))


def answer(interaction: UUID, *, person: Person, value: Answer) -> AnswerResult:
    """Answer in the name of the operator.

    Raises:
        Invalid: the prompt does not take the answer.
    """
    incoming_answer = IncomingAnswer(str(uuid4()), VIA, value)
    checked_answer = check_in_name(interaction, incoming_answer)
    return writer.write_now(requests.give(checked_answer, person, over_claims=True))


def evict(key: str) -> bool:
    """Request that a host's builder is closed once unused; return False if there is none."""
    return writer.write_now(lambda tx: _evict(tx, key))


def take_over(key: str) -> bool:
    """Let another worker host the key; return False if the key has no host, or a living one."""
    return writer.write_now(lambda tx: _take_over(tx, key))


def _evict(tx: Transaction, key: str) -> bool:
    lives = Q(released_at=None) | ~Q(metrics={})
    lease = HostLease.objects.filter(lives, pk=key).exclude(user_id="")
    if not lease.update(evict_requested_at=tx.now):
        return False
    announce(tx, key)
    return True


def _take_over(tx: Transaction, key: str) -> bool:
    """Take over a dead worker's host now, which workers would do by themselves within 10 s."""
    leases = HostLease.objects.filter(pk=key, released_at=None).exclude(
        worker__in=processes.hosting_processes()
    )
    # Raise the generation, so that later writes of the old host fail if its worker was only frozen.
    if not leases.update(released_at=tx.now, metrics={}, generation=F("generation") + 1):
        return False
    take_from_dead(key)
    announce(tx, key)
    return True


def send_again(notice: int) -> bool:
    """Make a waiting or given-up mail or webhook due now; return False if it has been sent.

    The attempts are counted from zero, and quiet hours do not apply.
    """

    def change(tx: Transaction) -> bool:
        rows = PendingSignal.objects.filter(TO_BE_SENT | GIVEN_UP, pk=notice)
        fresh = {"attempts": 0, "outcome": "", "settled_at": None, "error": ""}
        about = {**(rows.values_list("about", flat=True).first() or {}), "at_once": True}
        return bool(rows.update(due_at=tx.now, about=about, **fresh))

    return writer.write_now(change)


def give_up(notice: int) -> bool:
    """Stop the delivery of a waiting mail or webhook; return False if it does not wait."""

    def change(tx: Transaction) -> bool:
        rows = PendingSignal.objects.filter(TO_BE_SENT, pk=notice)
        outcome = PendingSignal.Outcome.GIVEN_UP
        return bool(rows.update(due_at=None, settled_at=tx.now, outcome=outcome))

    return writer.write_now(change)
