"""Tests of card fields with JSON: values that cannot be stored are refused, nothing else."""

import json
from typing import Any

import pytest
from pydantic_core import to_json

from sessions_app.errors import Invalid
from sessions_app.prompts import Answer, JsonAnswer, PageAnswer, TextAnswer
from sessions_app.storage.storable import MAX_DEPTH
from sessions_app.workflows import FormPrompt, ToolCallPrompt
from tests.runtime.forms.asked import Every
from tests.runtime.forms.test_form_prompts import GIVEN

UNSTORABLE = {
    "levels": "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "252 levels": '{"a":' * 252 + "1" + "}" * 252,
    "100,000 levels": "[" * 100_000,
    "digits": "9" * 4_301,
    "surrogate": r'"\ud800"',
    "surrogate in a name": r'[{"\udfff": 1}]',
    "infinity": "[1e999]",
    "NaN": "NaN",
}
SCHEMA: dict[str, Any] = {"properties": {"more": {}}}
PROMPTS = {
    "form": FormPrompt(Every, text="?"),
    "schema": FormPrompt(SCHEMA, text="?"),
    "tool call": ToolCallPrompt(text="?", tool="t", arguments={"more": 1}, editable=True),
}


@pytest.mark.parametrize("value", UNSTORABLE.values(), ids=UNSTORABLE)
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_json_that_cannot_be_stored_is_refused_at_its_field(prompt: Any, value: str) -> None:
    answer: Answer = PageAnswer(["approve"], fields={"more": [value], "_note": [""]})
    if prompt is PROMPTS["form"]:
        answer = JsonAnswer.of({**GIVEN, "more": value})
    with pytest.raises(Invalid, match="Enter valid JSON") as refused:
        prompt.check(answer)
    assert list(refused.value.details["errors"]) == ["more"]
    assert "Enter valid JSON" in prompt.make({"more": [value]}).as_div()
    # Programs send the answer as text.
    text = f'{{"decision": "approve", "arguments": {{"more": {value}}}}}'
    if prompt.input_type == "form":
        text = f'{{"more": {value}}}'
    with pytest.raises(Invalid):
        prompt.check(TextAnswer(text))


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("text", ["\ud800", '{"more": "\ud800"}'])
def test_text_with_half_of_a_surrogate_pair_is_refused(prompt: Any, text: str) -> None:
    with pytest.raises(Invalid):
        prompt.check(TextAnswer(text))


@pytest.mark.parametrize("value", ["[" * MAX_DEPTH + "]" * MAX_DEPTH, "9" * 4_300])
def test_what_is_just_allowed_is_stored(value: str) -> None:
    stored = PROMPTS["schema"].check(JsonAnswer({"more": value}))
    assert json.loads(to_json(stored))["value"]["more"] == json.loads(value)
