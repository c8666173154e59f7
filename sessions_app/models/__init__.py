"""The rows of the runtime: one noun per file."""

from sessions_app.models.announcement import Announcement
from sessions_app.models.assigned.audit_entry import AuditEntry
from sessions_app.models.assigned.candidate import Candidate
from sessions_app.models.assigned.vote import Vote
from sessions_app.models.conversation import Conversation
from sessions_app.models.event import Event
from sessions_app.models.given.arrival import Arrival
from sessions_app.models.given.attachment import AttachedFile, Attachment, attached
from sessions_app.models.given.feedback import Feedback
from sessions_app.models.interaction import Interaction
from sessions_app.models.journal import JournalEntry
from sessions_app.models.lease import HostLease
from sessions_app.models.pending_signal import PendingSignal
from sessions_app.models.process import Process
from sessions_app.models.run import Run

__all__ = [
    "Announcement",
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
    "attached",
]
