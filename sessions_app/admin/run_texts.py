"""Runs in words."""

from django.contrib import admin
from django.db.models import F
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from sessions_app.admin import cells
from sessions_app.models import Conversation, Run

SAID = 80
# Why a run stopped, by the code of its error. What a workflow raises is an outcome, not a crash.
RAISED = "workflow_error"
CAUSES = {
    RAISED: "its code raised",
    "crashed": "its process died",
    "blocked": "it held up its process",
    "NonDeterminism": "its code is another than its journal's",
    "UnknownVersion": "its version is not declared",
    "workflow_unavailable": "it cannot run here",
}


@admin.display(description="message")
def said(run: Run) -> str:
    """The beginning of the user message."""
    return Truncator(" ".join(run.text.split())).chars(SAID) or "(without a message)"


def link(run: Run) -> str:
    """To its page, by the message."""
    page = reverse("admin:sessions_app_run_change", args=[run.pk])
    return format_html('<a href="{}">{}</a>', page, said(run))


@admin.display(description="status", ordering="status")
def state(run: Run) -> str:
    """Its status, in its colour, with why it stopped."""
    reason = cause(run)
    if not reason:
        return format_html('<span class="state {0}">{0}</span>', run.status)
    line = '<span class="state {0}">{0}</span><br><span class="quiet">{1}</span>'
    return format_html(line, run.status, reason)


def cause(run: Run) -> str:
    """Why it stopped; empty where nothing went wrong. Of what its code raised, the last line."""
    error = run.error or {}
    code = str(error.get("code", ""))
    if code == RAISED and (lines := error.get("detail", "").strip().splitlines()):
        return Truncator(lines[-1]).chars(SAID)
    return CAUSES.get(code, code)


@admin.display(description="began", ordering="created_at")
def began(run: Run) -> str:
    return cells.moment(run.created_at)


@admin.display(description="took", ordering=F("finished_at") - F("started_at"))
def took(run: Run) -> str:
    """From its start to its end, the waiting for people included."""
    return cells.took(run)


@admin.display(description="chat")
def chat(row: Run | Conversation) -> str:
    """The way to the page of the conversation, which opens for its owner alone."""
    conversation = row.conversation if isinstance(row, Run) else row
    try:
        page = reverse("chat:conversation", args=[conversation.conversation_id])
    except NoReverseMatch:  # a project without the chat
        return "–"
    owner = conversation.owner.get_username()
    return format_html('<a href="{}">open the chat</a> (it opens for {} alone)', page, owner)


@admin.display(description="where")
def where(run: Run) -> str:
    """Its conversation, and the way to the chat."""
    conversation = run.conversation
    page = reverse("admin:sessions_app_conversation_change", args=[conversation.pk])
    line = '<a href="{}">{}</a>, {} of {} · {}'
    owner = conversation.owner.get_username()
    return format_html(line, page, conversation, conversation.workflow, owner, chat(run))


@admin.display(description="processes that died under it")
def deaths(run: Run) -> int:
    """Since it last got on. While it is being driven, the row counts the one that may."""
    return max(run.crashes - (run.status == Run.Status.RUNNING), 0)
