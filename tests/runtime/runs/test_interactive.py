"""Prompts check what they are given, and give typed responses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sessions_app.errors import Invalid
from sessions_app.prompts import (
    AnyPrompt,
    BinaryPrompt,
    CheckboxPrompt,
    DropdownPrompt,
    NotificationPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
    load_prompt,
)

WHO: dict[str, Any] = {"by": "ann", "at": None, "is_default": False}
YES_NO = [Option(value="y", id="1", label="Yes"), Option(value="n", id="2", label="No")]
FRUITS = [Option(value="apple"), Option(value="pear"), Option(value="plum")]
TWO_FRUITS = CheckboxPrompt(text="?", options=FRUITS, min_selected=2)

PROMPTS: list[AnyPrompt] = [
    TextPrompt(text="?", default="-"),
    NotificationPrompt(text="!"),
    BinaryPrompt(text="?", options=YES_NO, default="n", details={"a": [1, {"b": None}]}),
    RadioPrompt(text="?", options=FRUITS, timeout=5),
    DropdownPrompt(text="?", options=FRUITS),
    CheckboxPrompt(text="?", options=FRUITS, min_selected=1, default=["pear"]),
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.input_type)
def test_a_prompt_is_the_same_after_it_was_stored(prompt: AnyPrompt) -> None:
    assert load_prompt(prompt.model_dump(mode="json")) == prompt


def test_a_plain_text_is_an_option_with_that_value_id_and_label() -> None:
    option = RadioPrompt(text="?", options=["apple"]).find("apple")
    assert (option.id, option.label, option.value) == ("apple", "apple", "apple")


@pytest.mark.parametrize("answer", ["y", "1", "Yes"])
def test_an_option_is_chosen_by_value_id_or_label(answer: str) -> None:
    prompt = BinaryPrompt(text="?", options=YES_NO)
    response = prompt.respond(prompt.check(answer, None), **WHO)
    assert (response.value, response.option.label, response.by) == ("y", "Yes", "ann")


def test_a_value_wins_over_another_option_s_label() -> None:
    options = [Option(value="a", label="b"), Option(value="b", label="c")]
    assert BinaryPrompt(text="?", options=options).check("b", None) == {"value": "b"}


@pytest.mark.parametrize("kind", [RadioPrompt, DropdownPrompt])
def test_one_choice_may_come_as_a_list_of_one(kind: Any) -> None:
    assert kind(text="?", options=FRUITS).check(None, ["pear"]) == {"value": "pear"}


@pytest.mark.parametrize(
    ("prompt", "value", "values", "said"),
    [
        (TextPrompt(text="?"), " \n", None, "empty"),
        (TextPrompt(text="?"), None, None, "empty"),
        (TextPrompt(text="?", max_length=3), "four", None, "4 characters; this prompt takes 3"),
        (RadioPrompt(text="?", options=FRUITS), "kiwi", None, "one of: apple, pear, plum"),
        (RadioPrompt(text="?", options=FRUITS), None, ["pear", "plum"], "exactly one option"),
        (RadioPrompt(text="?", options=FRUITS), None, None, "exactly one option"),
        (CheckboxPrompt(text="?", options=FRUITS), None, ["apple", "kiwi"], "'kiwi'"),
        (CheckboxPrompt(text="?", options=FRUITS, min_selected=1), None, [], "at least 1; 0"),
        (CheckboxPrompt(text="?", options=FRUITS, max_selected=1), None, ["apple", "plum"], "most"),
        (TWO_FRUITS, None, ["plum"] * 2, "least 2; 1"),
    ],
)
def test_an_answer_that_does_not_fit_is_told_what_would(
    prompt: AnyPrompt, value: str | None, values: list[str] | None, said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        prompt.check(value, values)


def test_a_refused_option_is_quoted_in_part_only() -> None:
    with pytest.raises(Invalid) as raised:
        RadioPrompt(text="?", options=FRUITS).check("x" * 100_000, None)
    assert len(str(raised.value)) < 300
    assert raised.value.details == {"options": ["apple", "pear", "plum"]}


@given(st.lists(st.sampled_from(["apple", "pear", "plum"])))
def test_choices_are_a_set_in_the_prompt_s_order(answer: list[str]) -> None:
    prompt = CheckboxPrompt(text="?", options=FRUITS)
    response = prompt.respond(prompt.check(None, answer), **WHO)
    assert response.values == [name for name in ("apple", "pear", "plum") if name in answer]
    assert response.value == ", ".join(response.values)


@given(st.text(min_size=1).filter(str.strip))
def test_a_text_is_kept_as_typed(text: str) -> None:
    prompt = TextPrompt(text="?")
    assert prompt.respond(prompt.check(text, None), **WHO).text == text


def test_a_note_needs_no_particular_answer() -> None:
    assert NotificationPrompt(text="!").check("whatever", None) == {"value": "ok"}


@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [
        (TextPrompt(text="?"), None),
        (TextPrompt(text="?", default="-"), {"value": "-"}),
        (BinaryPrompt(text="?", options=YES_NO, default="No"), {"value": "n"}),
        (CheckboxPrompt(text="?", options=FRUITS, default=[]), {"values": []}),
        (CheckboxPrompt(text="?", options=FRUITS), None),
    ],
)
def test_the_deadline_gives_the_default(prompt: AnyPrompt, outcome: dict[str, Any] | None) -> None:
    assert prompt.default_answer() == outcome


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (BinaryPrompt, {"options": FRUITS}, "takes exactly 2 options, not 3"),
        (RadioPrompt, {"options": []}, "takes 1 to 100 options, not 0"),
        (RadioPrompt, {"options": ["a", "a"]}, "two options have the same value"),
        (RadioPrompt, {"options": ["a"], "default": "b"}, "default: 'b' is not an option"),
        (RadioPrompt, {"options": ["a"], "colour": 1}, "Extra inputs"),
        (TextPrompt, {"timeout": 0}, "greater than 0"),
        (TextPrompt, {"text": ""}, "at least 1 character"),
    ],
)
def test_a_prompt_that_cannot_work_is_refused(kind: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        kind(**{"text": "?", **fields})
