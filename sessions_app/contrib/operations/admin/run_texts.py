"""The texts that describe runs."""

from contextlib import suppress

from django.apps import apps
from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin import cells
from sessions_app.contrib.operations.admin.cells import display_name
from sessions_app.contrib.operations.admin.read_only import USERNAME
from sessions_app.models import Conversation, Run

TEXT_SHOWN = 80
# By these a search finds runs, and what belongs to them.
NAMES = (
    "pk__exact",
    "conversation__exact",
    "conversation__conversation_id__exact",
    f"conversation__owner__{USERNAME}__exact",
)
NAMES_HELP = _("Finds whole ids of runs and conversations, and whole user names of their owners.")
# Why a run stopped, by the code of its error. What a workflow raises is an outcome, not a crash.
RAISED = "workflow_error"
CAUSES = {
    RAISED: _("its code raised"),
    "crashed": _("its process died"),
    "blocked": _("it held up its process"),
    "NonDeterminism": _("its code does not match its journal"),
    "UnknownVersion": _("its version is not declared"),
    "workflow_unavailable": _("it cannot run here"),
}


@admin.display(description=_("message"))
def message(run: Run) -> str:
    """Return the beginning of the user message."""
    return run.title


def link(run: Run) -> str:
    """Link the run's page by its message."""
    page = reverse("admin:sessions_app_run_change", args=[run.pk])
    return format_html('<a href="{}">{}</a>', page, run.title)


@admin.display(description=_("status"))
def state(run: Run) -> str:
    """Show the status in its colour, with why the run stopped."""
    reason = cause(run)
    if not reason:
        return cells.colored(run.status)
    line = '{}<br><span class="quiet">{}</span>'
    return format_html(line, cells.colored(run.status), reason)


def cause(run: Run) -> str:
    """Say why the run stopped: the last line of its exception, or a text for the error's code.

    Empty where nothing went wrong.
    """
    error = run.error or {}
    code = str(error.get("code", ""))
    if code == RAISED and (lines := error.get("detail", "").strip().splitlines()):
        return Truncator(lines[-1]).chars(TEXT_SHOWN)
    return str(CAUSES.get(code, code))


@admin.display(description=_("began"), ordering="created_at")
def began(run: Run) -> str:
    return cells.moment(run.created_at)


@admin.display(description=_("chat"))
def chat(row: Run | Conversation) -> str:
    """Link the chat page of the conversation, which only its owner can open."""
    conversation = row.conversation if isinstance(row, Run) else row
    page = _page(conversation)
    if not page:
        return "–"
    owner = conversation.owner.get_username()
    only = gettext("only %(owner)s can open it") % {"owner": owner}
    return format_html('<a href="{}">{}</a> ({})', page, gettext("open the chat"), only)


def _page(conversation: Conversation) -> str:
    """Return the address of the conversation's page. Empty where no application has such pages, or
    the project does not serve them.
    """
    for config in apps.get_app_configs():
        if name := getattr(config, "conversation_url", ""):
            with suppress(NoReverseMatch):
                return reverse(name, args=[conversation.conversation_id])
    return ""


@admin.display(description=_("where"))
def where(run: Run) -> str:
    """Link the run's conversation and its chat page."""
    conversation = run.conversation
    page = reverse("admin:sessions_app_conversation_change", args=[conversation.pk])
    line = '{} · {} · <a href="{}">{}</a> · {}'
    owner = display_name(conversation.owner)
    return format_html(line, run.workflow, owner, page, conversation, chat(run))


@admin.display(description=_("process crashes"))
def deaths(run: Run) -> int:
    """Count the process deaths since the run last got on.

    While the run is driven, its row already counts the death that may come.
    """
    return max(run.crashes - (run.status == Run.Status.RUNNING), 0)
