"""What an operator may do to runs, interactions and builders. Blocks: call it from a thread.

Each function is one transaction of the writer, and says whether it changed anything; who did it is
recorded by the caller.
"""

from uuid import UUID, uuid4

from django.db.models import F, Q

from sessions_app import answers, conversations, queues, workers
from sessions_app.answers import Answer, Settled
from sessions_app.dispatch.base import dispatcher
from sessions_app.errors import NotFound
from sessions_app.event_log import Transaction, writer
from sessions_app.models import Event, HostLease, Interaction, Run
from sessions_app.people import Person
from sessions_app.questions import Question, find_questions

VIA = "admin"


def cancel(run: UUID) -> bool:
    """Ask a run to stop. False if it has ended."""
    return writer.write_now(lambda tx: _cancel(tx, run))


def resume(run: UUID, *, by: str) -> bool:
    """Let a suspended run go on from its journal. False if it is not suspended."""
    return writer.write_now(lambda tx: _resume(tx, run, by))


def answer(interaction: UUID, *, person: Person, given: str | list[str]) -> Settled:
    """Answer in the name of the operator; a checkbox takes a list of values.

    Raises:
        Invalid: the answer is none that the prompt takes.
    """
    values = {"values": given} if isinstance(given, list) else {"value": given}
    answered = Answer(str(uuid4()), via=VIA, **values)
    return writer.write_now(
        lambda tx: answers.settle_by(tx, _question(interaction), person, answered)
    )


def expire(interaction: UUID) -> bool:
    """Settle as if the deadline had passed. False if it was settled before."""
    return writer.write_now(lambda tx: _expire(tx, interaction))


def evict(key: str) -> bool:
    """Ask for the key's builder to be closed once nothing uses it. False if there is none."""
    return writer.write_now(lambda tx: _evict(tx, key))


def take_over(key: str) -> bool:
    """Have another worker host the key. False if no host has it, or its worker is alive."""
    return writer.write_now(lambda tx: _take_over(tx, key))


def _cancel(tx: Transaction, run_id: UUID) -> bool:
    run = Run.objects.get(pk=run_id)
    if run.status in Run.FINISHED:
        return False
    conversations.request_stop(tx, run)
    return True


def _resume(tx: Transaction, run_id: UUID, by: str) -> bool:
    run = Run.objects.get(pk=run_id)
    tx.lock(run.conversation_id)
    suspended = Run.objects.filter(pk=run_id, status=Run.Status.SUSPENDED)
    if not suspended.update(status=Run.Status.RUNNING, crashes=0, error=None):
        return False
    payload = {"status": Run.Status.RUNNING.value, "reason": f"resumed by {by}"}
    tx.append(run, Event.Type.RUN, payload)
    dispatcher().announce(tx, run.key)
    return True


def _evict(tx: Transaction, key: str) -> bool:
    lives = Q(released_at=None) | ~Q(metrics={})
    lease = HostLease.objects.filter(lives, pk=key).exclude(user_id="")
    if not lease.update(evict_requested_at=tx.now):
        return False
    dispatcher().announce(tx, key)
    return True


def _take_over(tx: Transaction, key: str) -> bool:
    """What maintenance does by itself; an operator need not wait for it."""
    held = HostLease.objects.filter(pk=key, released_at=None).exclude(worker__in=workers.hosting())
    # The raised generation fences the host off, should its worker only sleep.
    if not held.update(released_at=tx.now, metrics={}, generation=F("generation") + 1):
        return False
    queues.drop_stalled(key)
    dispatcher().announce(tx, key)
    return True


def _expire(tx: Transaction, interaction_id: UUID) -> bool:
    question = _question(interaction_id)
    if question.status != Interaction.Status.PENDING:
        return False
    return answers.expire(tx, question, via=VIA)


def _question(interaction: UUID) -> Question:
    found = find_questions(interaction=interaction)
    if not found:
        raise NotFound
    return found[0]
