"""The operators' pages. Django finds this module and registers what it imports."""

from django.contrib import admin

from sessions_app.contrib.operations.admin.audit_pages import AuditEntryAdmin
from sessions_app.contrib.operations.admin.conversation_pages import (
    AttachmentAdmin,
    ConversationAdmin,
    FeedbackAdmin,
)
from sessions_app.contrib.operations.admin.event_pages import EventAdmin, JournalEntryAdmin
from sessions_app.contrib.operations.admin.host_pages import HostLeaseAdmin, ProcessAdmin
from sessions_app.contrib.operations.admin.notice_pages import NoticeAdmin
from sessions_app.contrib.operations.admin.prompt_pages import InteractionAdmin
from sessions_app.contrib.operations.admin.run_pages import RunAdmin

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
