"""Assigning a prompt: when it is asked, and when that changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sessions_app.interactions import audit, candidates
from sessions_app.interactions.audit import Audited
from sessions_app.interactions.candidates import Place
from sessions_app.models import AuditEntry
from sessions_app.models.candidate import NEVER
from sessions_app.models.people import UserId
from sessions_app.prompts.assignment import Assignment
from sessions_app.signals import pending_signals
from sessions_app.signals.pending_signals import Notice
from sessions_app.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Assigned:
    """An assignment with those that it names, as they were found when it was asked."""

    assignment: Assignment
    found: candidates.Found
    for_owner: bool
    owner: UserId

    def columns(self, now: datetime) -> dict[str, Any]:
        """What an interaction has of it."""
        due, escalate = self.assignment.due, self.assignment.escalate
        return {
            "assignment": self.stored,
            "for_owner": self.for_owner,
            "due_at": now + timedelta(seconds=due) if due else None,
            "escalates_at": now + timedelta(seconds=escalate[0].after) if escalate else None,
        }

    def reminders(self, now: datetime, about: Audited) -> Iterator[Notice]:
        """What is to be sent before it is due."""
        for before in self.assignment.remind:
            due_at = now + timedelta(seconds=(self.assignment.due or 0) - before)
            said = {"before": before}
            yield Notice("interaction_due_soon", about.run, about.interaction, due_at, said)

    @property
    def stored(self) -> dict[str, Any]:
        """The assignment as it is stored, with the names that people read."""
        return {**self.assignment.model_dump(mode="json"), "names": self.found.names}


def resolve(assignment: Assignment, owner: UserId) -> Assigned:
    """Look up whom it names. Blocks.

    Raises:
        UnknownAssignee: there is no such user or group, also where it escalates to.
    """
    for later in assignment.escalate:
        candidates.find(later.to)
    found = candidates.find(assignment.to)
    for_owner = found.has_owner(owner, four_eyes=assignment.four_eyes)
    return Assigned(assignment, found, for_owner, owner)


def assign(tx: Transaction, assigned: Assigned, about: Audited) -> None:
    """The prompt was asked, and is theirs."""
    due, expires = assigned.assignment.due, about.prompt["timeout"]
    seconds = due or expires
    place = Place(tx.now + timedelta(seconds=seconds) if seconds else NEVER, tx.now, assigned.owner)
    candidates.create(about.interaction, assigned.found, place)
    audit.record(tx, about, AuditEntry.Action.OPENED, **assigned.stored)
    pending_signals.put_off(tx, assigned.reminders(tx.now, about))
