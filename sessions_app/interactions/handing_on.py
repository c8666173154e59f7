"""The delegation and reassignment of assigned prompts. Everything here blocks.

Each change is one transaction that also writes the log and the audit. Delegates are found by name,
except guests. A search by name reads all users, so it must not run within a write.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, F, Q, QuerySet, When
from django.utils.text import format_lazy
from django.utils.translation import pgettext_lazy

from sessions_app.errors import Invalid, UnknownAssignee
from sessions_app.interactions import assigning, audit, votes
from sessions_app.interactions.answerers import active_users, answerers, is_active, may_answer
from sessions_app.interactions.assigning import Candidates
from sessions_app.interactions.settlement import InteractionRecord
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Conversation, Event, Interaction, Vote
from sessions_app.models.people import Person, UserId, guests, is_guest, users
from sessions_app.prompts import check_note
from sessions_app.prompts.assignment import Assignee, StoredAssignment, assignment_of
from sessions_app.signals import pending_signals
from sessions_app.storage import sql
from sessions_app.storage.storable import is_storable
from sessions_app.storage.transaction import Transaction

Action = AuditEntry.Action

MOST_FOUND = 10
MIN_QUERY_LENGTH = 2  # minimum characters of a query: a single one would match nearly everybody
MOST_ALIKE = 50  # maximum number of people with the same name to read
MAX_NAME_LENGTH = 150  # maximum characters of a name or a query
MOST_WORDS = 5  # maximum number of words in a query: each costs a scan of all users
# Maximum number of people with a matching name to check: permissions may cost two queries each.
MOST_ASKED = 1000
NAMES = ("first_name", "last_name")


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a prompt's assignment; afterwards, `assignee` has the claim, or nobody."""

    action: Action
    by: Person | None
    via: str
    note: str = ""
    assignee: Person | None = None


def find_delegates(prompt: InteractionRecord, query: str, *, by: UserId) -> list[Person]:
    """Find the first few people with a matching name that can get the prompt from `by`.

    Each word of the query must begin a user name, or a word of a person's name. People who may
    answer come first; a query of less than `MIN_QUERY_LENGTH` characters finds only these.
    """
    if not is_storable(query):
        return []
    named_people = _has_name(query[:MAX_NAME_LENGTH]) & ~guests() & ~Q(pk=by)
    able = answerers(prompt.audience, matching=named_people, limit=MOST_ALIKE)
    voters = Vote.objects.filter(interaction=prompt.id).values("by")
    rows = _find_named(prompt, query, ~Q(pk=by)).exclude(pk__in=voters)
    if len(query.strip()) < MIN_QUERY_LENGTH:
        rows = rows.filter(pk__in=able)
    is_able = Case(When(pk__in=able, then=0), default=1)
    rows = rows.order_by(is_able, users().model.USERNAME_FIELD)
    return [Person.of(row) for row in rows[:MOST_FOUND] if is_active(row)]


def find_delegate(prompt: InteractionRecord, name: str) -> Person:
    """Return the user with this user name, else the only person with this name in any case.

    Raises:
        Invalid: nobody has the name, or several people do; the message lists their user names.
    """
    if not name.strip() or not is_storable(name) or is_guest(name):
        raise nobody(name)
    row = users().filter(**{users().model.USERNAME_FIELD: name}).first()
    if row is not None and is_active(row):
        return Person.of(row)
    people = [Person.of(row) for row in _find_named(prompt, name)[:MOST_ALIKE]]
    namesakes = [
        person for person in people if _folded(name) in map(_folded, (person.name, person.username))
    ]
    if len(namesakes) > 1:
        names = ", ".join(person.username for person in namesakes)
        text = pgettext_lazy(
            "hitl", "Several people are called “{name}”. Write one of their user names: {names}"
        )
        raise Invalid(format_lazy(text, name=name[:100], names=names))
    if not namesakes:
        raise nobody(name)
    return namesakes[0]


def is_closed(prompt: InteractionRecord) -> bool:
    """Return whether only candidates may get the prompt, as others may be second accounts."""
    assignment = assignment_of(prompt)
    return assignment is not None and (assignment.four_eyes or assignment.votes > 1)


def nobody(name: str) -> Invalid:
    """Make the error that there is no user with this name."""
    return Invalid(
        format_lazy(pgettext_lazy("hitl", "There is no user “{name}”."), name=name[:100])
    )


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _find_named(prompt: InteractionRecord, name: str, condition: Q | None = None) -> QuerySet[Any]:
    """Find active people with a matching name that can get the prompt, ordered by user name."""
    condition = _has_name(name[:MAX_NAME_LENGTH]) & ~guests() & (condition or Q())
    if is_closed(prompt):
        able = answerers(prompt.audience, matching=condition, limit=MOST_ASKED)
        condition &= Q(pk__in=able)
    return active_users().filter(condition).order_by(users().model.USERNAME_FIELD)


def _has_name(query: str) -> Q:
    """Build the condition that each of the query's first words begins a word of a user's names."""
    model = users().model
    columns = {field.name for field in model._meta.concrete_fields}  # noqa: SLF001 - Django's documented _meta
    condition = Q()
    for word in query.split()[:MOST_WORDS]:
        word_condition = Q(**{f"{model.USERNAME_FIELD}__istartswith": word})
        for name in columns.intersection(NAMES):
            word_condition |= Q(**{f"{name}__istartswith": word})
            word_condition |= Q(**{f"{name}__icontains": f" {word}"})
        condition &= word_condition
    return condition


