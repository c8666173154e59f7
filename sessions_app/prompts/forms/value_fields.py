"""Fields for the prompts that are no forms, where they stand in one."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from sessions_app.prompts.base import as_text

ONE = {"binary_choice", "radio"}


def value_field(prompt: dict[str, Any]) -> forms.Field:
    """Of the prompt's type: a text, or a list of values for a checkbox. What the answer may be is
    checked where it is given.
    """
    options = [(as_text(one["value"]), one["label"]) for one in prompt.get("options", ())]
    if prompt["input_type"] == "dropdown":
        return forms.ChoiceField(choices=[("", _("Choose…")), *options])
    if prompt["input_type"] in ONE:
        return forms.ChoiceField(choices=options, widget=forms.RadioSelect)
    if prompt["input_type"] == "checkbox":
        return forms.MultipleChoiceField(
            choices=options, widget=forms.CheckboxSelectMultiple, required=False
        )
    if prompt["input_type"] == "notification":
        return forms.CharField(widget=forms.HiddenInput, initial="ok")
    return forms.CharField(widget=forms.Textarea, required=False, strip=False)
