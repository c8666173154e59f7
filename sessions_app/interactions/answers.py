"""The answers of people to interactions, each in one transaction.

Who may answer, and with what, is checked here; `settle` decides who is first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import audit, claims, votes
from sessions_app.interactions.answerers import is_active, may_answer
from sessions_app.interactions.settlement import (
    InteractionRecord,
    Settlement,
    expiry,
    find_interactions,
    settle,
)
from sessions_app.json_types import JsonObject
from sessions_app.models import Attachment, AuditEntry, Interaction
from sessions_app.models.people import Person, users
from sessions_app.prompts import load_prompt
from sessions_app.prompts.assignment import Assignment
from sessions_app.storage import attachments, sql
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


TAKEN = (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.VOTED)


@dataclass(frozen=True, slots=True)
class IncomingAnswer:
    """An answer as it comes in: `value`, or `values` for a checkbox. `via` says by what door.

    `interaction` names the interaction. Without it the first of `names` (ids that a client sent
    along) that is one of the conversation does, else its only pending one.
    """

    answer_id: str
    via: str
    value: str | None = None
    values: list[str] | None = None
    interaction: str | None = None
    names: Sequence[str] = ()
    version: int | None = None
    # Of a form, by its fields; kept before.
    files: Mapping[str, Attachment] = field(default_factory=dict)


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
    check_answer(answer)
    return await writer.write(audit.from_here(lambda tx: _answer(tx, by, conversation_id, answer)))


async def answer_together(
    *, by: Person, conversation_id: str | None, answers: Sequence[IncomingAnswer]
) -> AnswerResult:
    """Settle several interactions, or none: then the result is that of one that came too late.

    Raises:
        Invalid: one is none that its prompt takes; `errors` says which, by interaction, and of a
            form by that, a dash, and the field.
    """
    for answer in answers:
        check_answer(answer)
    return await writer.write(
        audit.from_here(lambda tx: _answer_together(tx, by, conversation_id, answers))
    )


def check_answer(answer: IncomingAnswer) -> None:
    """Raise Invalid if the answer has text that cannot be stored."""
    for text in (answer.value, *(answer.values or ()), answer.answer_id):
        check_storable(_("The answer"), text)


def _answer_together(
    tx: Transaction, by: Person, conversation_id: str | None, answers: Sequence[IncomingAnswer]
) -> AnswerResult:
    """Check all answers before the first settles: what is refused has written nothing."""
    errors: dict[str, list[Any]] = {}
    pending_answers: list[tuple[InteractionRecord, IncomingAnswer]] = []
    result = AnswerResult(Outcome.NOT_FOUND)
    for answer in answers:
        interaction = _find(by, conversation_id, answer)
        if interaction is None:
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
            _check_answer(interaction, answer)
        except Invalid as error:
            fields = error.details.get("errors", {"": [error.args[0]]})
            errors |= {f"{answer.interaction}-{name}".rstrip("-"): fields[name] for name in fields}
    if errors:
        raise Invalid(_("Check the marked fields."), errors=errors)
    for interaction, answer in pending_answers:
        result = _take(tx, interaction, by, answer)
    return result


def _waits(tx: Transaction, interaction: InteractionRecord) -> bool:
    is_over = interaction.expires_at is not None and interaction.expires_at <= tx.now
    return interaction.status == Interaction.Status.PENDING and not is_over


def _answer(
    tx: Transaction, by: Person, conversation_id: str | None, answer: IncomingAnswer
) -> AnswerResult:
    if (interaction := _find(by, conversation_id, answer)) is None:
        return AnswerResult(Outcome.NOT_FOUND)
    return _take(tx, interaction, by, answer)


def _take(
    tx: Transaction,
    interaction: InteractionRecord,
    by: Person,
    answer: IncomingAnswer,
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
        response = _check_answer(interaction, answer)
        if interaction.assignment is not None:
            votes = _vote(tx, interaction, by, answer, response)
            if votes is None:
                return AnswerResult(Outcome.VOTED, interaction.id, interaction.status)
            response = {**response, "votes": votes}
        status = Interaction.Status.ANSWERED
        settlement = Settlement(status, answer.via, response, by, answer.answer_id)
    if not settle(tx, interaction, settlement):
        [interaction] = find_interactions(interaction=interaction.id)  # as another has settled it
        return _too_late(interaction, by, answer)
    if settlement.by:
        attachments.take(tx, interaction.run_id, list(answer.files.values()))
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
    interaction: UUID,
    by: Person,
    answer: IncomingAnswer,
    *,
    over_claims: bool = False,
) -> AnswerResult:
    """Answer any interaction in the name of a user, who need not be a candidate.

    Raises:
        NotFound: there is no such interaction.
        Invalid: the user is not active, or the answer is none that the prompt takes.
    """
    for record in find_interactions(interaction=interaction):
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
    answer: IncomingAnswer,
    *,
    over_claims: bool = False,
) -> AnswerResult | None:
    """Return why no answer of this person to a pending prompt is taken; None if one may be.

    Raises:
        Invalid: it was asked for the one who answers, and others must.
    """
    if answer.version is not None and answer.version != interaction.version:
        return AnswerResult(Outcome.STALE, interaction.id, interaction.status)
    if interaction.audience.four_eyes and interaction.owner == by.id:
        raise Invalid(_("Someone else must answer this, because it was asked on your behalf."))
    if not over_claims and claims.holder(interaction, by) not in (None, by.id):
        assignee = claims.claim_state(interaction).assignee
        return AnswerResult(Outcome.CLAIMED, interaction.id, interaction.status, by=assignee)
    return None


def _check_answer(interaction: InteractionRecord, answer: IncomingAnswer) -> JsonObject:
    """Return the answer as it is stored; raise Invalid if the prompt does not take it."""
    files = {name: attachment.file for name, attachment in answer.files.items()}
    return load_prompt(interaction.prompt).check_with_files(answer.value, answer.values, files)


def _vote(
    tx: Transaction,
    interaction: InteractionRecord,
    by: Person,
    answer: IncomingAnswer,
    response: JsonObject,
) -> list[JsonObject] | None:
    """Cast the vote, and return all votes if it decides, else None."""
    quorum = Assignment.model_validate(interaction.assignment).votes
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
    claims.tell(tx, interaction, action, by, votes=len(cast_votes), needed=quorum)
    return None


def _find(
    by: Person, conversation_id: str | None, answer: IncomingAnswer
) -> InteractionRecord | None:
    """Find the interaction that is meant, among those that this person may answer.

    One of another person is not told from one that does not exist.
    """

    def find_answerable(**conditions: Any) -> list[InteractionRecord]:
        records = find_interactions(owner=by.id, conversation_id=conversation_id, **conditions)
        return [record for record in records if may_answer(by.id, record.audience)]

    if answer.interaction is not None:
        records = (
            find_answerable(interaction=UUID(answer.interaction))
            if sql.is_uuid(answer.interaction)
            else []
        )
        return records[0] if records else claims.find_assigned(answer.interaction, by)
    if conversation_id is None:
        return None
    for name in filter(sql.is_uuid, answer.names):
        if records := find_answerable(interaction=UUID(name)):
            return records[0]
        if find_interactions(owner=by.id, interaction=UUID(name)):
            return None  # another conversation's; never taken for the one that is pending here
    pending = find_answerable(pending=True)
    if len(pending) > 1:
        raise Invalid(
            f"{len(pending)} prompts are pending. Name the one you answer by interaction_id.",
            pending=[
                {"interaction_id": str(record.id), "text": record.prompt["text"]}
                for record in pending
            ],
        )
    return pending[0] if pending else None


def _too_late(interaction: InteractionRecord, by: Person, answer: IncomingAnswer) -> AnswerResult:
    """Acknowledge a repeat of an answer that counts; tell any other who answered, and what."""
    is_expired = interaction.status == Interaction.Status.EXPIRED
    outcome = Outcome.EXPIRED if is_expired else Outcome.STALE
    kept_response = _kept_response(interaction, by, answer.answer_id)
    if kept_response is not None:
        try:
            # A file that comes again is another one.
            if answer.files or (
                _check_answer(interaction, answer).items() <= kept_response.items()
            ):
                outcome = Outcome.DUPLICATE
        except Invalid:
            pass
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
