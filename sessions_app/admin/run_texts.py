"""The texts that describe runs."""

from django.contrib import admin
from django.db.models import F
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from sessions_app.admin import cells
from sessions_app.admin.people_texts import display_name
from sessions_app.models import Conversation, Run

TEXT_SHOWN = 80
# Why a run stopped, by the code of its error. What a workflow raises is an outcome, not a crash.
RAISED = "workflow_error"
CAUSES = {
    RAISED: "its code raised",
    "crashed": "its process died",
    "blocked": "it held up its process",
    "NonDeterminism": "its code does not match its journal",
    "UnknownVersion": "its version is not declared",
    "workflow_unavailable": "it cannot run here",
}


@admin.display(description="message")
def message(run: Run) -> str:
    """Return the beginning of the user message."""
    return run.title


def link(run: Run) -> str:
    """Link the run's page by its message."""
    page = reverse("admin:sessions_app_run_change", args=[run.pk])
    return format_html('<a href="{}">{}</a>', page, run.title)


@admin.display(description="status", ordering="status")
def state(run: Run) -> str:
    """Show the status in its colour, with why the run stopped."""
    reason = cause(run)
    if not reason:
        return format_html('<span class="state {0}">{0}</span>', run.status)
    line = '<span class="state {0}">{0}</span><br><span class="quiet">{1}</span>'
    return format_html(line, run.status, reason)


def cause(run: Run) -> str:
    """Say why the run stopped: the last line of its exception, or a text for the error's code.

    Empty where nothing went wrong.
    """
    error = run.error or {}
    code = str(error.get("code", ""))
    if code == RAISED and (lines := error.get("detail", "").strip().splitlines()):
        return Truncator(lines[-1]).chars(TEXT_SHOWN)
    return CAUSES.get(code, code)


@admin.display(description="began", ordering="created_at")
def began(run: Run) -> str:
    return cells.moment(run.created_at)


@admin.display(description="took", ordering=F("finished_at") - F("started_at"))
def took(run: Run) -> str:
    """Show how long the run took from its start to its end, waiting for people included."""
    return cells.took(run)


@admin.display(description="chat")
def chat(row: Run | Conversation) -> str:
    """Link the chat page of the conversation, which only its owner can open."""
    conversation = row.conversation if isinstance(row, Run) else row
    try:
        page = reverse("chat:conversation", args=[conversation.conversation_id])
    except NoReverseMatch:  # a project without the chat
        return "–"
    owner = conversation.owner.get_username()
    return format_html('<a href="{}">open the chat</a> (only {} can open it)', page, owner)


@admin.display(description="where")
def where(run: Run) -> str:
    """Link the run's conversation and its chat page."""
    conversation = run.conversation
    page = reverse("admin:sessions_app_conversation_change", args=[conversation.pk])
    line = '{} of {}, in <a href="{}">{}</a> · {}'
    owner = display_name(conversation.owner)
    return format_html(line, run.workflow, owner, page, conversation, chat(run))


@admin.display(description="process crashes")
def deaths(run: Run) -> int:
    """Count the process deaths since the run last got on.

    While the run is driven, its row already counts the death that may come.
    """
    return max(run.crashes - (run.status == Run.Status.RUNNING), 0)
