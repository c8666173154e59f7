"""A run with its journal, as a file: what replay needs to know of it, and nothing else."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from django.utils import timezone
from pydantic import BaseModel, ConfigDict

from sessions_app.journal.journal import Entry, Journal
from sessions_app.journal.stop_point import StopPoint
from sessions_app.json_types import JsonObject
from sessions_app.models import JournalEntry, Run
from sessions_app.models.people import Person
from sessions_app.workflows.history import PastMessage, read_messages


class RunHistory(BaseModel):
    """A run's recorded history, as `manage.py export_history` writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    recorded_at: datetime
    run: UUID
    status: str
    workflow: str
    version: int
    patches: dict[str, int]
    text: str
    client_format: str
    message_id: str
    conversation_id: str
    user: Person
    metadata: JsonObject
    # Where it was stopped, if it cleaned up then.
    stop: StopPoint | None = None
    journal: list[Entry]
    # What calls of `context.history` gave, by position.
    past: dict[int, list[PastMessage]]

    @classmethod
    def of(cls, run: UUID) -> Self:
        """Read the history of a run as it stands.

        Raises:
            Run.DoesNotExist: there is none of that id.
        """
        row = Run.objects.select_related("conversation__owner").get(pk=run)
        journal = Journal.load(row.id).entries
        return cls(
            recorded_at=timezone.now(),
            run=row.id,
            status=row.status,
            workflow=row.workflow,
            version=row.version or 1,
            patches=row.patches or {},
            text=row.text,
            client_format=row.client_format,
            message_id=row.message_id,
            conversation_id=row.conversation.conversation_id,
            user=Person.of(row.conversation.owner),
            metadata=row.metadata,
            stop=None if row.stop_point is None else StopPoint.model_validate(row.stop_point),
            journal=journal,
            past={
                entry.call.position: read_messages(
                    entry.result, 2 * len(entry.result), entry.sequence
                )
                for entry in journal
                if entry.call.kind == JournalEntry.Kind.HISTORY
            },
        )

    def to_journal(self) -> Journal:
        """Return the journal, to be replayed."""
        return Journal({entry.call.position: entry for entry in self.journal}, self.patches)
