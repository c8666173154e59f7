"""Tests of form prompts described by a JSON schema."""

from typing import Any

import pytest

from sessions_app.errors import Invalid
from sessions_app.prompts import JsonAnswer, PageAnswer, dump_prompt, load_prompt
from sessions_app.workflows import FormPrompt
from tests.runtime.forms.test_form_prompts import answered, problems

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Full name", "minLength": 2, "maxLength": 20},
        "number": {"type": "string", "minimum": 1},
        "mail": {"type": "string", "format": "email"},
        "day": {"type": "string", "format": "date", "default": "2026-01-31"},
        "at": {"type": "string", "format": "date-time"},
        "age": {"type": "integer", "minimum": 18},
        "share": {"type": "number", "maximum": 1, "maxLength": 3},
        "sure": {"type": "boolean", "default": True, "minimum": 0},
        "size": {"type": "string", "enum": ["s", "l"], "enumNames": ["Small", "Large"]},
        "colour": {"type": "string", "oneOf": [{"const": "#f00", "title": "Red"}]},
        "more": {"$ref": "#/$defs/anything"},
        "days": {
            "type": "array",
            "items": {"type": "string", "enum": ["sat", "sun"]},
            "maxItems": 1,
        },
        "rooms": {
            "type": "array",
            "items": {
                "anyOf": [{"const": "r1", "title": "Attic"}, {"const": "r2", "title": "Hall"}]
            },
        },
    },
    "required": ["name", "age"],
    "$defs": {"anything": True},
}
LEAST = {"name": "Ada", "age": 20}


def ask() -> Any:
    prompt = FormPrompt(SCHEMA, text="Who?", submit="Send", reject="Decline")
    return load_prompt(prompt.model_validate_json(dump_prompt(prompt)).model_dump(mode="json"))


FULL = {
    **LEAST,
    "mail": "a@example.org",
    "day": "2026-02-01",
    "at": "2026-02-01T10:00:00Z",
    "share": 0.5,
    "sure": True,
    "size": "l",
    "colour": "#f00",
    "more": [1],
    "days": ["sun"],
    "rooms": ["r1", "r2"],
}
SURE = FormPrompt({"type": "object", "properties": {"sure": {"type": "boolean"}}}, text="Sure?")
TEXTS = FormPrompt(
    {"type": "object", "properties": {"tags": {"type": "array"}, "any": {}}}, text="?"
)


@pytest.mark.parametrize(
    ("prompt", "answer", "value"),
    [
        (ask(), {**LEAST, "mail": "", "days": []}, {**LEAST, "sure": False}),
        (ask(), FULL, FULL),
        (SURE, {}, {"sure": False}),
        (TEXTS, {"tags": ["a", "b"], "any": ["5"]}, {"tags": ["a", "b"], "any": ["5"]}),
    ],
    ids=["what is left empty", "every kind", "nothing is ticked", "a list of texts"],
)
def test_an_answer_is_json_as_the_schema_has_it(prompt: Any, answer: Any, value: Any) -> None:
    assert answered(prompt, answer).value == value


def test_a_form_may_be_rejected() -> None:
    assert answered(ask(), "reject").approved is False


@pytest.mark.parametrize("twice", [{"name": ["Ada", "Eve"]}, {"age": [20, 30]}])
def test_a_field_with_two_values_is_refused(twice: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="Send one value"):
        ask().check(JsonAnswer.of({**LEAST, **twice}))
    fields = {name: [str(value)] for name, value in LEAST.items()}
    doubled = {name: list(map(str, values)) for name, values in twice.items()}
    with pytest.raises(Invalid):
        ask().check(PageAnswer(["approve"], fields={**fields, **doubled}))


def test_fields_have_their_titles_choices_and_defaults() -> None:
    prompt = ask()
    fields = {one.name: one for one in prompt.fields}
    assert fields["name"].label == "Full name"
    assert fields["size"].choices == [("s", "Small"), ("l", "Large")]
    assert fields["rooms"].choices == [("r1", "Attic"), ("r2", "Hall")]
    assert [name for name, one in fields.items() if one.required] == ["name", "age"]
    assert answered(prompt, LEAST).before["day"].isoformat() == "2026-01-31"


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({"name": "Ada"}, "age"),
        ({"name": "A", "age": 20}, "name"),
        ({"name": "Ada", "age": 17}, "age"),
        ({**LEAST, "share": 2}, "share"),
        ({**LEAST, "mail": "nobody"}, "mail"),
        ({**LEAST, "size": "m"}, "size"),
        ({**LEAST, "days": ["sat", "sun"]}, "days"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_field(answer: Any, field: str) -> None:
    assert list(problems(ask(), answer)["errors"]) == [field]
