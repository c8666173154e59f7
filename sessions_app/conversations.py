"""What a front end may do to a conversation.

Each function is one transaction, committed by the one writer; the hosts are woken after the commit.
A crash before it leaves nothing, one after it leaves work that the next start takes up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model

from sessions_app.config import Policy
from sessions_app.dispatch.base import dispatcher
from sessions_app.errors import Busy, Invalid, NotFound
from sessions_app.event_log import InteractionSettled, Transaction, sql, writer
from sessions_app.interactive import load_prompt
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.people import Person
from sessions_app.questions import Question, Settlement, find_questions, settle
from sessions_app.workflows import registry

MAX_MESSAGE = 32_000
MAX_NAME = 200
TITLE = 80

CONVERSATION = """
    SELECT id, workflow FROM sessions_app_conversation
    WHERE owner_id = %s AND conversation_id = %s
"""
SUBMITTED = """
    SELECT r.id, e.sequence FROM sessions_app_run r
    JOIN sessions_app_event e ON e.run_id = r.id AND e.type = 'user_message'
    WHERE r.conversation_id = %s AND r.message_id = %s
"""


@dataclass(frozen=True, slots=True)
class Message:
    """A user message as it comes in. `message_id` is the client's: its repeat starts nothing."""

    message_id: str
    text: str
    schema_type: str = "chat_stream"
    workflow: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The stored message. `duplicate`: it was stored before, and nothing happened now."""

    conversation: UUID
    run: UUID
    sequence: int
    duplicate: bool


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


async def submit(*, owner: int, conversation_id: str, message: Message) -> Submitted:
    """Store a user message and the run it starts, and wake its host.

    Raises:
        Invalid: the text is empty or too long, or an id is.
        UnknownWorkflow: a new conversation names a workflow that is not offered.
        Busy: a run is active and the workflow takes one at a time.
    """
    _check_message(conversation_id, message)
    return await writer.write(lambda tx: _submit(tx, owner, conversation_id, message))


async def answer(*, by: Person, conversation_id: str | None, answer: Answer) -> Settled:
    """Settle a pending question by the answer of a person who may give it.

    Raises:
        Invalid: the answer is none that the prompt takes (the prompt stays pending), or several
            prompts are pending and none is named.
    """
    return await writer.write(lambda tx: _answer(tx, by, conversation_id, answer))


async def stop(*, owner: int, conversation_id: str, run: str | None = None) -> list[UUID]:
    """Ask the active runs of a conversation to stop, or the one named; returns those asked.

    Their last event says when they have really stopped.

    Raises:
        NotFound: no such conversation of this owner.
    """
    return await writer.write(lambda tx: _stop(tx, owner, conversation_id, run))


def _check_message(conversation_id: str, message: Message) -> None:
    if not message.text.strip():
        raise Invalid("The message is empty. Write something and send it again.")
    if len(message.text) > MAX_MESSAGE:
        raise Invalid(
            f"The message has {len(message.text):,} characters; at most {MAX_MESSAGE:,} are taken. "
            "Shorten it or send it in parts.",
            max_length=MAX_MESSAGE,
        )
    for name, value in (("conversation_id", conversation_id), ("id", message.message_id)):
        if not value or len(value) > MAX_NAME:
            raise Invalid(f"{name} must have 1 to {MAX_NAME} characters.")


def _submit(tx: Transaction, owner: int, conversation_id: str, message: Message) -> Submitted:
    known = sql.fetch(CONVERSATION, (owner, conversation_id))
    offered = registry.get(known[0][1] if known else message.workflow)
    if known:
        conversation = sql.read_uuid(known[0][0])
        for run, sequence in sql.fetch(SUBMITTED, (conversation, message.message_id)):
            return Submitted(conversation, sql.read_uuid(run), sequence, duplicate=True)
        _make_way(tx, conversation, offered.policy)
    else:
        conversation = uuid4()
        sql.insert(
            Conversation,
            id=conversation,
            owner_id=owner,
            conversation_id=conversation_id,
            workflow=offered.workflow.name,
            title=" ".join(message.text.split())[:TITLE],
            last_sequence=0,
            created_at=tx.now,
            updated_at=tx.now,
        )
    key = offered.key(conversation=conversation, owner=owner)
    return _store(tx, conversation, key, message)


def _make_way(tx: Transaction, conversation: UUID, policy: Policy) -> None:
    """What a further message does to the runs that are active."""
    if policy in ("enqueue", "parallel"):
        return
    active = Run.objects.filter(conversation=conversation, status__in=Run.UNFINISHED)
    if policy == "reject" and active.exists():
        raise Busy
    for run in active:
        request_stop(tx, run)


def _store(tx: Transaction, conversation: UUID, key: str, message: Message) -> Submitted:
    run = Run(
        conversation_id=conversation,
        message_id=message.message_id,
        schema_type=message.schema_type,
    )
    sql.insert(
        Run,
        id=run.id,
        conversation_id=conversation,
        key=key,
        message_id=message.message_id,
        text=message.text,
        schema_type=message.schema_type,
        metadata=message.metadata or {},
        status=Run.Status.QUEUED.value,
        generation=0,
        crashes=0,
        created_at=tx.now,
    )
    payload = {
        "message_id": message.message_id,
        "text": message.text,
        "schema_type": message.schema_type,
    }
    sequence = tx.append(run, Event.Type.USER_MESSAGE.value, payload)
    tx.after_commit.append(lambda: dispatcher().wake(key))
    return Submitted(conversation, run.id, sequence, duplicate=False)


def request_stop(tx: Transaction, run: Run) -> None:
    """Ask the run's host to stop it, once."""
    if run.stop_requested_at is not None:
        return
    Run.objects.filter(pk=run.pk).update(stop_requested_at=tx.now)
    tx.append(run, Event.Type.RUN, {"status": run.status, "reason": "stopping"})
    tx.after_commit.append(lambda: dispatcher().wake(run.key))


