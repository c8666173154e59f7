"""The settlement of interactions: for all front ends, the only code that sets a final status.

Interactions are read as plain rows with the needed columns, without the cost of model instances.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from sessions_app.interactions import audit
from sessions_app.interactions.answerers import PromptAudience
from sessions_app.interactions.audit import AuditedPrompt
from sessions_app.journal.journal import wait_id
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Candidate, Event, Interaction, Run
from sessions_app.models.people import Person, UserId, read_user_id, users
from sessions_app.notify.announce import announce
from sessions_app.prompts import load_prompt
from sessions_app.prompts.assignment import assignment_of
from sessions_app.signals import pending_signals
from sessions_app.storage import sql
from sessions_app.storage.new_event import Update
from sessions_app.storage.records import InteractionSettled, RunRecord
from sessions_app.storage.transaction import Transaction

# Query that reads interactions; {is_active} becomes the user model's column, or 1 without one.
SELECT = """
    SELECT i.id, i.run_id, r.key, r.workflow, i.conversation_id, r.message_id, r.client_format,
           i.version, i.status, CAST(i.prompt AS text), i.expires_at, i.response, i.answered_by_id,
           i.answered_at, i.answered_via, i.answer_id,
           i.assignment, i.for_owner, i.assignee_id, c.owner_id, {is_active}
    FROM sessions_app_interaction i
    JOIN sessions_app_run r ON r.id = i.run_id
    JOIN sessions_app_conversation c ON c.id = i.conversation_id
    JOIN {users} u ON u.{key} = c.owner_id
    WHERE
"""
LOCKS = "FOR UPDATE OF c FOR NO KEY UPDATE OF i"


class InteractionRecord(NamedTuple):
    """An interaction's row with the columns needed to settle it, and its answer, if any."""

    id: UUID
    run_id: UUID
    key: str
    workflow: str
    conversation_id: UUID
    message_id: str
    client_format: str
    version: int
    status: str
    prompt_json: str
    expires_at: datetime | None
    response: JsonObject | None
    by: UserId | None
    at: datetime | None
    via: str
    answer_id: str
    # The stored assignment; None if only the conversation's owner may answer.
    assignment: JsonObject | None
    for_owner: bool
    assignee: UserId | None
    owner: UserId
    is_owner_active: bool

    @property
    def prompt(self) -> JsonObject:
        """The stored prompt, parsed at each access: a checked answer is settled without it."""
        prompt: JsonObject = sql.read_json(self.prompt_json)
        return prompt

    @property
    def audience(self) -> PromptAudience:
        """The facts that decide who may answer the prompt."""
        assignment = assignment_of(self)
        four_eyes = assignment is not None and assignment.four_eyes
        return PromptAudience(self.id, self.owner, self.is_owner_active, self.for_owner, four_eyes)

    @property
    def audited_prompt(self) -> AuditedPrompt:
        """The facts about the prompt for audit entries."""
        return AuditedPrompt(self.id, self.run_id, self.workflow, self.prompt)

    def represented_by(self, person: Person | None) -> list[str]:
        """Return the names for which a person answers, such as a group; none if asked by name."""
        assignment = assignment_of(self)
        if person is None or assignment is None or assignment.has_named(person.username):
            return []
        return assignment.names

    @property
    def run(self) -> RunRecord:
        """The run that asked the question."""
        return RunRecord(self.run_id, self.conversation_id, self.message_id, self.client_format)


@dataclass(frozen=True, slots=True)
class Settlement:
    """The final status of an interaction, with its cause.

    `response` is the result of `Prompt.check`; `via` is the front end of an answer, else "deadline"
    or "run". `expired_by` is the operator that ended the wait before the deadline.
    """

    status: Interaction.Status
    via: str
    response: JsonObject | None = None
    by: Person | None = None
    answer_id: str = ""
    expired_by: Person | None = None


def find_interactions(
    *,
    interaction: UUID | None = None,
    owner: UserId | None = None,
    conversation_id: str | None = None,
    pending: bool = False,
    undeleted: bool = False,
    locked: bool = True,
) -> list[InteractionRecord]:
    """Find the current interactions that match all arguments, in the order of asking.

    With `owner`, return only interactions for the owner, outside deleted conversations; `undeleted`
    alone excludes deleted conversations. Callers that settle need `locked`, which locks the
    conversation as `Transaction.lock` does, and the interaction.
    """
    conditions = {
        "i.id": interaction,
        "c.owner_id": owner,
        "c.conversation_id": conversation_id,
    }
    values = {column: value for column, value in conditions.items() if value is not None}
    where = " AND ".join([f"{column} = %s" for column in values])
    if pending:  # a literal: with a parameter, SQLite replans the query each time
        where += " AND i.status = 'pending'"
    if owner is not None:
        where += " AND i.for_owner"
    if undeleted or owner is not None:
        where += " AND c.deleted_at IS NULL"
    query = f"{_select()} {where} ORDER BY i.sequence"
    if locked:  # lock interaction and conversation; after a wait, the query reads their new state
        query = sql.add_lock(query, LOCKS)
    return [_read(row) for row in sql.fetch(query, tuple(values.values()))]


