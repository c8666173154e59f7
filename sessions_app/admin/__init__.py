"""The operators' pages. Django finds this module and registers what it imports."""

from django.contrib import admin

from sessions_app.admin.audit_pages import AuditEntryAdmin
from sessions_app.admin.conversation_pages import AttachmentAdmin, ConversationAdmin, FeedbackAdmin
from sessions_app.admin.event_pages import EventAdmin, JournalEntryAdmin
from sessions_app.admin.lease_pages import HostLeaseAdmin, ProcessAdmin
from sessions_app.admin.notice_pages import NoticeAdmin
from sessions_app.admin.prompt_pages import InteractionAdmin
from sessions_app.admin.run_pages import RunAdmin

__all__ = [
    "AttachmentAdmin",
    "AuditEntryAdmin",
    "ConversationAdmin",
    "EventAdmin",
    "FeedbackAdmin",
    "HostLeaseAdmin",
    "InteractionAdmin",
    "JournalEntryAdmin",
    "NoticeAdmin",
    "ProcessAdmin",
    "RunAdmin",
]

# The first page has the overview, unless the project has chosen a template of its own.
if admin.site.index_template is None:
    admin.site.index_template = "admin/sessions_app/index.html"