def _stop(tx: Transaction, owner: int, conversation_id: str, run_id: str | None) -> list[UUID]:
    mine = Run.objects.filter(
        conversation__owner_id=owner, conversation__conversation_id=conversation_id
    )
    if not mine.exists():
        raise NotFound("There is no such conversation.")
    stoppable = list(mine.filter(status__in=[*Run.UNFINISHED, Run.Status.SUSPENDED]))
    if run_id is not None:
        stoppable = [run for run in stoppable if str(run.id) == run_id]
    for run in stoppable:
        request_stop(tx, run)
    return [run.id for run in stoppable]


def _answer(tx: Transaction, by: Person, conversation_id: str | None, given: Answer) -> Settled:
    question = _find(by.id, conversation_id, given)
    return Settled(Outcome.NOT_FOUND) if question is None else settle_by(tx, question, by, given)


def settle_by(tx: Transaction, question: Question, by: Person, given: Answer) -> Settled:
    """Settle the question with this person's answer, or say why it is too late."""
    if question.status != Interaction.Status.PENDING:
        return _too_late(question, by, given)
    if question.expires_at is not None and question.expires_at <= tx.now:
        response = expire(tx, question)
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
    _settle(tx, question, Settlement(status, given.via, response, by, given.answer_id))
    return Settled(
        Outcome.ACCEPTED, question.id, status.value, response, by.username, tx.now, given.via
    )


def expire(tx: Transaction, question: Question, *, via: str = "deadline") -> dict[str, Any] | None:
    """The deadline passed: the prompt's declared default is its outcome, else none."""
    response = load_prompt(question.prompt).default_answer()
    _settle(tx, question, Settlement(Interaction.Status.EXPIRED, via, response))
    return response


def _settle(tx: Transaction, question: Question, settlement: Settlement) -> None:
    if settle(tx, question, settlement):
        news = InteractionSettled(
            question.run_id,
            question.id,
            settlement.status,
            settlement.response,
            settlement.by.username if settlement.by else None,
            tx.now,
        )
        tx.after_commit.append(lambda: dispatcher().wake(question.key, news))


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
