"""Tests of prompts: the checks of answers, and the typed responses."""

import json
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
    JsonAnswer,
    NotificationPrompt,
    OAuthPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
    ToolCallPrompt,
    dump_prompt,
    load_prompt,
)
from tests.runtime.runs.test_option_values import BOXES, VALUES
from tests.support.strategies import STORABLE

WHO: dict[str, Any] = {"by": "ann", "at": None, "is_default": False}
YES_NO = [Option(value="y", id="1", label="Yes"), Option(value="n", id="2", label="No")]
FRUITS = [Option(value="apple"), Option(value="pear"), Option(value="plum")]

TEXT, RADIO, NOTE = (
    TextPrompt(text="?"),
    RadioPrompt(text="?", options=FRUITS, timeout=5),
    NotificationPrompt(text="!"),
)
BINARY = BinaryPrompt(text="?", options=YES_NO, default="No", details={"a": [1, {"b": None}]})
CROSSED = BinaryPrompt(
    text="?", options=[Option(value="a", label="b"), Option(value="b", label="c")]
)
DROPDOWN = DropdownPrompt(text="?", options=FRUITS)
SOME = CheckboxPrompt(text="?", options=FRUITS, min_selected=1, max_selected=2, default=["pear"])
TWO = CheckboxPrompt(text="?", options=FRUITS, min_selected=2)
NONE = CheckboxPrompt(text="?", options=FRUITS, default=[])
PROMPTS: list[AnyPrompt] = [
    *(TextPrompt(text="?", default="-"), NOTE, BINARY, RADIO, DROPDOWN, SOME),
    *(VALUES, BOXES, TextPrompt(text=r"a\u0000b")),
]


def test_a_prompt_is_the_same_after_it_was_stored() -> None:
    prompts = [
        *PROMPTS,
        NotificationPrompt(text="?", default="ok"),
        ToolCallPrompt(text="?", tool="t", default="reject"),
        OAuthPrompt(text="https://example.org/", default="declined"),
    ]
    loaded_prompts = [load_prompt(json.loads(dump_prompt(prompt))) for prompt in prompts]
    assert repr(loaded_prompts) == repr(prompts)  # compare texts, because True equals 1


def test_a_prompt_is_stored_without_what_a_database_does_not_take() -> None:
    prompt = TextPrompt(text="a\0b", placeholder="\ud800", details={"of": "\udfff"})
    read = load_prompt(json.loads(dump_prompt(prompt)))
    assert isinstance(read, TextPrompt)
    assert (read.text, read.placeholder) == ("a\ufffdb", "\ufffd")
    assert read.details == {"of": "\ufffd"}


def test_a_plain_value_is_an_option_with_that_value_id_and_label() -> None:
    options = RadioPrompt(text="?", options=["apple", False]).choices
    assert [(one.value, one.id, one.label) for one in options] == [
        ("apple", "apple", "apple"),
        (False, "false", "false"),
    ]


@pytest.mark.parametrize(
    ("prompt", "value", "stored_answer"),
    [
        (BINARY, "y", {"value": "y"}),
        (BINARY, "1", {"value": "y"}),
        (BINARY, "Yes", {"value": "y"}),
        (CROSSED, "b", {"value": "b"}),  # a value takes precedence over another option's label
        (RADIO, ["pear"], {"value": "pear"}),
        (DROPDOWN, ["pear"], {"value": "pear"}),
        (NOTE, "whatever", {"value": "ok"}),
    ],
)
def test_an_answer_is_stored_as_what_it_means(
    prompt: AnyPrompt, value: str | list[str], stored_answer: dict[str, Any]
) -> None:
    assert prompt.check(JsonAnswer.of(value)) == stored_answer
    response = prompt.respond(stored_answer, **WHO)
    assert (response.value, response.by) == (stored_answer["value"], "ann")


