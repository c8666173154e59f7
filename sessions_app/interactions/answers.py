"""The answers of people to interactions.

A prompt reads an answer before the transaction, which nobody else waits for. The transaction checks
who may answer, and that the prompt is still the same; `settle` decides who is first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import audit, claims, handing_on, votes
from sessions_app.interactions.answerers import is_active, may_answer
from sessions_app.interactions.settlement import (
    InteractionRecord,
    Settlement,
    expiry,
    find_interactions,
    settle,
)
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import Person, users
from sessions_app.prompts import Answer, load_prompt
from sessions_app.prompts.assignment import assignment_of
from sessions_app.storage import attachments, reads, sql
from sessions_app.storage.storable import check_storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer


class Outcome(StrEnum):
    """The outcome of an answer."""

    ACCEPTED = "accepted"  # it is the answer
    DUPLICATE = "duplicate"  # it was the answer already
    STALE = "stale"  # another answer was faster, or the run ended
    EXPIRED = "expired"  # the deadline passed first
    VOTED = "voted"  # it counts; the prompt needs the same answer from more people
    CLAIMED = "claimed"  # somebody else has claimed the prompt
    NOT_FOUND = "not_found"  # there is no such interaction for this person


T = TypeVar("T")

# Prompts read answers in these threads, apart from all other reads.
_executor = reads.make_threads(4, "answer")
_shares = reads.Shares(1)

TAKEN = (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.VOTED)


@dataclass(frozen=True, slots=True)
class IncomingAnswer:
    """An answer as it comes in; `via` says by what door.

    `interaction` names the interaction. Without it the first of `names` (ids that a client sent
    along) that is one of the conversation does, else its only pending one. `input_type` is the type
    of prompt that it says it answers, if it says one.
    """

    answer_id: str
    via: str
    answer: Answer
    interaction: str | None = None
    names: Sequence[str] = ()
    version: int | None = None
    input_type: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer that its prompt has read, outside of any transaction.

    `prompt_version` is that of the prompt then. Of `response`, as it is stored, and `refusal` one
    is None.
    """

    answer: IncomingAnswer
    interaction: UUID
    prompt_version: int
    response: JsonObject | None
    refusal: Invalid | None


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """The outcome of an answer, and the final status of the interaction if there is one."""

    outcome: Outcome
    interaction: UUID | None = None
    status: str = ""
    response: JsonObject | None = None
    by: str | None = None
    at: datetime | None = None
    via: str = ""


async def answer(
    *, by: Person, conversation_id: str | None, answer: IncomingAnswer
) -> AnswerResult:
    """Settle a pending interaction by the answer of a person who may give it.

    Raises:
        Invalid: the answer is none that the prompt takes (the prompt stays pending), or several
            prompts are pending and none is named.
    """
    checked_answer = await _in_turn(by, partial(_check, by, conversation_id, answer))
    if checked_answer is None:
        return AnswerResult(Outcome.NOT_FOUND)
    return await writer.write(audit.from_here(lambda tx: _answer(tx, by, checked_answer)))


async def answer_together(
    *, by: Person, conversation_id: str | None, answers: Sequence[IncomingAnswer]
) -> AnswerResult:
    """Settle several interactions, or none: then the result is that of one that came too late.

    Raises:
        Invalid: one is none that its prompt takes; `errors` says which, by interaction, and of a
            form by that, a dash, and the field.
    """
    checked_answers = [
        await _in_turn(by, partial(_check, by, conversation_id, answer)) for answer in answers
    ]
    return await writer.write(audit.from_here(lambda tx: _answer_together(tx, by, checked_answers)))


async def _in_turn(by: Person, check: Callable[[], T]) -> T:
    """Read an answer in a thread; one of a person at a time, as it may take a while."""
    return await _shares.run(by.id, lambda: reads.begin_in(_executor, check))


def _check(by: Person, conversation_id: str | None, answer: IncomingAnswer) -> CheckedAnswer | None:
    interaction = _find(by, conversation_id, answer)
    return interaction and _read(interaction, answer)


def check_in_name(interaction: UUID, answer: IncomingAnswer) -> CheckedAnswer:
    """Have a prompt read an answer that is given in the name of a user. Blocks.

    Raises:
        NotFound: there is no such interaction.
    """
    for record in find_interactions(interaction=interaction, locked=False):
        return _read(record, answer)
    raise NotFound("There is no such interaction.")


async def acheck_in_name(interaction: UUID, answer: IncomingAnswer) -> CheckedAnswer:
    """Have a prompt read an answer, in a thread: see `check_in_name`."""
    return await reads.begin_in(_executor, partial(check_in_name, interaction, answer))


def _read(interaction: InteractionRecord, answer: IncomingAnswer) -> CheckedAnswer:
    """Have the prompt read the answer: code of authors and schemas of others take their time here,
    and nobody else waits.
    """
    check_storable(_("The answer"), answer.answer_id)
    response = refusal = None
    try:
        prompt = load_prompt(interaction.prompt)
        _check_type(prompt.input_type, answer.input_type)
        response = prompt.check(answer.answer)
    except Invalid as error:
        refusal = error
    return CheckedAnswer(answer, interaction.id, interaction.version, response, refusal)


