"""Prompts with texts wider than a small screen, for every place where people read prompts."""

from typing import Any

from django import forms

from sessions_app.prompts import AnyPrompt, FormPrompt
from sessions_app.workflows import Option

WORD = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
COMMAND = f"docker run --rm --volume=/srv/{WORD}:/reports registry.example/reports:2026-11 --all"
URL = f"https://{'.'.join(['login' * 8] * 4)}.example/authorize?state=s1"
DETAILS: dict[str, Any] = {
    "Command": {"code": COMMAND},
    WORD: [WORD, COMMAND],
    "Address": {WORD: WORD, "Inner": {"code": COMMAND}},
    "Lines": [{"item": WORD, "pieces": 200, WORD: 3.2}, {"item": "Nut", "pieces": 90, WORD: 2}],
    "Terms": {"before": f"{WORD}\n{COMMAND}", "after": f"{COMMAND}\n{WORD}"},
    "Raw": [[WORD], [COMMAND]],
    "Letter": f"{WORD}\n\n    {COMMAND}",
}


class LongWordsForm(forms.Form):
    """A form with one field of each appearance, and long words in the labels."""

    kind = forms.ChoiceField(choices=[(WORD, WORD)], widget=forms.RadioSelect, label=WORD)
    place = forms.ChoiceField(choices=[(WORD, WORD)], help_text=COMMAND)
    days = forms.IntegerField(label=WORD, help_text=WORD)
    half = forms.BooleanField(label=WORD, required=False)
    letter = forms.CharField(widget=forms.Textarea, label=COMMAND)


INITIAL = {"letter": COMMAND, "place": WORD}
FORMS = (
    FormPrompt(LongWordsForm, text=WORD, initial=INITIAL),
    FormPrompt(LongWordsForm, text=WORD, initial=INITIAL, proposal=True),
)


def widen(prompt: AnyPrompt) -> AnyPrompt:
    """Return the prompt with words too long for a line."""
    changes: dict[str, Any] = {"text": f"{WORD}?\n{COMMAND}", "details": DETAILS}
    match prompt.input_type:
        case "oauth_consent":
            changes["text"] = URL
        case "binary_choice" | "radio" | "dropdown" | "checkbox":
            values = [option.value for option in prompt.choices]
            changes["options"] = [
                Option(label=f"{value} {WORD}", value=value, description=COMMAND)
                for value in values
            ]
        case "text":
            changes["placeholder"] = COMMAND
        case "form" if getattr(prompt, "reject", ""):
            changes["submit"] = changes["reject"] = WORD[:50]
    return prompt.model_copy(update=changes)
