"""The rows of the runtime: one noun per file."""

from sessions_app.models.announcement import Announcement
from sessions_app.models.arrival import Arrival
from sessions_app.models.conversation import Conversation
from sessions_app.models.event import Event
from sessions_app.models.interaction import Interaction
from sessions_app.models.journal import JournalEntry
from sessions_app.models.lease import HostLease
from sessions_app.models.pending_signal import PendingSignal
from sessions_app.models.process import Process
from sessions_app.models.run import Run

__all__ = [
    "Announcement",
    "Arrival",
    "Conversation",
    "Event",
    "HostLease",
    "Interaction",
    "JournalEntry",
    "PendingSignal",
    "Process",
    "Run",
]