def _check_type(asked: str, answered: str | None) -> None:
    if answered not in (None, asked):
        reason = _("The question is of the type “{asked}”, not “{answered}”.")
        raise Invalid(format_lazy(reason, asked=asked, answered=answered))


def _answer_together(
    tx: Transaction, by: Person, answers: Sequence[CheckedAnswer | None]
) -> AnswerResult:
    """Refuse all answers before the first settles: what is refused has written nothing."""
    errors: dict[str, list[Any]] = {}
    pending_answers: list[tuple[InteractionRecord, CheckedAnswer]] = []
    result = AnswerResult(Outcome.NOT_FOUND)
    for answer in answers:
        if answer is None or (interaction := _find_checked(by, answer)) is None:
            return AnswerResult(Outcome.NOT_FOUND)
        if not _waits(tx, interaction):
            result = _take(tx, interaction, by, answer)
            if result.outcome not in TAKEN:
                return result
            continue
        pending_answers.append((interaction, answer))
        try:
            if (refusal := _refusal_reason(interaction, by, answer)) is not None:
                return refusal
            if answer.refusal is not None:
                raise answer.refusal
        except Invalid as error:
            fields = error.details.get("errors", {"": [error.args[0]]})
            errors |= {f"{interaction.id}-{name}".rstrip("-"): fields[name] for name in fields}
    if errors:
        raise Invalid(_("Check the marked fields."), errors=errors)
    for interaction, answer in pending_answers:
        result = _take(tx, interaction, by, answer)
    return result


def _waits(tx: Transaction, interaction: InteractionRecord) -> bool:
    is_over = interaction.expires_at is not None and interaction.expires_at <= tx.now
    return interaction.status == Interaction.Status.PENDING and not is_over


def _answer(tx: Transaction, by: Person, answer: CheckedAnswer) -> AnswerResult:
    if (interaction := _find_checked(by, answer)) is None:
        return AnswerResult(Outcome.NOT_FOUND)
    return _take(tx, interaction, by, answer)


def _take(
    tx: Transaction,
    interaction: InteractionRecord,
    by: Person,
    answer: CheckedAnswer,
    *,
    over_claims: bool = False,
) -> AnswerResult:
    """Settle the interaction with this person's answer, or say why it is too late.

    `over_claims`: whether somebody else has claimed it does not matter.
    """
    if interaction.status != Interaction.Status.PENDING:
        return _too_late(interaction, by, answer)
    if not _waits(tx, interaction):
        settlement = expiry(interaction)
    elif refusal := _refusal_reason(interaction, by, answer, over_claims=over_claims):
        return refusal
    else:
        if (response := answer.response) is None:
            raise answer.refusal or Invalid(_("The prompt does not take this answer."))
        if assignment := assignment_of(interaction):
            votes = _vote(tx, interaction, by, answer.answer, response, assignment.votes)
            if votes is None:
                return AnswerResult(Outcome.VOTED, interaction.id, interaction.status)
            response = {**response, "votes": votes}
        status = Interaction.Status.ANSWERED
        settlement = Settlement(status, answer.answer.via, response, by, answer.answer.answer_id)
    if not settle(tx, interaction, settlement):
        [interaction] = find_interactions(interaction=interaction.id)  # as another has settled it
        return _too_late(interaction, by, answer)
    if settlement.by:
        attachments.take(tx, interaction.run_id, list(answer.answer.answer.files.values()))
    return AnswerResult(
        Outcome.ACCEPTED if settlement.by else Outcome.EXPIRED,
        interaction.id,
        settlement.status.value,
        settlement.response,
        by.username if settlement.by else None,
        tx.now,
        settlement.via,
    )


def answer_in_name(
    tx: Transaction,
    by: Person,
    answer: CheckedAnswer,
    *,
    over_claims: bool = False,
) -> AnswerResult:
    """Answer any interaction in the name of a user, who need not be a candidate.

    Raises:
        NotFound: there is no such interaction.
        Invalid: the user is not active, or the answer is none that the prompt takes.
    """
    for record in find_interactions(interaction=answer.interaction):
        is_owner = record.owner == by.id and record.is_owner_active
        if not is_owner and not is_active(users().filter(pk=by.id).first()):
            raise Invalid(
                format_lazy(_("{name} is not active and cannot answer."), name=by.username)
            )
        return _take(tx, record, by, answer, over_claims=over_claims)
    raise NotFound("There is no such interaction.")


