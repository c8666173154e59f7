"""Answering: the one way by which a question gets its answer.

Each answer is one transaction. One conditional UPDATE decides who is first; the host that waits for
it is woken after the commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

from sessions_app.dispatch.base import dispatcher
from sessions_app.errors import Invalid
from sessions_app.event_log import InteractionSettled, Transaction, writer
from sessions_app.interactive import load_prompt
from sessions_app.models import Interaction
from sessions_app.people import Person
from sessions_app.questions import Question, Settlement, find_questions, settle


class Outcome(StrEnum):
    """What came of an answer."""

    ACCEPTED = "accepted"  # it is the answer
    DUPLICATE = "duplicate"  # it was the answer already
    STALE = "stale"  # another answer was faster, or the run ended
    EXPIRED = "expired"  # the deadline passed first
    NOT_FOUND = "not_found"  # there is no such question for this person


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it comes in: `value`, or `values` for a checkbox.

    `interaction` names the question. Without it the first of `names` (ids that a client sent along)
    that is a question of the conversation does, else its only pending one.
    """

    answer_id: str
    value: str | None = None
    values: list[str] | None = None
    interaction: str | None = None
    names: Sequence[str] = ()
    version: int | None = None
    via: str = "websocket"


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of an answer, and the final status of the question where there is one."""

    outcome: Outcome
    interaction: UUID | None = None
    status: str = ""
    response: dict[str, Any] | None = None
    by: str | None = None
    at: datetime | None = None
    via: str = ""


async def answer(*, by: Person, conversation_id: str | None, answer: Answer) -> Settled:
    """Settle a pending question by the answer of a person who may give it.

    Raises:
        Invalid: the answer is none that the prompt takes (the prompt stays pending), or several
            prompts are pending and none is named.
    """
    return await writer.write(lambda tx: _answer(tx, by, conversation_id, answer))


def _answer(tx: Transaction, by: Person, conversation_id: str | None, given: Answer) -> Settled:
    question = _find(by.id, conversation_id, given)
    return Settled(Outcome.NOT_FOUND) if question is None else settle_by(tx, question, by, given)


def settle_by(tx: Transaction, question: Question, by: Person, given: Answer) -> Settled:
    """Settle the question with this person's answer, or say why it is too late."""
    if question.status != Interaction.Status.PENDING:
        return _too_late(question, by, given)
    if question.expires_at is not None and question.expires_at <= tx.now:
        response = _expired_response(question)
        if not _settle(tx, question, Settlement(Interaction.Status.EXPIRED, "deadline", response)):
            return _too_late(_again(question), by, given)
        return Settled(
            Outcome.EXPIRED,
            question.id,
            Interaction.Status.EXPIRED.value,
            response,
            at=tx.now,
            via="deadline",
        )
    if given.version is not None and given.version != question.version:
        return Settled(Outcome.STALE, question.id, question.status)
    response = load_prompt(question.prompt).check(given.value, given.values)
    status = Interaction.Status.ANSWERED
    if not _settle(tx, question, Settlement(status, given.via, response, by, given.answer_id)):
        return _too_late(_again(question), by, given)
    return Settled(
        Outcome.ACCEPTED, question.id, status.value, response, by.username, tx.now, given.via
    )


def expire(tx: Transaction, question: Question, *, via: str = "deadline") -> bool:
    """The deadline passed: the prompt's declared default is its outcome, else none.

    False if another was faster.
    """
    return _settle(
        tx, question, Settlement(Interaction.Status.EXPIRED, via, _expired_response(question))
    )


def _expired_response(question: Question) -> dict[str, Any] | None:
    return load_prompt(question.prompt).default_answer()


def _again(question: Question) -> Question:
    """The question as it stands after another process was faster."""
    [found] = find_questions(interaction=question.id)
    return found


def _settle(tx: Transaction, question: Question, settlement: Settlement) -> bool:
    won = settle(tx, question, settlement)
    if won:
        news = InteractionSettled(
            question.run_id,
            question.id,
            settlement.status,
            settlement.response,
            settlement.by.username if settlement.by else None,
            tx.now,
        )
        dispatcher().announce(tx, question.key, news)
    return won


def _find(user: int, conversation_id: str | None, given: Answer) -> Question | None:
    """The question that is meant, among those that this person may answer.

    One of another person is not told from one that does not exist.
    """
    mine = partial(find_questions, owner=user, conversation_id=conversation_id)
    if given.interaction is not None:
        found = mine(interaction=UUID(given.interaction)) if is_uuid(given.interaction) else []
        return found[0] if found else None
    if conversation_id is None:
        return None
    for name in filter(is_uuid, given.names):
        if found := mine(interaction=UUID(name)):
            return found[0]
        if find_questions(owner=user, interaction=UUID(name)):
            return None  # another conversation's; never taken for the one that is pending here
    pending = mine(pending=True)
    if len(pending) > 1:
        raise Invalid(
            f"{len(pending)} prompts are pending. Name the one you answer by interaction_id.",
            pending=[
                {"interaction_id": str(one.id), "text": one.prompt["text"]} for one in pending
            ],
        )
    return pending[0] if pending else None


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID; the database takes nothing else for one."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _too_late(question: Question, by: Person, given: Answer) -> Settled:
    """The same answer again is acknowledged again; any other is told what stands."""
    outcome = Outcome.STALE
    if question.status == Interaction.Status.EXPIRED:
        outcome = Outcome.EXPIRED
    elif (question.answer_id, question.by) == (given.answer_id, by.id):
        try:
            if load_prompt(question.prompt).check(given.value, given.values) == question.response:
                outcome = Outcome.DUPLICATE
        except Invalid:
            pass
    answerer = question.by and get_user_model().objects.filter(pk=question.by).first()
    return Settled(
        outcome,
        question.id,
        question.status,
        question.response,
        answerer.get_username() if answerer else None,
        question.at,
        question.via,
    )
