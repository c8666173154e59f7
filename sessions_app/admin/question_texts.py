"""Prompts and what became of them, as sentences."""

from typing import Any

from django.contrib import admin
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator

from sessions_app.admin.cells import due, moment
from sessions_app.interactions.outcome_texts import outcome
from sessions_app.models import Interaction
from sessions_app.prompts import load_prompt
from sessions_app.prompts.details import rows

TITLE = 140
# Who waits longest without a deadline comes behind all that have one.
BY_DEADLINE = (F("expires_at").asc(nulls_last=True), "created_at")


@admin.display(description="question")
def title(interaction: Interaction) -> str:
    """The beginning of the question."""
    return Truncator(" ".join(str(interaction.prompt.get("text", "")).split())).chars(TITLE)


@admin.display(description="question")
def question(interaction: Interaction) -> str:
    """All of the question."""
    return format_html('<div class="said">{}</div>', interaction.prompt.get("text", ""))


@admin.display(description="details")
def details(interaction: Interaction) -> str:
    """What people see below the question."""
    shown = {"rows": rows(interaction.prompt.get("details", {}))}
    return render_to_string("sessions_app/details.html", shown)


@admin.display(description="it takes")
def wanted(interaction: Interaction) -> str:
    """What answers it takes, by the labels that people see."""
    prompt = load_prompt(interaction.prompt)
    kind = prompt.how_many or prompt.takes
    labels = [(option.label,) for option in prompt.choices]
    if not labels:
        return kind
    return format_html("{}: {}", kind, format_html_join(" · ", "<b>{}</b>", labels))


@admin.display(description="answer")
def answer(interaction: Interaction) -> str:
    """What came of it, in a line; nothing while it waits."""
    settled = outcome(interaction)
    return settled.line if settled else ""


@admin.display(description="answer")
def whole_answer(interaction: Interaction) -> str:
    """All of the answer, or that there is none."""
    settled = outcome(interaction)
    if settled is None:
        return "none yet"
    return format_html('<div class="said">{}</div>', settled.full or settled.line)


@admin.display(description="answered by, via, at", ordering="answered_at")
def settled_by(interaction: Interaction) -> str:
    """Who settled it, through which door, and when."""
    settled = outcome(interaction)
    if settled is None:
        return ""
    how = " ".join(filter(None, (settled.by, settled.via)))
    return format_html("{} {}", how, moment(settled.at))


@admin.display(description="expires", ordering=F("expires_at").asc(nulls_last=True))
def expires(interaction: Interaction) -> str:
    """Its deadline: from now while it waits."""
    pending = interaction.status == Interaction.Status.PENDING
    return due(interaction.expires_at) if pending else moment(interaction.expires_at)


@admin.display(description="asked", ordering="created_at")
def asked(interaction: Interaction) -> str:
    """When."""
    return moment(interaction.created_at)


@admin.display(description="status", ordering="status")
def state(interaction: Interaction) -> str:
    """Its status, in its colour."""
    return format_html('<span class="state {0}">{0}</span>', interaction.status)


@admin.display(description="at the deadline")
def at_deadline(interaction: Interaction) -> str:
    """What happens when nobody answers."""
    if interaction.expires_at is None:
        return "It waits for as long as it takes."
    then = consequence(interaction)
    if interaction.status != Interaction.Status.PENDING:
        return format_html("{}: {}", moment(interaction.expires_at), then)
    at = interaction.expires_at
    return format_html("{}, at {}: {}", due(at), moment(at), then)


def consequence(interaction: Interaction) -> str:
    """What the workflow gets at the deadline."""
    prompt = load_prompt(interaction.prompt)
    default = prompt.default_answer()
    if default is None:
        return "the workflow is told that nobody answered"
    return f"it goes on with “{prompt.answer_text(default)}”"


@admin.display(description="question")
def link(interaction: Interaction) -> str:
    """To its page, with the question."""
    page = reverse("admin:sessions_app_interaction_change", args=[interaction.pk])
    return format_html('<a href="{}">{}</a>', page, title(interaction))


@admin.display(description="run")
def run_link(row: Any) -> str:
    """To the page of the row's run, by workflow and message."""
    run = row.run
    page = reverse("admin:sessions_app_run_change", args=[run.pk])
    said = Truncator(run.text).chars(40) or "without a message"
    workflow = run.conversation.workflow
    return format_html('<a href="{}">{}</a><br>{}', page, said, workflow)
