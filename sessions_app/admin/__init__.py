"""The operators' pages. Django finds this module and registers what it imports."""

from sessions_app.admin.conversation import ConversationAdmin
from sessions_app.admin.host import HostLeaseAdmin
from sessions_app.admin.interaction import InteractionAdmin
from sessions_app.admin.log import EventAdmin, JournalEntryAdmin
from sessions_app.admin.run import RunAdmin
from sessions_app.admin.worker import WorkerAdmin

__all__ = [
    "ConversationAdmin",
    "EventAdmin",
    "HostLeaseAdmin",
    "InteractionAdmin",
    "JournalEntryAdmin",
    "RunAdmin",
    "WorkerAdmin",
]
