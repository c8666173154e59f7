"""A form for the answer to a prompt."""

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.prompts import APPROVE, AnyPrompt, PageAnswer, load_prompt, read_posted


class AnswerForm(forms.Form):
    """A form with the field `answer`, of the prompt's type: a text, or a list of values for a
    checkbox. Beside one option a `note` may stand.

    What the answer may be is checked where it is given, as for everybody.
    """

    def __init__(self, *args: Any, prompt: AnyPrompt, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = prompt.field()
        field.label = field.label or _("Answer")
        self.fields["answer"] = field
        if hasattr(prompt, "note_options"):
            area = forms.Textarea(attrs={"rows": 2})
            self.fields["note"] = forms.CharField(label=_("Note"), required=False, widget=area)


def answer_form(stored_prompt: JsonObject, data: QueryDict | None) -> forms.BaseForm:
    """Build the form for a prompt: the prompt's own form where it has one.

    Raises:
        FormChanged: the class of that form is gone.
        Invalid: the prompt takes files, which the admin does not.
    """
    prompt = load_prompt(stored_prompt)
    if prompt.takes_files:
        text = _("This needs a file: reassign it to yourself, and answer it in your inbox.")
        raise Invalid(text)
    own_form = prompt.make(None if data is None else read_posted(data))
    return AnswerForm(data, prompt=prompt) if own_form is None else own_form


def answer_in(form: forms.BaseForm, data: QueryDict) -> PageAnswer | None:
    """Return the answer in a posted form, or None if the form has errors, which it then shows."""
    if not isinstance(form, AnswerForm):
        values = data.getlist("value")
        if values == [APPROVE] and not form.is_valid():
            return None
        return PageAnswer(values=values, fields=read_posted(data))
    if not form.is_valid():
        return None
    answer: str | list[str] = form.cleaned_data["answer"]
    texts = answer if isinstance(answer, list) else [_unify_lines(answer)]
    return PageAnswer(values=texts, note=_unify_lines(form.cleaned_data.get("note", "")))


def _unify_lines(text: str) -> str:
    """Return a text with line ends that are the same for all browsers."""
    return text.replace("\r\n", "\n")
