"""Claims of assigned prompts: while one holds, nobody else answers.

Each change is one transaction, in which the log and the audit have it too.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import F
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid, NotFound, UnknownAssignee
from sessions_app.interactions import audit, candidates, votes
from sessions_app.interactions.candidates import may_answer
from sessions_app.interactions.settlement import InteractionRecord, find_interactions
from sessions_app.models import AuditEntry, Conversation, Event, Interaction
from sessions_app.models.people import Person, UserId, users
from sessions_app.prompts.assignment import Assignee, Assignment, user
from sessions_app.signals import pending_signals
from sessions_app.storage import sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer

Action = AuditEntry.Action
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """How a prompt stands after somebody wanted to claim it, or to give it away.

    `changed`: it came to be so by that. `assignee` is the user name of whose claim holds.
    """

    changed: bool
    status: str
    assignee: str | None

    @property
    def outcome(self) -> str:
        """In the words of `answers.Outcome`."""
        if self.changed:
            return "accepted"
        return "claimed" if self.status == Interaction.Status.PENDING else "stale"


async def change(what: str, interaction: str, *, to: str = "", by: Person, via: str) -> Claimed:
    """`claim` a prompt, if nobody else has; `release` one's claim; or `delegate` the prompt to the
    user of the name `to`, who has it claimed then.

    Raises:
        NotFound: it is none of those that this person may answer.
        Invalid: there is no such user, or they may not answer.
    """
    return await writer.write(changing(what, interaction, to=to, by=by, via=via))


def changing(what: str, interaction: str, *, to: str = "", by: Person, via: str) -> Work[Claimed]:
    """What `change` has done, for whoever has a transaction of their own."""

    def work(tx: Transaction) -> Claimed:
        found = find_assigned(interaction, by)
        if found is None:
            raise NotFound
        match what:
            case "claim":
                return _claim(tx, found, by, via)
            case "release":
                return _release(tx, found, by, via)
        return _delegate(tx, found, to, by, via)

    return audit.from_here(work)


def find_assigned(interaction: str, by: Person) -> InteractionRecord | None:
    """The prompt, if it is assigned and this person may answer it; settled ones too."""
    if not sql.is_uuid(interaction):
        return None
    for found in find_interactions(interaction=UUID(interaction), kept=True):
        if found.assignment is not None and may_answer(by.id, found.asked):
            return found
    return None


def _claim(tx: Transaction, it: InteractionRecord, by: Person, via: str) -> Claimed:
    if it.status != Interaction.Status.PENDING or it.assignee is not None:
        return standing(it)
    if votes.has_voted(by.id, it.id):
        raise Invalid(_("You have voted on this. Leave it to the others."))
    return _assign(tx, it, by, Action.CLAIMED, by=by, via=via)


def _release(tx: Transaction, it: InteractionRecord, by: Person, via: str) -> Claimed:
    if it.status != Interaction.Status.PENDING or it.assignee != by.id:
        return standing(it)
    return _assign(tx, it, None, Action.RELEASED, by=by, via=via)


def _delegate(tx: Transaction, it: InteractionRecord, to: str, by: Person, via: str) -> Claimed:
    if it.status != Interaction.Status.PENDING or it.assignee not in (None, by.id):
        return standing(it)
    try:
        found = candidates.find([user(to)])
    except (UnknownAssignee, ValueError) as error:
        raise Invalid(format_lazy(_("There is no user “{name}”."), name=to[:100])) from error
    other = Person.of(users().get(pk=found.users[0]))
    rules = Assignment.model_validate(it.assignment)
    if not may_answer(other.id, it.asked):
        if rules.four_eyes or rules.votes > 1:  # one person could be several users
            raise Invalid(format_lazy(_("{name} may not answer this."), name=other.username))
        candidates.add(it.id, found)
    elif votes.has_voted(other.id, it.id):
        raise Invalid(format_lazy(_("{name} has voted on this already."), name=other.username))
    votes.withdraw(by.id, it.id)
    columns = _for_owner(it, it.for_owner or found.has_owner(it.owner, four_eyes=rules.four_eyes))
    to_name = [other.username]
    return _assign(tx, it, other, Action.DELEGATED, by=by, via=via, columns=columns, to=to_name)


def reassign(
    tx: Transaction, it: InteractionRecord, to: list[Assignee], *, by: Person, via: str
) -> bool:
    """It is theirs, and of nobody else; no claim holds any more. False if it is settled.

    Raises:
        Invalid: one of them does not exist, or they are too few for its rules.
    """
    if it.status != Interaction.Status.PENDING:
        return False
    try:
        found = candidates.find(to)
    except UnknownAssignee as error:
        raise Invalid(f"There is no {error.who}.") from error
    rules = {**(it.assignment or {}), "to": [one.model_dump() for one in to]}
    rules["names"] = found.names
    _check_enough(Assignment.model_validate(rules), found, it.owner)
    candidates.replace(it.id, found)
    for_owner = found.has_owner(it.owner, four_eyes=bool(rules.get("four_eyes")))
    columns = {"assignment": rules, **_for_owner(it, for_owner)}
    _assign(tx, it, None, Action.REASSIGNED, by=by, via=via, columns=columns, to=found.names)
    return True


def _for_owner(it: InteractionRecord, for_owner: bool) -> dict[str, bool]:
    """Return the column that says whether the owner may answer, and count what waits for them."""
    if for_owner != it.for_owner:
        step = 1 if for_owner else -1
        Conversation.objects.filter(pk=it.conversation_id).update(waiting=F("waiting") + step)
    return {"for_owner": for_owner}


def _check_enough(rules: Assignment, found: candidates.Found, owner: UserId) -> None:
    if found.groups or found.permissions:  # whose members may change
        return
    able = set(found.users) - ({owner} if rules.four_eyes else set())
    if len(able) < rules.votes:
        raise Invalid(
            f"It needs the answers of {rules.votes} people, and {len(able)} of these may answer."
        )


def escalate(tx: Transaction, it: InteractionRecord, *, by: Person | None, via: str) -> bool:
    """It is also for those that the next of its escalations names. False if there is none left."""
    rules = Assignment.model_validate(it.assignment)
    if it.status != Interaction.Status.PENDING or not rules.escalate:
        return False
    this, *later = rules.escalate
    found = candidates.Found()
    for one in this.to:
        try:
            candidates.extend(found, one)
        except UnknownAssignee as error:  # it was there when this was asked
            log.warning("assignment.nobody", interaction=str(it.id), reason=str(error))
    candidates.add(it.id, found)
    gap = timedelta(seconds=later[0].after - this.after) if later else None
    left = {
        **(it.assignment or {}),
        "escalate": [one.model_dump(mode="json") for one in later],
        "names": [*(it.assignment or {})["names"], *found.names],
    }
    for_owner = it.for_owner or found.has_owner(it.owner, four_eyes=rules.four_eyes)
    columns = {
        "assignment": left,
        "escalates_at": tx.now + gap if gap else None,
        **_for_owner(it, for_owner),
    }
    _assign(tx, it, None, Action.ESCALATED, by=by, via=via, columns=columns, to=found.names)
    return True


def _assign(  # noqa: PLR0913 - all that a change is
    tx: Transaction,
    it: InteractionRecord,
    assignee: Person | None,
    action: AuditEntry.Action,
    *,
    by: Person | None,
    via: str,
    columns: dict[str, Any] | None = None,
    **detail: Any,
) -> Claimed:
    changes = {"assignee_id": assignee.id if assignee else None, **(columns or {})}
    sql.update(Interaction, changes, id=it.id)
    audit.record(tx, it.audited, action, by=by, via=via, **detail)
    name = assignee.username if assignee else None
    sequence = tell(tx, it, action, by, assignee=name, **detail)
    if action in (Action.DELEGATED, Action.REASSIGNED, Action.ESCALATED):
        pending_signals.add(tx, "interaction_assigned", it.run_id, it.id, sequence=sequence)
    return Claimed(True, it.status, name)


def tell(
    tx: Transaction,
    it: InteractionRecord,
    action: AuditEntry.Action,
    by: Person | None,
    **detail: Any,
) -> int:
    """Have the log tell of a change that leaves the prompt open; returns its place there."""
    payload = {
        "interaction_id": str(it.id),
        "status": it.status,
        "change": action.value,
        "by": by.username if by else None,
        "at": tx.now.isoformat(),
        **detail,
    }
    return tx.append(it.run, Event.Type.ASSIGNMENT_UPDATE.value, payload)


def standing(it: InteractionRecord) -> Claimed:
    """How it is, unchanged."""
    assignee = it.assignee and users().filter(pk=it.assignee).first()
    return Claimed(False, it.status, assignee.get_username() if assignee else None)
