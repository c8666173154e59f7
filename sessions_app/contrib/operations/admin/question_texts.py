"""The admin's columns about prompts: the question, the people asked, and the outcome."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator
from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.contrib.operations.admin import cells
from sessions_app.contrib.operations.admin.read_only import USERNAME
from sessions_app.interactions.answerers import PromptAudience, answerers, have_groups
from sessions_app.interactions.votes import counting_votes
from sessions_app.json_types import JsonObject
from sessions_app.models import Candidate, Interaction
from sessions_app.models.people import UserId, users
from sessions_app.prompts import question_title
from sessions_app.prompts.assignment import assignment_of
from sessions_app.prompts.hidden_characters import mark
from sessions_app.questions.question_view import QuestionView
from sessions_app.templatetags.detail_tags import decision, visible

MAX_TITLE_LENGTH = 140
# Order by deadline; prompts without one come last, the oldest first.
BY_DEADLINE = (F("expires_at").asc(nulls_last=True), "created_at")
ROWS_SHOWN = 100
PEOPLE_SHOWN = 20
ASSIGNEE_TEXTS = {
    "user": pgettext_lazy("hitl", "the user %(name)s"),
    "group": pgettext_lazy("hitl", "the group %(name)s"),
    "permission": pgettext_lazy("hitl", "the permission %(name)s"),
}


@admin.display(description=pgettext_lazy("hitl", "question"))
def title(interaction: Interaction) -> str:
    """Return the beginning of the question's first line."""
    return beginning(interaction.prompt)


def beginning(prompt: JsonObject) -> str:
    """Return the beginning of the first line of a stored prompt's question."""
    return Truncator(mark(" ".join(question_title(prompt).split()))).chars(MAX_TITLE_LENGTH)


@admin.display(description=pgettext_lazy("hitl", "question"))
def question(interaction: Interaction) -> str:
    """Return the whole question as HTML; empty if the page's title already shows all of it."""
    text = QuestionView.of(interaction).shown_text
    if text == title(interaction):
        return ""
    return format_html('<div class="said">{}</div>', visible(text))


@admin.display(description=pgettext_lazy("hitl", "details"))
def details(interaction: Interaction) -> str:
    """Render the details and arguments that people see below the question."""
    prompt = QuestionView.of(interaction).prompt
    return render_to_string("sessions_app/decision.html", decision(prompt))


@admin.display(description=pgettext_lazy("hitl", "answer type"))
def possible_answers(interaction: Interaction) -> str:
    """Name the possible answers by the labels that people see."""
    prompt = QuestionView.of(interaction).prompt
    kind = prompt.how_many or str(prompt.takes)
    labels = [(option.label,) for option in prompt.choices]
    if not labels:
        return kind
    return format_html("{}: {}", kind, format_html_join(" · ", "<b>{}</b>", labels))


@admin.display(description=pgettext_lazy("hitl", "answer"))
def reply(interaction: Interaction) -> str:
    """Return the outcome in short, and who settled the prompt; empty while it is pending."""
    if not (text := QuestionView.of(interaction).outcome):
        return ""
    cell = '{} <br><span class="quiet">{}</span>'
    return format_html(cell, text.line, settled_by(interaction))


@admin.display(description=pgettext_lazy("hitl", "answer"))
def whole_answer(interaction: Interaction) -> str:
    """Show the whole answer; empty while the prompt is pending."""
    text = QuestionView.of(interaction).outcome
    return format_html('<div class="said">{}</div>', text.full or text.line) if text else ""


@admin.display(description=pgettext_lazy("hitl", "answered by, via, at"))
def settled_by(interaction: Interaction) -> str:
    """Show the person and the front end that settled the prompt, and the time."""
    if not (text := QuestionView.of(interaction).outcome):
        return ""
    by = interaction.answered_by
    person = " ".join(filter(None, (cells.display_name(by) if by else text.by, text.via)))
    return format_html("{} {}", person, cells.moment(text.at))


def until(interaction: Interaction, at: datetime | None) -> str:
    """Return a deadline: the time left while the prompt is pending, else date and time."""
    return cells.due(at) if interaction.status == Interaction.Status.PENDING else cells.moment(at)


@admin.display(description=pgettext_lazy("hitl", "at the deadline"))
def at_deadline(interaction: Interaction) -> str:
    """Return the deadline, and what follows if nobody answers."""
    pending, at = interaction.status == Interaction.Status.PENDING, interaction.expires_at
    if at is None:
        return pgettext("hitl", "It never expires.") if pending else ""
    when = format_html("{}, {}", cells.due(at), cells.moment(at)) if pending else cells.moment(at)
    return format_html("{}: {}", when, consequence(interaction))


def consequence(interaction: Interaction) -> str:
    """Describe what the workflow gets at the deadline: the default, or an error."""
    answer = QuestionView.of(interaction).default
    if not answer:
        return pgettext("hitl", "the workflow is told that nobody answered")
    return pgettext("hitl", "then: %(answer)s") % {"answer": answer}


@admin.display(description=pgettext_lazy("hitl", "asked of"))
def whom(interaction: Interaction) -> str:
    """Name the people asked: the conversation's owner, or the candidates and the claimant."""
    view = QuestionView.of(interaction)
    if view.assignment is None:
        return cells.display_name(interaction.run.conversation.owner)
    return view.waits_for if view.is_pending else view.names


