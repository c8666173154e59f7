"""The rows of the runtime: one noun per file."""

from sessions_app.models.arrival import Arrival
from sessions_app.models.attachment import AttachedFile, Attachment, attached_files
from sessions_app.models.audit_entry import AuditEntry
from sessions_app.models.candidate import Candidate
from sessions_app.models.conversation import Conversation
from sessions_app.models.event import Event
from sessions_app.models.feedback import Feedback
from sessions_app.models.host_lease import HostLease
from sessions_app.models.interaction import Interaction
from sessions_app.models.journal_entry import JournalEntry
from sessions_app.models.pending_signal import PendingSignal
from sessions_app.models.process import Process
from sessions_app.models.run import Run
from sessions_app.models.vote import Vote

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