def _refusal_reason(
    interaction: InteractionRecord,
    by: Person,
    answer: CheckedAnswer,
    *,
    over_claims: bool = False,
) -> AnswerResult | None:
    """Return why no answer of this person to a pending prompt is taken; None if one may be.

    Raises:
        Invalid: it was asked for the one who answers, and others must.
    """
    is_current = answer.answer.version in (None, interaction.version)
    if not is_current or answer.prompt_version != interaction.version:
        return AnswerResult(Outcome.STALE, interaction.id, interaction.status)
    if interaction.audience.four_eyes and interaction.owner == by.id:
        raise Invalid(_("Someone else must answer this, because it was asked on your behalf."))
    if not over_claims and claims.holder(interaction, by) not in (None, by.id):
        assignee = claims.claim_state(interaction).assignee
        return AnswerResult(Outcome.CLAIMED, interaction.id, interaction.status, by=assignee)
    return None


def _vote(
    tx: Transaction,
    interaction: InteractionRecord,
    by: Person,
    answer: IncomingAnswer,
    response: JsonObject,
    quorum: int,
) -> list[JsonObject] | None:
    """Cast the vote, and return all votes if it decides, else None."""
    if quorum == 1:
        return [votes.vote_content(response, by.username, tx.now, answer.via)]
    if votes.was_replaced(by.id, interaction.id, answer.answer_id):
        return None
    columns = {"via": answer.via, "answer_id": answer.answer_id}
    cast_votes, is_repeat = votes.cast(tx, interaction.audience, by, response, **columns)
    if votes.count_agreeing(cast_votes, response) >= quorum:
        return [
            votes.vote_content(vote.response, vote.by.get_username(), vote.at, vote.via)
            for vote in cast_votes
        ]
    if is_repeat:
        return None
    if interaction.assignee == by.id:  # else nobody of the others could vote
        sql.update(Interaction, {"assignee_id": None}, id=interaction.id)
    about, action = interaction.audited_prompt, AuditEntry.Action.VOTED
    detail = {
        "response": response,
        "behalf": interaction.represented_by(by),
        "answer_id": answer.answer_id,  # by it one that comes again is known
    }
    audit.record(tx, about, action, by=by, via=answer.via, **detail)
    handing_on.tell(tx, interaction, action, by, votes=len(cast_votes), needed=quorum)
    return None


def _find_checked(by: Person, answer: CheckedAnswer) -> InteractionRecord | None:
    """Find and lock the interaction of an answer, if this person may answer it still.

    The look before the transaction has compared the conversation, which stays.
    """
    for record in _find_answerable(by, None, interaction=answer.interaction):
        return record
    return claims.find_assigned(str(answer.interaction), by)


def _find_answerable(
    by: Person, conversation_id: str | None, **conditions: Any
) -> list[InteractionRecord]:
    records = find_interactions(owner=by.id, conversation_id=conversation_id, **conditions)
    return [record for record in records if may_answer(by.id, record.audience)]


def _find(
    by: Person, conversation_id: str | None, answer: IncomingAnswer
) -> InteractionRecord | None:
    """Find the interaction that is meant, among those that this person may answer.

    One of another person is not told from one that does not exist.
    """
    find_answerable = partial(_find_answerable, by, conversation_id, locked=False)
    if answer.interaction is not None:
        records = (
            find_answerable(interaction=UUID(answer.interaction))
            if sql.is_uuid(answer.interaction)
            else []
        )
        return records[0] if records else claims.find_assigned(answer.interaction, by, locked=False)
    if conversation_id is None:
        return None
    for name in filter(sql.is_uuid, answer.names):
        if records := find_answerable(interaction=UUID(name)):
            return records[0]
        if find_interactions(owner=by.id, interaction=UUID(name), locked=False):
            return None  # another conversation's; never taken for the one that is pending here
    pending = find_answerable(pending=True)
    if len(pending) > 1:
        raise Invalid(
            f"{len(pending)} prompts are pending. Name the one you answer by interaction_id.",
            pending=[
                {"interaction_id": str(record.id), "text": load_prompt(record.prompt).text}
                for record in pending
            ],
        )
    return pending[0] if pending else None


def _too_late(interaction: InteractionRecord, by: Person, answer: CheckedAnswer) -> AnswerResult:
    """Acknowledge a repeat of an answer that counts; tell any other who answered, and what."""
    is_expired = interaction.status == Interaction.Status.EXPIRED
    outcome = Outcome.EXPIRED if is_expired else Outcome.STALE
    kept_response = _kept_response(interaction, by, answer.answer.answer_id)
    if kept_response is not None and answer.response is not None:
        is_same = answer.response.items() <= kept_response.items()
        # A file that comes again is another one.
        if is_same or answer.answer.answer.files:
            outcome = Outcome.DUPLICATE
    answerer = interaction.by and users().filter(pk=interaction.by).first()
    return AnswerResult(
        outcome,
        interaction.id,
        interaction.status,
        interaction.response,
        answerer.get_username() if answerer else None,
        interaction.at,
        interaction.via,
    )


def _kept_response(interaction: InteractionRecord, by: Person, answer_id: str) -> JsonObject | None:
    """Return the answer, or vote, of this person that was taken under this id; None if none was."""
    if (interaction.answer_id, interaction.by) == (answer_id, by.id):
        return interaction.response
    if interaction.status == Interaction.Status.ANSWERED:
        return votes.find_response(by.id, interaction.id, answer_id)
    return None