@admin.display(description=pgettext_lazy("hitl", "rules"))
def rules(interaction: Interaction) -> str:
    """Show the rules of an assignment: votes, four eyes, sharing, reminders, escalations."""
    assignment = QuestionView.of(interaction).rules
    texts = [
        pgettext("hitl", "%(count)s must give the same answer") % {"count": assignment.votes}
        if assignment.votes > 1
        else "",
        pgettext("hitl", "not the owner of the conversation") if assignment.four_eyes else "",
        pgettext("hitl", "they may read the conversation") if assignment.share else "",
        *(
            pgettext("hitl", "reminds %(time)s before it is due") % {"time": _span(before)}
            for before in assignment.remind
        ),
        *(
            pgettext("hitl", "unanswered after %(time)s, also %(names)s")
            % {
                "time": _span(escalation.after),
                "names": ", ".join(_named(to.kind, to.name) for to in escalation.to),
            }
            for escalation in assignment.escalate
        ),
    ]
    return ". ".join(filter(None, texts))


def _named(kind: str, name: object) -> str:
    """Return words for an assignee: a group, a user or the holders of a permission."""
    return str(ASSIGNEE_TEXTS[kind] % {"name": name})


def _span(seconds: float) -> str:
    return cells.show_duration(timedelta(seconds=seconds))


@admin.display(description=pgettext_lazy("hitl", "candidates"))
def candidates(interaction: Interaction) -> str:
    """List the candidates; members of groups and holders of permissions are looked up at the
    answer.
    """
    rows = interaction.candidates.select_related("user", "group").order_by("pk")[:ROWS_SHOWN]
    return ", ".join(
        _named("permission", candidate.permission)
        if candidate.permission
        else _named("group", candidate.group)
        if candidate.group
        else cells.display_name(candidate.user)
        for candidate in rows
    )


@admin.display(description=pgettext_lazy("hitl", "votes"))
def votes(interaction: Interaction) -> str:
    """List the votes with their voters, and mark the votes that do not count now."""
    view = QuestionView.of(interaction)
    rows = interaction.votes.select_related("by").order_by("at", "pk")[:ROWS_SHOWN]
    count = {vote.pk for vote in counting_votes([interaction]).get(interaction.pk, ())}
    lines = [
        (
            cells.display_name(vote.by),
            view.answer_text(vote.response),
            cells.moment(vote.at),
            ""
            if vote.pk in count
            else pgettext("hitl", " does not count: this person may not answer now"),
        )
        for vote in rows
    ]
    return format_html_join("", "{}: {} ({}){}<br>", lines)


@admin.display(description=pgettext_lazy("hitl", "who can answer now"))
def who_can_answer(interaction: Interaction) -> str:
    """List the people allowed to answer a pending prompt, with the groups that allow them."""
    if interaction.status != Interaction.Status.PENDING:
        return ""
    able = users().filter(pk__in=answerers(PromptAudience.of(interaction)))
    people = list(able.order_by(USERNAME)[: PEOPLE_SHOWN + 1])
    if not people:
        nobody = pgettext("hitl", "nobody: reassign it, or escalate it")
        return format_html('<span class="wrong">{}</span>', nobody)
    groups = _asked_groups(interaction, people)
    lines = [
        (cells.display_name(person), ", ".join(groups.get(person.pk, ()))) for person in people
    ]
    shown = format_html_join("", "<li>{} <small>{}</small></li>", lines[:PEOPLE_SHOWN])
    more = (
        pgettext("hitl", "and %(count)s more") % {"count": able.count() - PEOPLE_SHOWN}
        if lines[PEOPLE_SHOWN:]
        else ""
    )
    lacking = _lacking(interaction, len(people))
    return format_html("{}{}<ul>{}</ul>{}", _claim(interaction), lacking, shown, more)


def _lacking(interaction: Interaction, able: int) -> str:
    """Say that a question needs the votes of more people than may answer; "" if it does not."""
    rules = assignment_of(interaction)
    if rules is None or rules.votes <= able:
        return ""
    text = pgettext("hitl", "too few for %(count)s votes: reassign it, or escalate it")
    return format_html('<span class="wrong">{}</span>', text % {"count": rules.votes})


def _asked_groups(interaction: Interaction, people: Sequence[Any]) -> dict[UserId, list[str]]:
    """Return for each person the groups by which the question names the person as candidate."""
    by_person: dict[UserId, list[str]] = {}
    if have_groups():
        asked = Candidate.objects.filter(interaction=interaction, group__isnull=False)
        members = users().filter(
            pk__in=[person.pk for person in people], groups__in=asked.values("group")
        )
        for person, group in members.order_by("groups__name").values_list("pk", "groups__name"):
            by_person.setdefault(person, []).append(group)
    return by_person


def _claim(interaction: Interaction) -> str:
    if interaction.assignee is None:
        return ""
    words = pgettext("hitl", "%(name)s has claimed it: the others may answer once it is released.")
    return words % {"name": cells.display_name(interaction.assignee)}


@admin.display(description=pgettext_lazy("hitl", "question"))
def link(interaction: Interaction) -> str:
    """Return a link to the interaction's page, with the question as text."""
    page = reverse("admin:sessions_app_interaction_change", args=[interaction.pk])
    return format_html('<a href="{}">{}</a>', page, title(interaction))


@admin.display(description=pgettext_lazy("hitl", "run"))
def run_link(row: Any) -> str:
    """Return a link to the page of the row's run, with workflow and message as text."""
    run = row.run
    page = reverse("admin:sessions_app_run_change", args=[run.pk])
    cell = '<a href="{}">{}</a> <br><span class="quiet">{}</span>'
    return format_html(cell, page, run.title, run.workflow)
