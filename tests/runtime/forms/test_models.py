"""Tests of prompts with a pydantic model: the form made from the model, and the typed answer."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from sessions_app.errors import FormChanged
from sessions_app.prompts import JsonAnswer
from sessions_app.workflows import FormPrompt
from tests.runtime.forms.asked import Colour, Inner, Model, Small
from tests.runtime.forms.test_form_prompts import ID, answered, problems

FULL = Model(
    text="Ada",
    letter="Dear A,\nB",
    maybe="x",
    whole=2,
    number=Decimal("1.20"),
    sure=True,
    unsure=False,
    day=date(2026, 1, 2),
    at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    hour=time(5, 6),
    long=timedelta(hours=7),
    id=UUID(ID),
    colour=Colour.RED,
    size=2,
    colours=[Colour.RED, Colour.BLUE],
    lines=["a", "b"],
    inner=Inner(town="Ulm"),
)
LEAST = {"text": "Ada", "whole": "2", "number": "3", "day": "2026-01-02"}
LEAST |= {"colour": "red", "size": "1", "part": "0.5"}


def test_an_instance_comes_back_as_it_was_proposed() -> None:
    prompt = FormPrompt(Model, text="?", initial=FULL, proposal=True)
    answer = answered(prompt, "approve")
    assert answer.value == FULL
    assert answer.changed == ()
    assert type(answer.value) is Model


@pytest.mark.parametrize("lines", [None, ["a", "b"], "a\r\n\nb\n", ["a\nb"]])
def test_empty_fields_become_none_or_empty_and_a_list_is_sent_as_one_or_as_lines(
    lines: Any,
) -> None:
    sent = {} if lines is None else {"lines": lines}
    answer = answered(FormPrompt(Model, text="?"), {**LEAST, **sent})
    expected = Model(
        text="Ada",
        whole=2,
        number=Decimal(3),
        day=date(2026, 1, 2),
        colour=Colour.RED,
        lines=["a", "b"] if sent else [],
    )
    assert answer.value == expected
    assert answer.before["part"] == 0.5


@pytest.mark.parametrize(
    ("field_values", "names"),
    [
        ({"text": "x" * 21}, {"text"}),
        ({"whole": 0, "number": ""}, {"whole", "number"}),
        ({"colour": "green", "colours": ["red", "x"], "size": "3"}, {"colour", "colours", "size"}),
        ({"inner": '{"city": "Ulm"}'}, {"inner"}),
        ({"inner": "{"}, {"inner"}),
        ({"whole": 13}, {""}),
    ],
)
def test_the_model_says_what_is_wrong_beside_the_field(field_values: Any, names: set[str]) -> None:
    assert set(problems(FormPrompt(Model, text="?"), {**LEAST, **field_values})["errors"]) == names


def test_labels_and_helps_are_those_of_the_model() -> None:
    fields = {field.name: field for field in FormPrompt(Model, text="?").fields}
    assert (fields["text"].label, fields["text"].help_text) == ("The text", "Short.")
    assert fields["maybe"].label == "Maybe"
    names = ("text", "letter", "maybe", "sure")
    assert [name for name in names if fields[name].required] == ["text"]
    assert fields["colour"].choices == [("red", "red"), ("blue", "blue")]


def test_a_model_that_no_longer_takes_the_answer_stops_the_run_and_nothing_else() -> None:
    prompt = FormPrompt(Small, text="?")
    stored_answer = prompt.check(JsonAnswer.of({"days": "2"}))
    other = prompt.model_copy(update={"form": "tests.runtime.forms.asked:Model"})
    with pytest.raises(FormChanged, match="does not take the answer any more"):
        other.respond(stored_answer, by="", at=None, is_default=False)
