"""The timeline of a run: taken up, steps, waits, answers, its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.text import Truncator

from sessions_app.admin import question_texts
from sessions_app.admin.cells import moment, short, show_duration, took
from sessions_app.interactions.outcome_texts import outcome
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Interaction, JournalEntry, Run

# Of each kind the last, as everywhere on the page of a run.
ROWS = 100
RESULT = 160
# What the log says of a run, in words.
STATES = {
    "queued": "Queued",
    "waiting": "Waits",
    "suspended": "Suspended",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Stopped",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline. `kind` is a status, or one of step, asked, answer."""

    at: datetime
    kind: str
    label: str
    detail: str = ""
    took: str = ""

    @property
    def time(self) -> str:
        """The time, formatted for a cell."""
        return moment(self.at)


def timeline(run: Run) -> list[Moment]:
    """Return all known moments of a run, in order."""
    moments = [*_states(run), *_calls(run), *_prompts(run)]
    return sorted(moments, key=lambda line: line.at)


def _states(run: Run) -> Iterator[Moment]:
    begun = False
    events = Event.objects.filter(run=run, type=Event.Type.RUN)
    for event in _last(events, "sequence"):
        status, payload = event.payload["status"], event.payload
        label = STATES.get(status, status)
        if status == Run.Status.RUNNING:
            label = "Taken up again" if begun or "replayed" in payload else "Began"
            begun = True
        yield Moment(event.created_at, status, label, _event_text(payload))


def _event_text(payload: JsonObject) -> str:
    replayed, error = payload.get("replayed"), payload.get("error") or {}
    calls = "" if replayed is None else f"{replayed} calls replayed"
    parts = (calls, payload.get("reason"), error.get("message"))
    return "; ".join(str(part) for part in parts if part)


def _calls(run: Run) -> Iterator[Moment]:
    for entry in _last(JournalEntry.objects.filter(run=run), "position"):
        result = "" if entry.result is None else short(entry.result)
        detail = f"error: {short(entry.error)}" if entry.error else result
        label = f"{entry.position}. {entry.kind} {entry.name}"
        kind = "failed" if entry.error else "call"
        yield Moment(entry.started_at, kind, label, Truncator(detail).chars(RESULT), took(entry))


def _prompts(run: Run) -> Iterator[Moment]:
    rows = Interaction.objects.filter(run=run).select_related("answered_by")
    for row in _last(rows, "sequence"):
        yield Moment(row.created_at, "asked", "Asked", question_texts.link(row))
        outcome_text = outcome(row)
        if outcome_text is None or outcome_text.at is None:
            continue
        words = (row.status.capitalize(), outcome_text.by and "by", outcome_text.by)
        label = " ".join(filter(None, (*words, outcome_text.via)))
        delay = f"{show_duration(outcome_text.at - row.created_at)} later"
        yield Moment(outcome_text.at, row.status, label, outcome_text.line, delay)


def _last(rows: QuerySet[Any], order: str) -> list[Any]:
    return list(rows.order_by(f"-{order}")[:ROWS])[::-1]
