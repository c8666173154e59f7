"""The repairs of runs, interactions and builders by an operator. Blocking: call them from a thread.

Each function is one transaction of the writer, and says whether it changed anything; who did it is
recorded by the caller.
"""

from collections.abc import Callable
from uuid import UUID, uuid4

from django.db.models import F, Q

from sessions_app.conversations import messages
from sessions_app.conversations.forks import WantedFork, fork_run
from sessions_app.conversations.resumption import resume_run
from sessions_app.dispatch import processes
from sessions_app.dispatch.take_over import take_from_dead
from sessions_app.errors import NotFound
from sessions_app.interactions import answers, audit, claims
from sessions_app.interactions.answers import AnswerResult, IncomingAnswer
from sessions_app.interactions.settlement import (
    InteractionRecord,
    expiry,
    find_interactions,
    settle,
)
from sessions_app.models import HostLease, PendingSignal
from sessions_app.models.people import Person
from sessions_app.notify.announce import announce
from sessions_app.prompts import Answer
from sessions_app.prompts.assignment import Assignee
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

VIA = "admin"
TO_BE_SENT = Q(due_at__isnull=False)
SENT = Q(outcome=PendingSignal.Outcome.SENT)
GIVEN_UP = Q(outcome=PendingSignal.Outcome.GIVEN_UP)


def cancel(run: UUID) -> bool:
    """Ask a run to stop. False if it has ended."""
    return writer.write_now(lambda tx: messages.stop_run(tx, run))


def resume(run: UUID, *, by: str) -> bool:
    """Let a run that failed or is suspended go on from its journal. False if it is neither."""
    return writer.write_now(lambda tx: resume_run(tx, run, by))


def fork(request: WantedFork) -> UUID:
    """Begin a new run from a position of another; see `runs.fork`.

    Raises:
        Invalid: the run has not come to that position.
        SessionsError: it cannot be begun now.
    """
    return writer.write_now(lambda tx: fork_run(tx, request))


def answer(interaction: UUID, *, person: Person, value: Answer) -> AnswerResult:
    """Answer in the name of the operator.

    Raises:
        Invalid: the answer is none that the prompt takes.
    """
    incoming_answer = IncomingAnswer(str(uuid4()), VIA, value)
    checked_answer = answers.check_in_name(interaction, incoming_answer)
    return writer.write_now(
        audit.from_here(
            lambda tx: answers.answer_in_name(tx, person, checked_answer, over_claims=True)
        )
    )


def expire(interaction: UUID, *, by: Person) -> bool:
    """Settle an interaction as if its deadline had passed. False if it was settled before."""
    return _change(interaction, lambda tx, pending: settle(tx, pending, expiry(pending, VIA, by)))


def reassign(interaction: UUID, *, to: list[Assignee], note: str = "", by: Person) -> bool:
    """Let other people answer a prompt, and nobody else. False if it was settled before.

    Raises:
        Invalid: one of them does not exist, or they are too few for its rules.
    """
    return _change(
        interaction,
        lambda tx, prompt: claims.reassign(tx, prompt, to, note=note, by=by, via=VIA),
    )


def escalate(interaction: UUID, *, by: Person) -> bool:
    """Escalate a prompt now. False if it was settled before, or escalates no more."""
    return _change(interaction, lambda tx, prompt: claims.escalate(tx, prompt, by=by, via=VIA))


def evict(key: str) -> bool:
    """Ask for the key's builder to be closed once nothing uses it. False if there is none."""
    return writer.write_now(lambda tx: _evict(tx, key))


def take_over(key: str) -> bool:
    """Let another worker host the key. False if no host has it, or its worker is alive."""
    return writer.write_now(lambda tx: _take_over(tx, key))


def _evict(tx: Transaction, key: str) -> bool:
    lives = Q(released_at=None) | ~Q(metrics={})
    lease = HostLease.objects.filter(lives, pk=key).exclude(user_id="")
    if not lease.update(evict_requested_at=tx.now):
        return False
    announce(tx, key)
    return True


def _take_over(tx: Transaction, key: str) -> bool:
    """Take over a dead worker's host at once; workers do the same by themselves within 10 s."""
    leases = HostLease.objects.filter(pk=key, released_at=None).exclude(
        worker__in=processes.hosting_processes()
    )
    # The raised generation fences the host off, should its worker only sleep.
    if not leases.update(released_at=tx.now, metrics={}, generation=F("generation") + 1):
        return False
    take_from_dead(key)
    announce(tx, key)
    return True


def _change(interaction: UUID, change: Callable[[Transaction, InteractionRecord], bool]) -> bool:
    def work(tx: Transaction) -> bool:
        for record in find_interactions(interaction=interaction):
            return change(tx, record)
        raise NotFound

    return writer.write_now(audit.from_here(work))


def send_again(notice: int) -> bool:
    """Have a mail or webhook sent now that waits or was given up. False if it has gone out.

    It has all its attempts ahead, and goes out in quiet hours, too.
    """

    def change(tx: Transaction) -> bool:
        rows = PendingSignal.objects.filter(TO_BE_SENT | GIVEN_UP, pk=notice)
        fresh = {"attempts": 0, "outcome": "", "settled_at": None, "error": ""}
        about = {**(rows.values_list("about", flat=True).first() or {}), "at_once": True}
        return bool(rows.update(due_at=tx.now, about=about, **fresh))

    return writer.write_now(change)


def give_up(notice: int) -> bool:
    """Have a mail or webhook that waits not be sent. False if it does not wait."""

    def change(tx: Transaction) -> bool:
        rows = PendingSignal.objects.filter(TO_BE_SENT, pk=notice)
        outcome = PendingSignal.Outcome.GIVEN_UP
        return bool(rows.update(due_at=None, settled_at=tx.now, outcome=outcome))

    return writer.write_now(change)