def set_running(run: UUID, **where: object) -> bool:
    """Set a waiting run to running, so that a host executes it.

    Returns False if the run is not waiting, or its columns differ from `where`.
    """
    change = _run_again(run)
    return bool(sql.update(Run, change.values, **change.where, **where))


def _run_again(run: UUID) -> Update:
    columns = {"status": Run.Status.RUNNING.value, "wake_at": None}
    return Update(Run, columns, {"id": run, "status": Run.Status.WAITING.value})


def resume_wait(
    tx: Transaction, run: Run, position: int, value: object, error: object = None
) -> None:
    """Resume a run that waits at this journal position for something other than an answer."""
    set_running(run.id)
    response = {"value": value, "error": error}
    status = Interaction.Status.ANSWERED.value
    waited_for = wait_id(run.id, position)
    announce(tx, run.key, InteractionSettled(run.id, waited_for, status, response, None, tx.now))


def expiry(
    interaction: InteractionRecord, via: str = "deadline", by: Person | None = None
) -> Settlement:
    """Return the settlement of an expired prompt, with the prompt's declared default, if any.

    `by` is an operator that ends the wait before the deadline.

    Raises:
        Invalid: the prompt declares a default, but the class that knows its stored form is gone.
    """
    prompt = load_prompt(interaction.prompt)
    if (response := prompt.default_answer()) is not None:
        prompt.check_found()
    return Settlement(Interaction.Status.EXPIRED, via, response, expired_by=by)


def settle(tx: Transaction, interaction: InteractionRecord, settlement: Settlement) -> bool:
    """Give the interaction its final status; return False if another settlement came first.

    One conditional UPDATE decides; event, run, audit and signal follow in the same transaction, and
    the waiting host is woken after the commit. A cancelled question wakes no host.
    """
    by, status, response = settlement.by, settlement.status.value, settlement.response
    columns: JsonObject = {
        "status": status,
        "version": 2,
        "response": response,
        "answered_by_id": by.id if by else None,
        "answered_at": tx.now,
        "answered_via": settlement.via,
        "answer_id": settlement.answer_id,
    }
    pending = {"id": interaction.id, "status": Interaction.Status.PENDING.value}
    username = by.username if by else None
    payload: JsonObject = {
        "interaction_id": str(interaction.id),
        "status": status,
        "version": 2,
        "response": response,
        "by": username,
        "at": tx.now.isoformat(),
        "via": settlement.via,
    }
    # Only `interaction_update` lowers the number of open questions in the conversation's row.
    kind = Event.Type.INTERACTION_UPDATE if interaction.for_owner else Event.Type.ASSIGNMENT_UPDATE
    wakes = settlement.status != Interaction.Status.CANCELLED
    first, then = Update(Interaction, columns, pending), [_run_again(interaction.run_id)] * wakes
    if not tx.append_if(first, interaction.run, kind.value, payload, then=then):
        return False
    if interaction.assignment is not None:
        # Remove the settled prompt from the inboxes of its candidates.
        sql.update(Candidate, {"pending": False}, interaction_id=interaction.id)
        about, action = interaction.audited_prompt, AuditEntry.Action(status)
        detail = {"response": response, "behalf": interaction.represented_by(by)}
        whose = by or settlement.expired_by
        audit.record(tx, about, action, by=whose, via=settlement.via, **detail)
    pending_signals.add(tx, "interaction_settled", interaction.run_id, interaction.id)
    if wakes:
        ids = (interaction.run_id, interaction.id)
        settled_record = InteractionSettled(*ids, status, response, username, tx.now)
        announce(tx, interaction.key, settled_record)
    return True


@cache
def _select() -> str:
    """Build the SELECT for the project's user model, which may lack an `is_active` column."""
    meta, is_active = users().model._meta, "1"  # noqa: SLF001 - Django's documented _meta
    if any(column.name == "is_active" for column in meta.concrete_fields):
        field = meta.get_field("is_active")
        meta, is_active = field.model._meta, f'u."{field.column}"'  # noqa: SLF001 - documented
    return SELECT.format(users=f'"{meta.db_table}"', key=f'"{meta.pk.column}"', is_active=is_active)


def _read(row: sql.Row) -> InteractionRecord:
    record = InteractionRecord(*row)
    return record._replace(
        id=sql.read_uuid(record.id),
        run_id=sql.read_uuid(record.run_id),
        conversation_id=sql.read_uuid(record.conversation_id),
        expires_at=sql.read_time(record.expires_at),
        response=sql.read_json(record.response),
        by=read_user_id(record.by),
        assignment=record.assignment and sql.read_json(record.assignment),
        for_owner=bool(record.for_owner),
        assignee=read_user_id(record.assignee),
        owner=read_user_id(record.owner),
        is_owner_active=bool(record.is_owner_active),
        at=sql.read_time(record.at),
    )
