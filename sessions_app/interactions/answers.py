"""The answers of people to interactions.

A prompt checks an answer before the transaction, so that slow checks hold no lock: in a thread, or
at once by a prompt in `SentPrompts`. The transaction checks the person's right to answer and that
the prompt has not changed; `settle` decides which answer is first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import pgettext_lazy

from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import audit, claims, handing_on, votes
from sessions_app.interactions.answerers import is_active, may_answer
from sessions_app.interactions.sent_prompts import SentPrompts
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

    ACCEPTED = "accepted"  # the answer settled the prompt
    DUPLICATE = "duplicate"  # the same answer was accepted before
    STALE = "stale"  # another answer came first, or the run ended
    EXPIRED = "expired"  # the deadline passed first
    VOTED = "voted"  # the vote counts; the prompt needs the same answer from more people
    CLAIMED = "claimed"  # another person has claimed the prompt
    NOT_FOUND = "not_found"  # no such interaction exists for this person


T = TypeVar("T")

# Separate threads in which prompts check answers, so that slow checks do not delay other reads.
_executor = reads.make_threads(4, "answer")
_shares = reads.Shares(1)

TAKEN = (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.VOTED)


@dataclass(frozen=True, slots=True)
class IncomingAnswer:
    """An answer as received from a front end, which `via` names.

    `interaction` is the interaction's id. Without one, the answer is for the first of `names` (ids
    that a client sent along) that belongs to the conversation, else for the only pending one.
    `input_type` is the type of prompt that the client believes to answer, if given.
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
    """An answer that its prompt has checked, outside of any transaction.

    `prompt_version` is the version of the checked prompt. Either `response`, in its stored form, or
    `refusal` is None.
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
    *,
    by: Person,
    conversation_id: str | None,
    answer: IncomingAnswer,
    sent: SentPrompts | None = None,
) -> AnswerResult:
    """Settle a pending interaction by a person's answer.

    `sent` are the prompts of the conversation that the person's client was sent.

    Raises:
        Invalid: the prompt refuses the answer and stays pending, or several prompts are pending
            and none is named.
    """
    checked_answer = None if sent is None else _check_at_once(sent, answer)
    if checked_answer is None:
        checked_answer = await _in_turn(by, partial(_check, by, conversation_id, answer))
    if checked_answer is None:
        return AnswerResult(Outcome.NOT_FOUND)
    return await writer.write(
        audit.with_request_address(lambda tx: _answer(tx, by, checked_answer))
    )


async def answer_together(
    *, by: Person, conversation_id: str | None, answers: Sequence[IncomingAnswer]
) -> AnswerResult:
    """Settle all interactions; if one answer is too late, settle none and return its result.

    Raises:
        Invalid: a prompt refuses its answer; the keys of `errors` are interaction ids, for a form
            each followed by a dash and the field.
    """
    checked_answers = [
        await _in_turn(by, partial(_check, by, conversation_id, answer)) for answer in answers
    ]
    return await writer.write(
        audit.with_request_address(lambda tx: _answer_together(tx, by, checked_answers))
    )


def _check_at_once(sent: SentPrompts, answer: IncomingAnswer) -> CheckedAnswer | None:
    """Have a prompt that the client was sent check a short answer; None if that is not possible.

    The first name that is an id decides, as in `_find`.
    """
    name = answer.interaction
    if name is None:
        name = next(filter(sql.is_uuid, answer.names), "")
    prompt = sent.find(name, answer.answer)
    if prompt is None:
        return None
    return _check_by(prompt.content, UUID(name), prompt.version, answer)


async def _in_turn(by: Person, check: Callable[[], T]) -> T:
    """Run a check in a thread, one at a time for each person, because checks may be slow."""
    return await _shares.run(by.id, lambda: reads.begin_in(_executor, check))


def _check(by: Person, conversation_id: str | None, answer: IncomingAnswer) -> CheckedAnswer | None:
    interaction = _find(by, conversation_id, answer)
    return interaction and _read(interaction, answer)


def check_in_name(interaction: UUID, answer: IncomingAnswer) -> CheckedAnswer:
    """Have a prompt check an answer that is given in the name of a user. Blocks.

    Raises:
        NotFound: there is no such interaction.
    """
    for record in find_interactions(interaction=interaction, locked=False):
        return _read(record, answer)
    raise NotFound("There is no such interaction.")


async def acheck_in_name(interaction: UUID, answer: IncomingAnswer) -> CheckedAnswer:
    """Run `check_in_name` in a thread."""
    return await reads.begin_in(_executor, partial(check_in_name, interaction, answer))


def _read(interaction: InteractionRecord, answer: IncomingAnswer) -> CheckedAnswer:
    """Have the prompt check the answer, outside a transaction: authors' code may be slow."""
    return _check_by(interaction.prompt, interaction.id, interaction.version, answer)


