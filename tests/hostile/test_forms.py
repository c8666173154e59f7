"""The corpus as the data of forms: it is an answer or is refused, and nothing else."""

import json
from typing import Any

import pytest

from sessions_app.errors import Invalid
from sessions_app.prompts import JsonAnswer, dump_prompt, load_prompt
from sessions_app.storage.storable import storable
from sessions_app.workflows import FormPrompt
from tests.hostile.attack.entries import hostile_json, texts
from tests.runtime.forms.asked import Every, Model
from tests.runtime.forms.test_form_prompts import GIVEN
from tests.runtime.forms.test_models import LEAST

FORMS: dict[type[Any], dict[str, Any]] = {Every: GIVEN, Model: LEAST}
OTHER_SHAPES = pytest.mark.beyond("a field takes or refuses each text in each shape")


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, *(pytest.param(n, marks=OTHER_SHAPES) for n in (1, 2))])
@pytest.mark.parametrize("form", FORMS)
def test_any_text_in_any_field_is_taken_or_refused(form: type[Any], first: int) -> None:
    """Give each field each text, in one of three shapes in turn: in all of them, from each first
    one.
    """
    prompt, good = FormPrompt(form, text="?"), FORMS[form]
    for number, text in enumerate(texts().values()):
        shapes: list[Any] = [text, [text, text], {text: text}]
        for place, field in enumerate(prompt.fields):
            take(prompt, {**good, field.name: shapes[(first + number + place) % len(shapes)]})
        take(prompt, {**good, text: text})


@pytest.mark.parametrize("form", FORMS)
def test_any_json_is_taken_or_refused(form: type[Any]) -> None:
    prompt = FormPrompt(form, text="?", proposal=True, reject="No")
    for text in [*texts().values(), *(text for _, text in hostile_json())]:
        take(prompt, text)
        take(prompt, f'{{"text": {text}}}')


def take(prompt: FormPrompt[Any], value: Any) -> None:
    """Check that what is taken is stored as it is, and read back as it was given."""
    try:
        stored_answer = prompt.check(JsonAnswer.of(value))
    except Invalid:
        return
    again = json.loads(json.dumps(stored_answer))
    assert storable(again) == again == stored_answer
    assert prompt.texts(again) or stored_answer.get("rejected")
    prompt.respond(again, by="", at=None, is_default=False)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_any_text_may_be_proposed(form: type[Any]) -> None:
    for text in texts().values():
        label = storable(text)[:100]
        labels = {"text": label or "x", "submit": label, "reject": label}
        prompt = FormPrompt(form, initial={"text": text}, proposal=True, **labels)
        loaded = load_prompt(json.loads(dump_prompt(prompt)))
        assert isinstance(loaded, FormPrompt)
        assert "<script" not in loaded.make().as_div()
