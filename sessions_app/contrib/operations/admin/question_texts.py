"""The texts of prompts and their outcomes, as sentences."""

from typing import Any

from django.contrib import admin
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin import cells
from sessions_app.contrib.operations.admin.cells import due, moment
from sessions_app.contrib.operations.admin.people_texts import display_name
from sessions_app.interactions.outcome_texts import outcome
from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction
from sessions_app.prompts import load_prompt, type_of
from sessions_app.prompts.hidden_characters import mark
from sessions_app.templatetags.detail_tags import decision, visible

TITLE = 140
# Who waits longest without a deadline comes behind all that have one.
BY_DEADLINE = (F("expires_at").asc(nulls_last=True), "created_at")


@admin.display(description=_("question"))
def title(interaction: Interaction) -> str:
    """Return the beginning of the question."""
    return beginning(interaction.prompt)


def beginning(prompt: JsonObject) -> str:
    """Return the beginning of the question of a stored prompt."""
    question = type_of(prompt["input_type"]).title(prompt)
    return Truncator(mark(" ".join(question.split()))).chars(TITLE)


@admin.display(description=_("question"))
def question(interaction: Interaction) -> str:
    """Show the whole question; empty where the title has all of it."""
    if interaction.prompt.get("text") == title(interaction):
        return ""
    return format_html('<div class="said">{}</div>', visible(interaction.prompt.get("text", "")))


@admin.display(description=_("details"))
def details(interaction: Interaction) -> str:
    """Render the details and arguments that people see below the question."""
    return render_to_string("sessions_app/decision.html", decision(interaction.prompt))


@admin.display(description=_("it takes"))
def possible_answers(interaction: Interaction) -> str:
    """Name the possible answers by the labels that people see."""
    prompt = load_prompt(interaction.prompt)
    kind = prompt.how_many or gettext(prompt.takes)
    labels = [(option.label,) for option in prompt.choices]
    if not labels:
        return kind
    return format_html("{}: {}", kind, format_html_join(" · ", "<b>{}</b>", labels))


@admin.display(description=_("answer"))
def answer(interaction: Interaction) -> str:
    """Show the outcome in a line, and who gave it; empty while the prompt is pending."""
    outcome_text = outcome(interaction)
    if outcome_text is None:
        return ""
    cell = '{} <br><span class="quiet">{}</span>'
    return format_html(cell, outcome_text.line, show_settlement(interaction))


@admin.display(description=_("answer"))
def whole_answer(interaction: Interaction) -> str:
    """Show the whole answer; empty while the prompt is pending."""
    outcome_text = outcome(interaction)
    if outcome_text is None:
        return ""
    return format_html('<div class="said">{}</div>', outcome_text.full or outcome_text.line)


@admin.display(description=_("answered by, via, at"))
def show_settlement(interaction: Interaction) -> str:
    """Show who settled the prompt, through which door, and when."""
    outcome_text = outcome(interaction)
    if outcome_text is None:
        return ""
    by = interaction.answered_by
    person = " ".join(filter(None, (display_name(by) if by else outcome_text.by, outcome_text.via)))
    return format_html("{} {}", person, moment(outcome_text.at))


@admin.display(description=_("expires"))
def expires(interaction: Interaction) -> str:
    """Show the deadline: from now while the prompt is pending, else as a date."""
    pending = interaction.status == Interaction.Status.PENDING
    return due(interaction.expires_at) if pending else moment(interaction.expires_at)


@admin.display(description=_("asked"), ordering="created_at")
def show_asked_at(interaction: Interaction) -> str:
    """Show when the prompt was asked."""
    return moment(interaction.created_at)


@admin.display(description=_("status"))
def state(interaction: Interaction) -> str:
    """Show the status in its colour."""
    return cells.colored(interaction.status)


@admin.display(description=_("at the deadline"))
def at_deadline(interaction: Interaction) -> str:
    """Say what happens if nobody answers, and when."""
    pending = interaction.status == Interaction.Status.PENDING
    if interaction.expires_at is None:
        return gettext("It never expires.") if pending else ""
    effect = consequence(interaction)
    if not pending:
        return format_html("{}: {}", moment(interaction.expires_at), effect)
    at = interaction.expires_at
    return format_html("{}, {}: {}", due(at), moment(at), effect)


def consequence(interaction: Interaction) -> str:
    """Say what the workflow gets at the deadline."""
    prompt = load_prompt(interaction.prompt)
    default = prompt.default_answer()
    if default is None:
        return gettext("the workflow is told that nobody answered")
    answer = prompt.answer_text(default)
    return gettext("it continues with “%(answer)s”") % {"answer": answer}


@admin.display(description=_("question"))
def link(interaction: Interaction) -> str:
    """Link the interaction's page by its question."""
    page = reverse("admin:sessions_app_interaction_change", args=[interaction.pk])
    return format_html('<a href="{}">{}</a>', page, title(interaction))


@admin.display(description=_("run"))
def run_link(row: Any) -> str:
    """Link the page of the row's run by workflow and message."""
    run = row.run
    page = reverse("admin:sessions_app_run_change", args=[run.pk])
    cell = '<a href="{}">{}</a> <br><span class="quiet">{}</span>'
    return format_html(cell, page, run.title, run.workflow)
