"""The waits of runs, as a column of lists, and as sentences at the top of a run's page."""

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import npgettext, pgettext, pgettext_lazy

from sessions_app.contrib.operations.admin import attention, cells, question_texts, run_texts
from sessions_app.interactions.answerers import lacking_votes, somebody_may_answer
from sessions_app.models import Interaction, JournalEntry, Run
from sessions_app.prompts.assignment import assignment_of

Kind = JournalEntry.Kind
WORK = (Kind.STEP, Kind.STREAM)
# Maximum number of waits listed on a run's page.
LINES_SHOWN = 5
CELLS = {
    Kind.WAIT: pgettext_lazy("hitl", "event"),
    Kind.SLEEP: pgettext_lazy("hitl", "timer"),
    Kind.RUN: pgettext_lazy("hitl", "child run"),
}
CALLS = {
    Kind.WAIT: pgettext_lazy("hitl", "Waits {time} for the event {subject}"),
    Kind.SLEEP: pgettext_lazy("hitl", "Waits {time}, and goes on {subject}"),
    Kind.RUN: pgettext_lazy("hitl", "Waits {time} for the run {subject}"),
    Kind.STEP: pgettext_lazy("hitl", "Working {time} on {subject}"),
    Kind.STREAM: pgettext_lazy("hitl", "Working {time} on {subject}"),
}
STATUSES = {
    Run.Status.QUEUED: pgettext_lazy("hitl", "Queued for {time}"),
    Run.Status.RUNNING: pgettext_lazy("hitl", "Working for {time}"),
    Run.Status.WAITING: pgettext_lazy("hitl", "Waiting for {time}"),
    Run.Status.SUSPENDED: pgettext_lazy("hitl", "Suspended {time} ago"),
    Run.Status.COMPLETED: pgettext_lazy("hitl", "Done {time} ago"),
    Run.Status.FAILED: pgettext_lazy("hitl", "Failed {time} ago"),
    Run.Status.CANCELLED: pgettext_lazy("hitl", "Stopped {time} ago"),
}


@dataclass(frozen=True, slots=True)
class Wait:
    """An open question or call of a run, its start, and the person or event that it waits for."""

    since: datetime
    subject: str
    call: JournalEntry | None = None
    prompt: Interaction | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence on a run's page; a question can be answered or reassigned beside it."""

    text: str
    prompt: Interaction | None = None


def note_waits(runs: Sequence[Any]) -> None:
    """Set `waits` on each run: open questions and calls, read in three queries altogether."""
    going_on = {run.pk: run for run in runs if run.status in Run.UNFINISHED}
    waits: dict[UUID, list[Wait]] = defaultdict(list)
    prompts = Interaction.objects.filter(attention.PENDING, run__in=going_on)
    for prompt in prompts.prefetch_related("assignee"):
        prompt.run = going_on[prompt.run_id]
        waits[prompt.run_id].append(
            Wait(prompt.created_at, attention.asked_of(prompt), prompt=prompt)
        )
    kinds = (*WORK, Kind.WAIT, Kind.SLEEP, Kind.RUN)
    calls = JournalEntry.objects.filter(run__in=going_on, kind__in=kinds, finished_at=None)
    children = {
        (child.parent_id, child.parent_position): child
        for child in Run.objects.filter(parent__in=going_on)
    }
    for call in calls:
        subject = _subject(call, going_on[call.run_id], children.get((call.run_id, call.position)))
        waits[call.run_id].append(Wait(call.started_at, subject, call=call))
    for run in runs:
        run.waits = sorted(waits[run.pk], key=lambda wait: wait.since)


def _subject(call: JournalEntry, run: Run, child: Run | None) -> str:
    if call.kind == Kind.SLEEP:
        return cells.due(run.wake_at)
    return run_texts.link(child) if child else call.name


@admin.display(description=pgettext_lazy("hitl", "waits for"))
def waits_for(run: Any) -> str:
    """Return the first wait of a run, and the number of its other waits."""
    waits = [wait for wait in run.waits if wait.call is None or wait.call.kind not in WORK]
    if not waits:
        return ""
    first, others = waits[0], len(waits) - 1
    more = npgettext("hitl", "and %(count)s other", "and %(count)s others", others) % {
        "count": others
    }
    kind = CELLS[Kind(first.call.kind)] if first.call else ""
    return format_html(
        '{} {} <span class="quiet">{}</span>', kind, first.subject, more if others else ""
    )


def lines(run: Any) -> list[Line]:
    """Describe the state of a run: a sentence for each of its first waits, or for its status."""
    if not run.waits or run.stop_requested_at:
        return [Line(_status(run))]
    shown = run.waits[:LINES_SHOWN]
    prompts = [wait.prompt for wait in shown if wait.prompt]
    asked = Interaction.objects.filter(pk__in=[prompt.pk for prompt in prompts])
    stuck = asked.exclude(somebody_may_answer()).values_list("pk", flat=True)
    stuck_ids = set(stuck) if prompts else set()
    if any((rules := assignment_of(prompt)) and rules.votes > 1 for prompt in prompts):
        stuck_ids |= set(lacking_votes(asked))
    return [Line(_sentence(wait, stuck_ids), wait.prompt) for wait in shown]


def _sentence(wait: Wait, stuck_ids: Container[UUID]) -> str:
    time, subject = cells.brief_age(wait.since), format_html("<em>{}</em>", wait.subject)
    if wait.call is not None:
        return format_html(str(CALLS[Kind(wait.call.kind)]), time=time, subject=subject)
    text = format_html(pgettext("hitl", "Waits {time} for {subject}"), time=time, subject=subject)
    if wait.prompt and wait.prompt.pk in stuck_ids:
        nobody = pgettext("hitl", "nobody can answer")
        text = format_html('{} – <strong class="wrong">{}</strong>', text, nobody)
    return format_html("{}: {}", text, question_texts.link(wait.prompt)) if wait.prompt else text


def _status(run: Run) -> str:
    """Describe the status in a sentence, with the reason of a stop."""
    if run.status not in Run.FINISHED and run.stop_requested_at:
        template, since = pgettext("hitl", "Stopping for {time}"), run.stop_requested_at
    else:
        template, since = str(STATUSES[Run.Status(run.status)]), _since(run)
    text = format_html(template, time=cells.brief_age(since))
    reason = run_texts.cause(run)
    return format_html("{}: {}", text, reason) if reason else text


def _since(run: Run) -> datetime:
    """Return since when the run has its status; for a suspended run, the time of its last event."""
    if run.status == Run.Status.SUSPENDED:
        suspended = attention.with_end(Run.objects.filter(pk=run.pk)).get()
        return suspended.ended_at or run.created_at
    return run.finished_at or run.started_at or run.created_at
