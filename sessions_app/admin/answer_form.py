"""A form for the answer to a prompt."""

from typing import Any

from django import forms
from django.http import QueryDict

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.prompts import REJECT, AnyPrompt, as_text, load_prompt, posted


class AnswerForm(forms.Form):
    """A form with one field, `answer`, of the prompt's type: a text, or a list of values for a
    checkbox. a text, or a list of values for a checkbox.

    What the answer may be is checked where it is given, as for everybody.
    """

    def __init__(self, *args: Any, prompt: AnyPrompt, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["answer"] = prompt.field()


def answer_form(prompt: JsonObject, given: QueryDict | None) -> forms.BaseForm:
    """Build the form for a prompt: the prompt's own form where it has one.

    Raises:
        FormChanged: the class of that form is gone.
        Invalid: the prompt takes files, which the admin does not.
    """
    asked = load_prompt(prompt)
    if asked.takes_files:
        raise Invalid("It takes a file: reassign it to yourself, and answer it in your inbox.")
    own = asked.make(None if given is None else posted(given))
    return AnswerForm(given, prompt=asked) if own is None else own


def answer_in(form: forms.BaseForm, given: QueryDict) -> str | list[str] | None:
    """Return the answer in a posted form, or None if the form has errors, which it then shows."""
    if isinstance(form, AnswerForm):
        answer: str | list[str] | None = form.cleaned_data["answer"] if form.is_valid() else None
        return answer
    if given.get("value") == REJECT:
        return REJECT
    return as_text(posted(given)) if form.is_valid() else None
