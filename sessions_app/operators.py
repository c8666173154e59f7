"""What an operator may do to runs, interactions and builders. Blocks: call it from a thread.

Each function is one transaction of the writer, and says whether it changed anything; who did it is
recorded by the caller.
"""

from uuid import UUID, uuid4

from sessions_app import answers, conversations
from sessions_app.answers import Answer, Settled
from sessions_app.dispatch.base import dispatcher
from sessions_app.errors import NotFound
from sessions_app.event_log import Transaction, writer
from sessions_app.models import Event, Interaction, Run
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
    """Close the builder of a key. False if it is in use, or not in this process."""
    return dispatcher().evict(key)


def _cancel(tx: Transaction, run_id: UUID) -> bool:
    run = Run.objects.get(pk=run_id)
    if run.status in Run.FINISHED:
        return False
    conversations.request_stop(tx, run)
    return True


def _resume(tx: Transaction, run_id: UUID, by: str) -> bool:
    run = Run.objects.get(pk=run_id)
    suspended = Run.objects.filter(pk=run_id, status=Run.Status.SUSPENDED)
    if not suspended.update(status=Run.Status.RUNNING, crashes=0, error=None):
        return False
    payload = {"status": Run.Status.RUNNING.value, "reason": f"resumed by {by}"}
    tx.append(run, Event.Type.RUN, payload)
    tx.after_commit.append(lambda: dispatcher().wake(run.key))
    return True


def _expire(tx: Transaction, interaction_id: UUID) -> bool:
    question = _question(interaction_id)
    if question.status != Interaction.Status.PENDING:
        return False
    answers.expire(tx, question, via=VIA)
    return True


def _question(interaction: UUID) -> Question:
    found = find_questions(interaction=interaction)
    if not found:
        raise NotFound
    return found[0]
