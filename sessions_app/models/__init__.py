"""The rows of the runtime; each file holds the rows that belong together."""

from sessions_app.models.attachment import AttachedFile, Attachment, attached_files
from sessions_app.models.audit_entry import AuditEntry
from sessions_app.models.conversation import Conversation, Event
from sessions_app.models.host_lease import HostLease, Process
from sessions_app.models.interaction import Candidate, Interaction, Vote
from sessions_app.models.pending_signal import PendingSignal
from sessions_app.models.run import Arrival, Feedback, JournalEntry, Run

__all__ = [
    "Arrival",
    "AttachedFile",
    "Attachment",
    "AuditEntry",
    "Candidate",
    "Conversation",
    "Event",
    "Feedback",
    "HostLease",
    "Interaction",
    "JournalEntry",
    "PendingSignal",
    "Process",
    "Run",
    "Vote",
    "attached_files",
]
