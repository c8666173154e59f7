"""The assignment of a prompt to candidates, when it is asked or reassigned. Everything here blocks.

Candidates are rows; members of groups and holders of permissions are looked up at the answer.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

from django.contrib.auth.models import Group

from sessions_app.errors import TooFewPeople, UnknownAssignee
from sessions_app.interactions import audit
from sessions_app.interactions.answerers import is_active
from sessions_app.interactions.audit import AuditedPrompt
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Candidate, Interaction
from sessions_app.models.interaction import NEVER
from sessions_app.models.people import UserId, users
from sessions_app.prompts.assignment import Assignee, PromptAssignment
from sessions_app.signals import pending_signals
from sessions_app.signals.pending_signals import Notice
from sessions_app.storage.transaction import Transaction


@dataclass(slots=True)
class Candidates:
    """The named users, groups and permissions, one per row, with `names` for display."""

    rows: list[tuple[UserId | None, int | None, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def add(self, assignee: Assignee) -> None:
        """Look up one assignee, and add its row and name.

        Raises:
            UnknownAssignee: there is no such user or group.
        """
        name = assignee.name
        match assignee.kind:
            case "user":
                person = users().filter(**{users().model.USERNAME_FIELD: name}).first()
                if person is None or not is_active(person):
                    raise UnknownAssignee(str(assignee))
                self.rows.append((person.pk, None, ""))
                name = getattr(person, "get_full_name", str)() or name
            case "group":
                group = Group.objects.filter(name=name).values_list("pk", flat=True).first()
                if group is None:
                    raise UnknownAssignee(str(assignee))
                self.rows.append((None, group, ""))
            case "permission":
                self.rows.append((None, None, name))
        self.names.append(name)

    def has_owner(self, owner: UserId, *, four_eyes: bool) -> bool:
        """Return whether the owner of the conversation is named as a user, and may answer."""
        return (owner, None, "") in self.rows and not four_eyes

    def count_answerers(self, owner: UserId, *, four_eyes: bool) -> float:
        """Count the possible answerers: infinity if a group or a permission is named."""
        people = {person for person, *_ in self.rows}
        if None in people:
            return inf
        return len(people - ({owner} if four_eyes else set()))


@dataclass(frozen=True, slots=True)
class ResolvedAssignment:
    """An assignment with the database rows of its assignees, as of the time of asking."""

    assignment: PromptAssignment
    candidates: Candidates
    for_owner: bool
    owner: UserId

    def columns(self, now: datetime) -> JsonObject:
        """Return the values of the interaction's columns that store the assignment."""
        due, escalate = self.assignment.due, self.assignment.escalate
        return {
            "assignment": self.stored,
            "for_owner": self.for_owner,
            "due_at": now + timedelta(seconds=due) if due else None,
            "escalates_at": now + timedelta(seconds=escalate[0].after) if escalate else None,
        }

    def reminders(self, now: datetime, about: AuditedPrompt) -> Iterator[Notice]:
        """Yield the reminders to be sent before the prompt is due."""
        for before in self.assignment.remind:
            due_at = now + timedelta(seconds=(self.assignment.due or 0) - before)
            payload = {"before": before}
            yield Notice("interaction_due_soon", about.run, about.interaction, due_at, payload)

    @property
    def stored(self) -> JsonObject:
        """The assignment as JSON for storage, with the assignees' display names."""
        return {**self.assignment.model_dump(mode="json"), "names": self.candidates.names}


def find(assignees: Sequence[Assignee]) -> Candidates:
    """Look up the users, groups and permissions that assignees name.

    Raises:
        UnknownAssignee: there is no such user or group.
    """
    candidates = Candidates()
    for assignee in assignees:
        candidates.add(assignee)
    return candidates


def resolve(assignment: PromptAssignment, owner: UserId) -> ResolvedAssignment:
    """Look up the assignees of an assignment. Blocks.

    Raises:
        TooFewPeople: the assignees can never give the needed votes, and there is no escalation.
        UnknownAssignee: there is no such user or group, also in an escalation.
    """
    for later in assignment.escalate:
        find(later.to)
    candidates = find(assignment.to)
    able = candidates.count_answerers(owner, four_eyes=assignment.four_eyes)
    if able < assignment.votes and not assignment.escalate:
        raise TooFewPeople(assignment.votes, int(able))
    for_owner = candidates.has_owner(owner, four_eyes=assignment.four_eyes)
    return ResolvedAssignment(assignment, candidates, for_owner, owner)


def assign(tx: Transaction, resolved: ResolvedAssignment, about: AuditedPrompt) -> None:
    """Store the candidates, the audit entry and the reminders of a prompt that was just asked."""
    seconds = resolved.assignment.due or about.prompt["timeout"]
    due = tx.now + timedelta(seconds=seconds) if seconds else NEVER
    _create(about.interaction, resolved.candidates, (due, tx.now, resolved.owner))
    audit.record(tx, about, AuditEntry.Action.OPENED, **resolved.stored)
    pending_signals.put_off(tx, resolved.reminders(tx.now, about))


def change(interaction: UUID, candidates: Candidates, *, only: bool = False) -> None:
    """Add candidates to the prompt; with `only`, they replace the present candidates."""
    rows = Candidate.objects.filter(interaction=interaction)
    if only:
        rows.delete()
    columns = ("due_at", "expires_at", "created_at", "conversation__owner")
    due, expires, created_at, owner = Interaction.objects.values_list(*columns).get(pk=interaction)
    existing_rows = set(rows.values_list("user", "group", "permission"))
    _create(interaction, candidates, (due or expires or NEVER, created_at, owner), existing_rows)


def _create(
    interaction: UUID,
    candidates: Candidates,
    order: tuple[datetime, datetime, UserId],
    existing_rows: Collection[tuple[object, ...]] = (),
) -> None:
    """Insert the missing candidate rows; `order` is (due time, time of asking, owner)."""
    due, asked_at, owner = order
    Candidate.objects.bulk_create(
        Candidate(
            interaction_id=interaction,
            user_id=user,
            group_id=group,
            permission=permission,
            due=due,
            asked_at=asked_at,
            owner_id=owner,
        )
        for user, group, permission in candidates.rows
        if (user, group, permission) not in existing_rows
    )
