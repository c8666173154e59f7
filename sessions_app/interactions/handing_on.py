"""Handing an assigned prompt on: by delegation, by reassignment.

Each change is one transaction, in which the log and the audit have it too.
"""

from dataclasses import dataclass

from django.db.models import F
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid, UnknownAssignee
from sessions_app.interactions import assigning, audit, votes
from sessions_app.interactions.answerers import is_active, may_answer
from sessions_app.interactions.assigning import Candidates
from sessions_app.interactions.delegates import is_closed, nobody
from sessions_app.interactions.settlement import InteractionRecord
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Conversation, Event, Interaction
from sessions_app.models.people import Person, UserId, guests, users
from sessions_app.prompts import check_note
from sessions_app.prompts.assignment import Assignee, Assignment
from sessions_app.signals import pending_signals
from sessions_app.storage import sql
from sessions_app.storage.transaction import Transaction

Action = AuditEntry.Action


@dataclass(frozen=True, slots=True)
class Change:
    """A change of who is to answer a prompt. `assignee` has it claimed then."""

    action: Action
    by: Person | None
    via: str
    note: str = ""
    assignee: Person | None = None


def delegate(
    tx: Transaction, prompt: InteractionRecord, to: Person, *, note: str, by: Person, via: str
) -> None:
    """Hand the prompt to a person, who has it claimed then.

    Raises:
        Invalid: the person is not active, may not answer, or has voted.
    """
    if not is_active(users().filter(pk=to.id).first()):
        raise nobody(to.username)
    candidates = Candidates([(to.id, None, "")], [to.username])
    if not may_answer(to.id, prompt.audience):
        if is_closed(prompt):
            raise Invalid(format_lazy(_("{name} may not answer this."), name=to.username))
        assigning.change(prompt.id, candidates)
    elif votes.has_voted(to.id, prompt.id):
        raise Invalid(format_lazy(_("{name} has voted on this already."), name=to.username))
    votes.withdraw(by.id, prompt.id)
    hand_on(tx, prompt, Change(Action.DELEGATED, by, via, note, assignee=to), candidates)


def reassign(
    tx: Transaction,
    prompt: InteractionRecord,
    to: list[Assignee],
    *,
    note: str = "",
    by: Person,
    via: str,
) -> bool:
    """Have these answer it, and nobody else; no claim holds any more. False if it is settled.

    Raises:
        Invalid: one of them does not exist or is a guest, or they are too few for its rules; or a
            bad note.
    """
    check_note(note)
    if prompt.status != Interaction.Status.PENDING:
        return False
    try:
        candidates = assigning.find(to)
    except UnknownAssignee as error:
        raise Invalid(f"{error.assignee} does not exist.") from error
    _check_no_guest(candidates, prompt.owner)
    rules = Assignment.model_validate({**(prompt.assignment or {}), "to": to})
    _check_enough(rules, candidates, prompt.owner)
    if prompt.assignment is None:
        audit.store_opened(prompt.id)
    assigning.change(prompt.id, candidates, only=True)
    assignment = {**(prompt.assignment or {}), **rules.model_dump(mode="json")}
    columns: JsonObject = {"assignment": {**assignment, "names": candidates.names}}
    hand_on(tx, prompt, Change(Action.REASSIGNED, by, via, note), candidates, columns)
    return True


def _check_no_guest(candidates: Candidates, owner: UserId) -> None:
    """Refuse guests but the conversation's own: nobody knows who is behind another's name."""
    named_users = users().filter(pk__in={person for person, *_ in candidates.rows} - {owner, None})
    if guest := named_users.filter(guests()).first():
        text = _("{name} is a guest, who answers in their own conversations only.")
        raise Invalid(format_lazy(text, name=guest.get_username()))


def _check_enough(rules: Assignment, candidates: Candidates, owner: UserId) -> None:
    able = candidates.count_able(owner, four_eyes=rules.four_eyes)
    if able < rules.votes:
        few = _("It needs the answers of {votes} people, and {able} of these may answer.")
        raise Invalid(format_lazy(few, votes=rules.votes, able=able))


def hand_on(
    tx: Transaction,
    prompt: InteractionRecord,
    change: Change,
    candidates: Candidates,
    columns: JsonObject | None = None,
) -> None:
    """Hand a prompt on to these, who are among its candidates; only they where it is reassigned.

    The note of whoever did so last stays with it.
    """
    for_owner = candidates.has_owner(prompt.owner, four_eyes=prompt.audience.four_eyes) or (
        prompt.for_owner and change.action != Action.REASSIGNED
    )
    if for_owner != prompt.for_owner:
        step = 1 if for_owner else -1
        Conversation.objects.filter(pk=prompt.conversation_id).update(waiting=F("waiting") + step)
    columns = {"assignment": prompt.assignment, "for_owner": for_owner, **(columns or {})}
    detail: JsonObject = {"to": candidates.names}
    if change.note:
        detail["note"] = change.note
    if change.by and change.action != Action.ESCALATED:
        last_note = {"by": change.by.username, "text": change.note} if change.note else None
        columns["assignment"] = {**columns["assignment"], "note": last_note}
    assign(tx, prompt, change, columns, **detail)


def assign(
    tx: Transaction,
    prompt: InteractionRecord,
    change: Change,
    columns: JsonObject | None = None,
    **detail: object,
) -> None:
    """Store who has the prompt claimed from now on, if anybody, and have log and audit tell it."""
    action, by, assignee = change.action, change.by, change.assignee
    assignee_id = assignee.id if assignee else None
    sql.update(Interaction, {"assignee_id": assignee_id, **(columns or {})}, id=prompt.id)
    audit.record(tx, prompt.audited_prompt, action, by=by, via=change.via, **detail)
    name = assignee.username if assignee else None
    sequence = tell(tx, prompt, action, by, assignee=name, **detail)
    if action != Action.CLAIMED:
        about = (prompt.run_id, prompt.id)
        pending_signals.add(tx, "interaction_assigned", *about, sequence=sequence)


def tell(
    tx: Transaction,
    prompt: InteractionRecord,
    action: AuditEntry.Action,
    by: Person | None,
    **detail: object,
) -> int:
    """Have the log tell of a change that leaves the prompt open; returns its place there."""
    payload = {
        "interaction_id": str(prompt.id),
        "status": prompt.status,
        "change": action.value,
        "by": by.username if by else None,
        "at": tx.now.isoformat(),
        **detail,
    }
    return tx.append(prompt.run, Event.Type.ASSIGNMENT_UPDATE.value, payload)
