"""Claims of assigned prompts: while one holds, nobody else answers.

Each change is one transaction, in which the log and the audit have it too.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from uuid import UUID

from django.db.models import F
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid, NotFound, UnknownAssignee
from sessions_app.interactions import assigning, audit, audit_trail, votes
from sessions_app.interactions.answerers import PromptAudience, is_active, may_answer
from sessions_app.interactions.assigning import Candidates
from sessions_app.interactions.delegates import find_delegate, find_delegates, is_closed, nobody
from sessions_app.interactions.settlement import InteractionRecord, find_interactions
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import AuditEntry, Conversation, Event, Interaction
from sessions_app.models.people import Person, UserId, guests, is_guest, users
from sessions_app.prompts import check_note
from sessions_app.prompts.assignment import Assignee, Assignment
from sessions_app.signals import pending_signals
from sessions_app.storage import reads, sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer

Action = AuditEntry.Action
NO_PROMPT = "There is no such prompt."
log = Log(__name__)

# A search by name reads all users: one of each person at a time.
_searches = reads.Shares(1)


@dataclass(frozen=True, slots=True)
class ClaimState:
    """The state of a prompt after a change of its claim.

    `changed`: the change took effect. `assignee` is the user name of whose claim holds.
    """

    changed: bool
    status: str
    assignee: str | None

    @property
    def outcome(self) -> str:
        """The outcome, in the words of `answers.Outcome`."""
        if self.changed:
            return "accepted"
        return "claimed" if self.status == Interaction.Status.PENDING else "stale"


async def change(
    action: str, interaction: str, *, to: str = "", note: str = "", by: Person, via: str
) -> ClaimState:
    """Claim or release a prompt, or delegate it.

    `claim` takes it if nobody else has; `release` gives up one's claim; `delegate` hands it, with
    the note, to the person of the name `to`, who has it claimed then. The name is looked up before
    the transaction, which looks up their rights.

    Raises:
        NotFound: it is none of those that this person may answer.
        Invalid: there is no such user, or they may not answer; or a guest would hand it on.
    """
    check_note(note)
    delegate: Person | ClaimState | None = None
    if action == "delegate":
        look_up = partial(reads.read_for, by.id, _find_delegate, interaction, to, by)
        delegate = await _searches.run(by.id, look_up)
    if isinstance(delegate, ClaimState):
        return delegate
    work = build_change(action, interaction, delegate=delegate, note=note, by=by, via=via)
    return await writer.write(work)


def build_change(
    action: str,
    interaction: str,
    *,
    delegate: Person | None = None,
    note: str = "",
    by: Person,
    via: str,
) -> Work[ClaimState]:
    """Build the work behind `change`, for callers that hold a transaction."""

    def work(tx: Transaction) -> ClaimState:
        prompt = find_assigned(interaction, by)
        if prompt is None:
            raise NotFound(NO_PROMPT)
        holders = {"claim": (None,), "release": (by.id,)}.get(action, (None, by.id))
        if prompt.status != Interaction.Status.PENDING or holder(prompt, by) not in holders:
            return claim_state(prompt)
        if action == "release":
            return _assign(tx, prompt, None, Action.RELEASED, by=by, via=via)
        if delegate is not None:
            return _delegate(tx, prompt, delegate, note, by=by, via=via)
        if votes.has_voted(by.id, prompt.id):
            raise Invalid(_("You have voted. The others decide now."))
        return _assign(tx, prompt, by, Action.CLAIMED, by=by, via=via)

    return audit.from_here(work)


def find_assigned(interaction: str, by: Person, *, locked: bool = True) -> InteractionRecord | None:
    """Return the prompt, if it is assigned and this person may answer it; settled ones too."""
    if not sql.is_uuid(interaction):
        return None
    for prompt in find_interactions(interaction=UUID(interaction), undeleted=True, locked=locked):
        if prompt.assignment is not None and may_answer(by.id, prompt.audience):
            return prompt
    return None


def holder(prompt: InteractionRecord, by: Person) -> UserId | None:
    """Return whose claim keeps others from the prompt, `by` among them; None if nobody's does.

    That of a person who may not answer any more, such as one who has left the group, keeps nobody.
    """
    assignee = prompt.assignee
    if assignee in (None, by.id) or may_answer(assignee, prompt.audience):
        return assignee
    return None


def lost_claims(most: int) -> list[UUID]:
    """Return waiting prompts that are claimed by people who may not answer any more."""
    prompts = Interaction.objects.select_related("conversation__owner").filter(
        status=Interaction.Status.PENDING, assignee__isnull=False
    )
    lost = (
        prompt.pk
        for prompt in prompts
        if prompt.assignee_id and not may_answer(prompt.assignee_id, PromptAudience.of(prompt))
    )
    return list(islice(lost, most))


def release_lost(tx: Transaction, interaction: UUID) -> None:
    """Release the claim of a person who may not answer any more; the others are told."""
    for prompt in find_interactions(interaction=interaction, pending=True):
        if prompt.assignee and not may_answer(prompt.assignee, prompt.audience):
            _assign(tx, prompt, None, Action.RELEASED, by=None, via="")


async def find_people(interaction: str, query: str, by: Person) -> list[Person]:
    """Find people of such a name to whom this person can hand the prompt on now; a guest nobody.

    Raises:
        NotFound: it is none of those that this person may answer.
    """

    def find() -> list[Person]:
        prompt, is_free = _find_to_hand_on(interaction, by)
        may_search = is_free and not is_guest(by.username)
        return find_delegates(prompt, query, by=by.id) if may_search else []

    return await _searches.run(by.id, partial(reads.read_for, by.id, find))


def _find_delegate(interaction: str, name: str, by: Person) -> Person | ClaimState:
    """Return the person of the name, or how the prompt stands that `by` cannot hand on now."""
    prompt, is_free = _find_to_hand_on(interaction, by)
    if not is_free:
        return claim_state(prompt)
    if is_guest(by.username):
        raise Invalid(_("A guest cannot hand a question on. Answer it, or leave it to others."))
    return find_delegate(prompt, name)


def _find_to_hand_on(interaction: str, by: Person) -> tuple[InteractionRecord, bool]:
    """Return a prompt that this person may answer, and whether it waits and no other has it."""
    prompt = find_assigned(interaction, by)
    if prompt is None:
        raise NotFound(NO_PROMPT)
    is_pending = prompt.status == Interaction.Status.PENDING
    return prompt, is_pending and holder(prompt, by) in (None, by.id)


def _delegate(
    tx: Transaction, prompt: InteractionRecord, delegate: Person, note: str, *, by: Person, via: str
) -> ClaimState:
    if not is_active(users().filter(pk=delegate.id).first()):
        raise nobody(delegate.username)
    candidates = Candidates([(delegate.id, None, "")], [delegate.username])
    if not may_answer(delegate.id, prompt.audience):
        if is_closed(prompt):
            raise Invalid(format_lazy(_("{name} may not answer this."), name=delegate.username))
        assigning.change(prompt.id, candidates)
    elif votes.has_voted(delegate.id, prompt.id):
        raise Invalid(format_lazy(_("{name} has voted on this already."), name=delegate.username))
    votes.withdraw(by.id, prompt.id)
    return _hand_on(
        tx, prompt, Action.DELEGATED, candidates, assignee=delegate, by=by, via=via, note=note
    )


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
        audit_trail.store_opened(prompt.id)
    assigning.change(prompt.id, candidates, only=True)
    assignment = {**(prompt.assignment or {}), **rules.model_dump(mode="json")}
    columns: JsonObject = {"assignment": {**assignment, "names": candidates.names}}
    _hand_on(tx, prompt, Action.REASSIGNED, candidates, by=by, via=via, note=note, columns=columns)
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


def escalate(tx: Transaction, prompt: InteractionRecord, *, by: Person | None, via: str) -> bool:
    """Offer the prompt also to the people of its next escalation. False if there is none left."""
    if prompt.status != Interaction.Status.PENDING or prompt.assignment is None:
        return False
    rules = Assignment.model_validate(prompt.assignment)
    if not rules.escalate:
        return False
    step, *later = rules.escalate
    candidates = Candidates()
    for assignee in step.to:
        try:
            candidates.add(assignee)
        except UnknownAssignee as error:  # it was there when this was asked
            log.warning("assignment.nobody", interaction=str(prompt.id), reason=str(error))
    assigning.change(prompt.id, candidates)
    gap = timedelta(seconds=later[0].after - step.after) if later else None
    assignment = prompt.assignment
    columns: JsonObject = {
        "assignment": {
            **assignment,
            "to": [*assignment["to"], *(one.model_dump() for one in step.to)],
            "escalate": [escalation.model_dump(mode="json") for escalation in later],
            "names": [*assignment["names"], *candidates.names],
        },
        "escalates_at": tx.now + gap if gap is not None else None,
    }
    _hand_on(tx, prompt, Action.ESCALATED, candidates, by=by, via=via, columns=columns)
    return True


def _hand_on(  # noqa: PLR0913 - all that a change is
    tx: Transaction,
    prompt: InteractionRecord,
    action: AuditEntry.Action,
    candidates: Candidates,
    *,
    assignee: Person | None = None,
    by: Person | None,
    via: str,
    note: str = "",
    columns: JsonObject | None = None,
) -> ClaimState:
    """Hand a prompt on to these, who are among its candidates; only they where it is reassigned.

    The note of whoever did so last stays with it.
    """
    for_owner = candidates.has_owner(prompt.owner, four_eyes=prompt.audience.four_eyes) or (
        prompt.for_owner and action != Action.REASSIGNED
    )
    if for_owner != prompt.for_owner:
        step = 1 if for_owner else -1
        Conversation.objects.filter(pk=prompt.conversation_id).update(waiting=F("waiting") + step)
    columns = {"assignment": prompt.assignment, "for_owner": for_owner, **(columns or {})}
    detail: JsonObject = {"to": candidates.names, **({"note": note} if note else {})}
    if by and action != Action.ESCALATED:
        last_note = {"by": by.username, "text": note} if note else None
        columns["assignment"] = {**columns["assignment"], "note": last_note}
    return _assign(tx, prompt, assignee, action, by=by, via=via, columns=columns, **detail)


def _assign(  # noqa: PLR0913 - all that a change is
    tx: Transaction,
    prompt: InteractionRecord,
    assignee: Person | None,
    action: AuditEntry.Action,
    *,
    by: Person | None,
    via: str,
    columns: JsonObject | None = None,
    **detail: object,
) -> ClaimState:
    changes = {"assignee_id": assignee.id if assignee else None, **(columns or {})}
    sql.update(Interaction, changes, id=prompt.id)
    audit.record(tx, prompt.audited_prompt, action, by=by, via=via, **detail)
    name = assignee.username if assignee else None
    sequence = tell(tx, prompt, action, by, assignee=name, **detail)
    if action != Action.CLAIMED:
        about = (prompt.run_id, prompt.id)
        pending_signals.add(tx, "interaction_assigned", *about, sequence=sequence)
    return ClaimState(True, prompt.status, name)


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


def claim_state(prompt: InteractionRecord) -> ClaimState:
    """Return how the prompt stands, unchanged."""
    assignee = prompt.assignee and users().filter(pk=prompt.assignee).first()
    return ClaimState(False, prompt.status, assignee.get_username() if assignee else None)
