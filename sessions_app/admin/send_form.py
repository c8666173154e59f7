"""A form for what a run waits for from elsewhere."""

from typing import Any
from uuid import uuid4

from django import forms

from sessions_app.conversations.messages import MAX_NAME
from sessions_app.models import Arrival, JournalEntry, Run


class SendForm(forms.Form):
    """A name that the run waits for, and JSON; `key` makes a second click harmless.

    What may be sent is checked where it is sent, as for everybody.
    """

    key = forms.CharField(widget=forms.HiddenInput, max_length=MAX_NAME)

    def __init__(self, *args: Any, run: Run, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = uuid4().hex
        # What was sent by the first click may be waited for no longer at the second.
        sent = Arrival.objects.filter(run=run, sent_id=self.data.get("key", ""))
        names = dict.fromkeys([*awaited(run), *sent.values_list("name", flat=True)])
        self.fields["name"] = forms.ChoiceField(
            label="What it waits for",
            choices=[(name, name) for name in names],
            initial=next(iter(names), None),
            widget=forms.RadioSelect,
        )
        self.fields["payload"] = forms.JSONField(
            label="What wait_for returns, as JSON",
            help_text="A text has quotation marks. Empty is null.",
            required=False,
        )


def awaited(run: Run) -> list[str]:
    """The names under which it waits for something, in the order of its calls."""
    waits = JournalEntry.objects.filter(run=run, kind=JournalEntry.Kind.WAIT, finished_at=None)
    return list(dict.fromkeys(waits.order_by("position").values_list("name", flat=True)))