@pytest.mark.parametrize(
    ("prompt", "value", "expected_error"),
    [
        (TEXT, " \n", "empty"),
        (TEXT, None, "This takes a text"),
        (TextPrompt(text="?", max_length=3), "four", "4 characters; this prompt allows 3"),
        (RADIO, "kiwi", "one of: apple, pear, plum"),
        (RADIO, ["pear", "plum"], "exactly one option"),
        (RADIO, None, "This takes one of these"),
        (VALUES, "True", r"Choose one of: true, false, 3, 2, 0\.5, true story"),
        (SOME, ["apple", "kiwi"], "'kiwi'"),
        (SOME, [], "at least 1; 0"),
        (SOME, ["apple", "pear", "plum"], "most"),
        (TWO, ["plum"] * 2, "least 2; 1"),
    ],
)
def test_an_invalid_answer_is_refused_with_what_is_allowed(
    prompt: AnyPrompt, value: str | list[str] | None, expected_error: str
) -> None:
    with pytest.raises(Invalid, match=expected_error):
        prompt.check(JsonAnswer.of(value))


def test_a_refused_option_is_quoted_in_part_only() -> None:
    with pytest.raises(Invalid) as error_info:
        RADIO.check(JsonAnswer.of("x" * 100_000))
    assert len(str(error_info.value)) < 300
    assert error_info.value.details == {"options": ["apple", "pear", "plum"]}


@given(st.lists(st.sampled_from(["apple", "pear", "plum"])))
def test_choices_are_stored_in_the_order_of_the_prompt(answer: list[str]) -> None:
    response = NONE.respond(NONE.check(JsonAnswer.of(answer)), **WHO)
    assert response.values == [name for name in ("apple", "pear", "plum") if name in answer]
    assert response.value == ", ".join(response.values)


@given(st.text(STORABLE, min_size=1).filter(str.strip))
def test_a_text_is_kept_as_typed(text: str) -> None:
    assert TEXT.respond(TEXT.check(JsonAnswer.of(text)), **WHO).text == text


def test_the_deadline_gives_the_default() -> None:
    outcomes = [prompt.default_answer() for prompt in (*PROMPTS, NONE, TWO)]
    assert repr(outcomes) == repr(
        [
            *({"value": "-"}, None, {"value": "n"}, None, None, {"values": ["pear"]}),
            *(None, {"values": [False]}, None, {"values": []}, None),
        ]
    )


@pytest.mark.parametrize(
    ("kind", "fields", "expected_error"),
    [
        (BinaryPrompt, {"options": FRUITS}, "takes exactly 2 options, not 3"),
        (RadioPrompt, {"options": []}, "takes 1 to 100 options, not 0"),
        (RadioPrompt, {"options": ["a"], "default": "b"}, "default: 'b' is not an option"),
        (RadioPrompt, {"options": ["a"], "colour": 1}, "Extra inputs"),
        (CheckboxPrompt, {"options": FRUITS, "min_selected": 4}, "at most 3 can be selected"),
        (
            CheckboxPrompt,
            {"options": FRUITS, "min_selected": 3, "max_selected": 2},
            "at most 2 can be selected",
        ),
        (TextPrompt, {"timeout": 0}, "greater than 0"),
        (TextPrompt, {"text": ""}, "at least 1 character"),
        *(
            (BinaryPrompt, {"options": twice}, "two options have the same value")
            for twice in (["a", "a"], [True, "true"], [3, 3.0])
        ),
        (BinaryPrompt, {"options": [float("nan"), 1]}, "less than 9007199254740992"),
        (BinaryPrompt, {"options": [2**53 + 1, 1]}, "less than 9007199254740992"),
        (BinaryPrompt, {"options": [None, 1]}, "a valid dictionary"),
        (BinaryPrompt, {"options": ["", "a"]}, "at least 1 character"),
        (BinaryPrompt, {"options": "ab"}, "a valid list"),
        (BinaryPrompt, {"options": {"no", "order"}}, "a set has another order in each process"),
    ],
)
def test_a_prompt_that_cannot_work_is_refused(
    kind: Any, fields: dict[str, Any], expected_error: str
) -> None:
    with pytest.raises(ValidationError, match=expected_error):
        kind(**{"text": "?", **fields})
