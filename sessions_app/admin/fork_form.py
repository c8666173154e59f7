"""A form for the position that a run is forked from."""

from typing import Any
from uuid import uuid4

from django import forms

from sessions_app.admin.cells import short
from sessions_app.admin.read_only import INLINE_ROWS
from sessions_app.conversations.messages import MAX_NAME
from sessions_app.journal.journal import Entry, Journal
from sessions_app.models import Run


class ForkForm(forms.Form):
    """The last positions of a run's journal, to choose one; `key` makes a second click harmless."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=MAX_NAME)

    def __init__(self, *args: Any, run: Run, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        journal = Journal.load(run.id)
        self.fields["key"].initial = uuid4().hex
        self.fields["position"] = forms.TypedChoiceField(
            label="The first call that is made anew",
            choices=_choices(journal),
            coerce=int,
            initial=journal.last_position or 1,
            widget=forms.RadioSelect,
        )


def _choices(journal: Journal) -> list[tuple[int, str]]:
    entries, behind = journal.entries[-INLINE_ROWS:], journal.last_position + 1
    choices = {entry.call.position: f"{entry.call}: {_outcome(entry)}" for entry in entries}
    beginning = f"{choices.get(1, 'its first call')} (nothing is kept)"
    choices |= {1: beginning, behind: "what comes behind all of these"}
    return [(position, f"{position} · {choices[position]}") for position in sorted(choices)]


def _outcome(entry: Entry) -> str:
    if not entry.finished:
        return "not finished"
    return f"error: {short(entry.error)}" if entry.error else short(entry.result)