def _check_by(
    content: JsonObject, interaction: UUID, version: int, answer: IncomingAnswer
) -> CheckedAnswer:
    check_storable(pgettext_lazy("hitl", "The answer"), answer.answer_id)
    response = refusal = None
    try:
        prompt = load_prompt(content)
        _check_type(prompt.input_type, answer.input_type)
        response = prompt.check(answer.answer)
    except Invalid as error:
        refusal = error
    return CheckedAnswer(answer, interaction, version, response, refusal)


def _check_type(asked: str, answered: str | None) -> None:
    if answered not in (None, asked):
        reason = pgettext_lazy("hitl", "The question is of the type “{asked}”, not “{answered}”.")
        raise Invalid(format_lazy(reason, asked=asked, answered=answered))


def _answer_together(
    tx: Transaction, by: Person, answers: Sequence[CheckedAnswer | None]
) -> AnswerResult:
    """Settle all interactions, or none if any answer is refused or too late."""
    errors: dict[str, list[Any]] = {}
    pending_answers: list[tuple[InteractionRecord, CheckedAnswer]] = []
    result = AnswerResult(Outcome.NOT_FOUND)
    for answer in answers:
        if answer is None or (interaction := _find_checked(by, answer)) is None:
            return AnswerResult(Outcome.NOT_FOUND)
        if not _waits(tx, interaction):
            result = _settle_or_refuse(tx, interaction, by, answer)
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
        raise Invalid(pgettext_lazy("hitl", "Check the marked fields."), errors=errors)
    for interaction, answer in pending_answers:
        result = _settle_or_refuse(tx, interaction, by, answer)
    return result


def _waits(tx: Transaction, interaction: InteractionRecord) -> bool:
    is_over = interaction.expires_at is not None and interaction.expires_at <= tx.now
    return interaction.status == Interaction.Status.PENDING and not is_over


def _answer(tx: Transaction, by: Person, answer: CheckedAnswer) -> AnswerResult:
    if (interaction := _find_checked(by, answer)) is None:
        return AnswerResult(Outcome.NOT_FOUND)
    return _settle_or_refuse(tx, interaction, by, answer)