def delegate(
    tx: Transaction, prompt: InteractionRecord, to: Person, *, note: str, by: Person, via: str
) -> None:
    """Hand the prompt to a person, and give that person the claim.

    Raises:
        Invalid: the person is not active, may not answer, or has voted.
    """
    if not is_active(users().filter(pk=to.id).first()):
        raise nobody(to.username)
    candidates = Candidates([(to.id, None, "")], [to.username])
    if not may_answer(to.id, prompt.audience):
        if is_closed(prompt):
            raise Invalid(
                format_lazy(pgettext_lazy("hitl", "{name} may not answer this."), name=to.username)
            )
        assigning.change(prompt.id, candidates)
    elif votes.has_voted(to.id, prompt.id):
        raise Invalid(
            format_lazy(
                pgettext_lazy("hitl", "{name} has voted on this already."), name=to.username
            )
        )
    votes.withdraw(by.id, prompt.id)
    change = Change(Action.DELEGATED, by, via, note, assignee=to)
    hand_on(tx, prompt, change, candidates, assignment_of(prompt) or StoredAssignment())


def reassign(
    tx: Transaction,
    prompt: InteractionRecord,
    to: list[Assignee],
    *,
    note: str = "",
    by: Person,
    via: str,
) -> bool:
    """Replace the candidates of a prompt, and drop any claim; False if the prompt is settled.

    Raises:
        Invalid: an assignee does not exist or is a guest, the assignees are too few for the
            prompt's rules, or the note is bad.
    """
    check_note(note)
    if prompt.status != Interaction.Status.PENDING:
        return False
    try:
        candidates = assigning.find(to)
    except UnknownAssignee as error:
        raise Invalid(f"{error.assignee} does not exist.") from error
    _check_no_guest(candidates, prompt.owner)
    assignment = assignment_of(prompt) or StoredAssignment()
    able = candidates.count_answerers(prompt.owner, four_eyes=assignment.four_eyes)
    if able < assignment.votes:
        few = pgettext_lazy(
            "hitl", "It needs the answers of {votes} people, and {able} of these may answer."
        )
        raise Invalid(format_lazy(few, votes=assignment.votes, able=able))
    if prompt.assignment is None:
        # A prompt without assignment has no audit entries yet: add the entry of its opening.
        audit.opened_entry(Interaction.objects.select_related("run").get(pk=prompt.id)).save()
    assigning.change(prompt.id, candidates, only=True)
    assignment = assignment.model_copy(update={"to": to, "names": candidates.names})
    hand_on(tx, prompt, Change(Action.REASSIGNED, by, via, note), candidates, assignment)
    return True


def _check_no_guest(candidates: Candidates, owner: UserId) -> None:
    """Refuse guests other than the conversation's owner: the identity of a guest is unknown."""
    named_users = users().filter(pk__in={person for person, *_ in candidates.rows} - {owner, None})
    if guest := named_users.filter(guests()).first():
        text = pgettext_lazy(
            "hitl", "{name} is a guest, who answers in their own conversations only."
        )
        raise Invalid(format_lazy(text, name=guest.get_username()))


def hand_on(
    tx: Transaction,
    prompt: InteractionRecord,
    change: Change,
    candidates: Candidates,
    assignment: StoredAssignment,
    **columns: object,
) -> None:
    """Store a new assignment of a prompt, whose candidate rows the caller has already added.

    A reassignment also ends the owner's right to answer, unless the owner is named. The prompt
    keeps the note of the last person to hand it on.
    """
    for_owner = candidates.has_owner(prompt.owner, four_eyes=prompt.audience.four_eyes) or (
        prompt.for_owner and change.action != Action.REASSIGNED
    )
    if for_owner != prompt.for_owner:
        step = 1 if for_owner else -1
        Conversation.objects.filter(pk=prompt.conversation_id).update(waiting=F("waiting") + step)
    detail: JsonObject = {"to": candidates.names}
    if change.note:
        detail["note"] = change.note
    if change.by and change.action != Action.ESCALATED:
        last_note = {"by": change.by.username, "text": change.note} if change.note else None
        assignment = assignment.model_copy(update={"note": last_note})
    columns |= {"assignment": assignment.model_dump(mode="json"), "for_owner": for_owner}
    assign(tx, prompt, change, columns, **detail)


def assign(
    tx: Transaction,
    prompt: InteractionRecord,
    change: Change,
    columns: JsonObject | None = None,
    **detail: object,
) -> None:
    """Set or remove the claim of the prompt, and write the change to the log and the audit."""
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
    """Append the event of a change that leaves the prompt open, and return its sequence number."""
    payload = {
        "interaction_id": str(prompt.id),
        "status": prompt.status,
        "change": action.value,
        "by": by.username if by else None,
        "at": tx.now.isoformat(),
        **detail,
    }
    return tx.append(prompt.run, Event.Type.ASSIGNMENT_UPDATE.value, payload)
