"""A form for the answer to a prompt."""

from typing import Any

from django import forms

from sessions_app.workflows.prompts import as_text

ONE = {"binary_choice", "radio", "dropdown"}


class AnswerForm(forms.Form):
    """One field, `answer`, of the prompt's type: a text, or a list of values for a checkbox.

    What the answer may be is checked where it is given, as for everybody.
    """

    def __init__(self, *args: Any, prompt: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["answer"] = _field(prompt)


def _field(prompt: dict[str, Any]) -> forms.Field:
    options = [(as_text(one["value"]), one["label"]) for one in prompt.get("options", ())]
    if prompt["input_type"] in ONE:
        return forms.ChoiceField(choices=options, widget=forms.RadioSelect)
    if prompt["input_type"] == "checkbox":
        return forms.MultipleChoiceField(
            choices=options, widget=forms.CheckboxSelectMultiple, required=False
        )
    if prompt["input_type"] == "notification":
        return forms.CharField(widget=forms.HiddenInput, initial="ok")
    return forms.CharField(widget=forms.Textarea, required=False, strip=False)
