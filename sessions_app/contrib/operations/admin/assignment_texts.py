"""The texts for whom a prompt is, and what happened to it."""

from datetime import timedelta

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations import audit_trail
from sessions_app.contrib.operations.admin.audit_sentences import read_sentences
from sessions_app.contrib.operations.admin.cells import due, moment, show_duration
from sessions_app.contrib.operations.admin.people_texts import display_name
from sessions_app.interactions.outcome_texts import waits_for
from sessions_app.interactions.votes import counting_votes
from sessions_app.models import Interaction
from sessions_app.prompts import load_prompt
from sessions_app.prompts.assignment import Assignment

ROWS_SHOWN = 100
KINDS = {
    "user": _("the user %(name)s"),
    "group": _("the group %(name)s"),
    "permission": _("the permission %(name)s"),
}


@admin.display(description=_("asked of"))
def whom(interaction: Interaction) -> str:
    """Name the people asked: the conversation's owner, or the candidates and who has claimed."""
    if interaction.assignment is None:
        return display_name(interaction.run.conversation.owner)
    if interaction.status == Interaction.Status.PENDING:
        return waits_for(interaction)
    return ", ".join(interaction.assignment.get("names", ()))


@admin.display(description=_("due"))
def is_due(interaction: Interaction) -> str:
    """Show when a prompt is due: from now while it is pending, else as a date."""
    pending = interaction.status == Interaction.Status.PENDING
    return due(interaction.due_at) if pending else moment(interaction.due_at)


@admin.display(description=_("rules"))
def rules(interaction: Interaction) -> str:
    """Show the rules of an assignment: votes, four eyes, and where it escalates."""
    if interaction.assignment is None:
        return ""
    assignment = Assignment.model_validate(interaction.assignment)
    texts = [
        gettext("%(count)s must give the same answer") % {"count": assignment.votes}
        if assignment.votes > 1
        else "",
        gettext("not the owner of the conversation") if assignment.four_eyes else "",
        gettext("they may read the conversation") if assignment.share else "",
        *(
            gettext("reminds %(time)s before it is due") % {"time": _span(before)}
            for before in assignment.remind
        ),
        *(
            gettext("unanswered after %(time)s, also %(names)s")
            % {
                "time": _span(escalation.after),
                "names": ", ".join(_named(to.kind, to.name) for to in escalation.to),
            }
            for escalation in assignment.escalate
        ),
    ]
    return ". ".join(filter(None, texts))


def _named(kind: str, name: object) -> str:
    """Name a group, a user or the holders of a permission."""
    return str(KINDS[kind] % {"name": name})


def _span(seconds: float) -> str:
    return show_duration(timedelta(seconds=seconds))


@admin.display(description=_("candidates"))
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
        else display_name(candidate.user)
        for candidate in rows
    )


@admin.display(description=_("votes"))
def votes(interaction: Interaction) -> str:
    """List the votes with their voters, and which of them do not count now."""
    prompt = load_prompt(interaction.prompt)
    rows = interaction.votes.select_related("by").order_by("at", "pk")[:ROWS_SHOWN]
    count = {vote.pk for vote in counting_votes([interaction]).get(interaction.pk, ())}
    lines = [
        (
            display_name(vote.by),
            prompt.answer_text(vote.response),
            moment(vote.at),
            "" if vote.pk in count else gettext(" does not count: this person may not answer now"),
        )
        for vote in rows
    ]
    return format_html_join("", "{}: {} ({}){}<br>", lines)


@admin.display(description=_("audit"))
def audit_table(interaction: Interaction) -> str:
    """Show the audit of a prompt as sentences, the newest last."""
    entries = audit_trail.of_prompt(interaction)[-ROWS_SHOWN:]
    lines = zip(entries, read_sentences(entries), strict=True)
    rows = ((moment(entry.at), sentence.html, entry.address) for entry, sentence in lines)
    cells = "<tr><td>{}</td><td>{}</td><td>{}</td></tr>"
    return format_html("<table>{}</table>", format_html_join("", cells, rows))
