"""The operators' pages. Django finds this module and registers what it imports."""

from sessions_app.admin.conversation import ConversationAdmin
from sessions_app.admin.events import EventAdmin, JournalEntryAdmin
from sessions_app.admin.given import AttachmentAdmin, FeedbackAdmin
from sessions_app.admin.lease import HostLeaseAdmin
from sessions_app.admin.process import ProcessAdmin
from sessions_app.admin.prompts.audit_entry import AuditEntryAdmin
from sessions_app.admin.prompts.interaction import InteractionAdmin
from sessions_app.admin.run import RunAdmin

__all__ = [
    "AttachmentAdmin",
    "AuditEntryAdmin",
    "ConversationAdmin",
    "EventAdmin",
    "FeedbackAdmin",
    "HostLeaseAdmin",
    "InteractionAdmin",
    "JournalEntryAdmin",
    "ProcessAdmin",
    "RunAdmin",
]