def _settle_or_refuse(
    tx: Transaction,
    interaction: InteractionRecord,
    by: Person,
    answer: CheckedAnswer,
    *,
    over_claims: bool = False,
) -> AnswerResult:
    """Settle the interaction with this person's answer, or return the reason for not doing so.

    `over_claims`: ignore the claims of other people.
    """
    if interaction.status != Interaction.Status.PENDING:
        return _too_late(interaction, by, answer)
    if not _waits(tx, interaction):
        settlement = expiry(interaction)
    elif refusal := _refusal_reason(interaction, by, answer, over_claims=over_claims):
        return refusal
    else:
        if (response := answer.response) is None:
            raise answer.refusal or Invalid(
                pgettext_lazy("hitl", "The prompt does not take this answer.")
            )
        if assignment := assignment_of(interaction):
            votes = _vote(tx, interaction, by, answer.answer, response, assignment.votes)
            if votes is None:
                return AnswerResult(Outcome.VOTED, interaction.id, interaction.status)
            response = {**response, "votes": votes}
        status = Interaction.Status.ANSWERED
        settlement = Settlement(status, answer.answer.via, response, by, answer.answer.answer_id)
    if not settle(tx, interaction, settlement):
        # Another transaction has settled the interaction: read it again.
        [interaction] = find_interactions(interaction=interaction.id)
        return _too_late(interaction, by, answer)
    if settlement.by:
        attachments.mark_sent(tx, interaction.run_id, list(answer.answer.answer.files.values()))
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
    """Answer any interaction in the name of a user, even of one that is no candidate.

    Raises:
        NotFound: there is no such interaction.
        Invalid: the user is not active, or the prompt refuses the answer.
    """
    for record in find_interactions(interaction=answer.interaction):
        is_owner = record.owner == by.id and record.is_owner_active
        if not is_owner and not is_active(users().filter(pk=by.id).first()):
            raise Invalid(
                format_lazy(
                    pgettext_lazy("hitl", "{name} is not active and cannot answer."),
                    name=by.username,
                )
            )
        return _settle_or_refuse(tx, record, by, answer, over_claims=over_claims)
    raise NotFound("There is no such interaction.")


def _refusal_reason(
    interaction: InteractionRecord,
    by: Person,
    answer: CheckedAnswer,
    *,
    over_claims: bool = False,
) -> AnswerResult | None:
    """Return the outcome if this person cannot answer the pending prompt now, else None.

    Raises:
        Invalid: the prompt has the four-eyes rule, and this person is the owner.
    """
    is_current = answer.answer.version in (None, interaction.version)
    if not is_current or answer.prompt_version != interaction.version:
        return AnswerResult(Outcome.STALE, interaction.id, interaction.status)
    if interaction.audience.four_eyes and interaction.owner == by.id:
        raise Invalid(
            pgettext_lazy(
                "hitl", "Someone else must answer this, because it was asked on your behalf."
            )
        )
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
    """Cast a vote, and return all votes if the quorum is reached, else None."""
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
    if interaction.assignee == by.id:  # release the voter's claim, so that others can vote
        sql.update(Interaction, {"assignee_id": None}, id=interaction.id)
    about, action = interaction.audited_prompt, AuditEntry.Action.VOTED
    detail = {
        "response": response,
        "behalf": interaction.represented_by(by),
        "answer_id": answer.answer_id,  # identifies a repeated delivery of the answer
    }
    audit.record(tx, about, action, by=by, via=answer.via, **detail)
    handing_on.tell(tx, interaction, action, by, votes=len(cast_votes), needed=quorum)
    return None


def _find_checked(by: Person, answer: CheckedAnswer) -> InteractionRecord | None:
    """Find and lock the interaction of a checked answer, if this person may still answer.

    The conversation needs no second check: an interaction never moves to another conversation.
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
    """Find the interaction of an answer among those that this person may answer.

    Another person's interaction gives the same result as a missing one.
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
            return None  # not found: the prompt is of another conversation
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
    """Return the result of an answer to a settled prompt: DUPLICATE, or else EXPIRED or STALE."""
    is_expired = interaction.status == Interaction.Status.EXPIRED
    outcome = Outcome.EXPIRED if is_expired else Outcome.STALE
    kept_response = _kept_response(interaction, by, answer.answer.answer_id)
    if kept_response is not None and answer.response is not None:
        is_same = answer.response.items() <= kept_response.items()
        # A repeated upload gets a new id, so answers with files cannot be compared.
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
    """Return this person's accepted answer or vote with this answer id, or None."""
    if (interaction.answer_id, interaction.by) == (answer_id, by.id):
        return interaction.response
    if interaction.status == Interaction.Status.ANSWERED:
        return votes.find_response(by.id, interaction.id, answer_id)
    return None
