"""Tests of prompts with a Django form: accepted answers, and the response for the workflow."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django import forms
from django.contrib.auth import get_user_model
from django.http import QueryDict

from sessions_app.errors import FormChanged, Invalid
from sessions_app.prompts import (
    JsonAnswer,
    PageAnswer,
    as_text,
    dump_prompt,
    load_prompt,
    read_posted,
)
from sessions_app.workflows import FormPrompt, FormResponse
from tests.runtime.forms.asked import Broken, Every, OfUser, OwnDecoder, Today
from tests.support.workflows.forms import ARRIVAL

ID = "6c1f2f4e-0000-4000-8000-000000000001"
GIVEN = {
    "text": " Ada ",
    "number": "3.50",
    "whole": 4,
    "part": None,
    "sure": True,
    "day": "2026-11-23",
    "at": "2026-11-23T10:30",
    "when_0": "2026-11-24",
    "when_1": "08:00",
    "hour": "07:15",
    "long": "1 02:00:00",
    "id": ID,
    "one": 2,
    "some": ["a", "b"],
    "more": '{"x": [1]}',
}
CLEANED = {
    "text": "Ada",
    "number": Decimal("3.50"),
    "whole": 4,
    "part": None,
    "sure": True,
    "day": date(2026, 11, 23),
    "at": datetime(2026, 11, 23, 10, 30, tzinfo=UTC),
    "when": datetime(2026, 11, 24, 8, tzinfo=UTC),
    "hour": time(7, 15),
    "long": timedelta(days=1, hours=2),
    "id": UUID(ID),
    "one": 2,
    "some": ["a", "b"],
    "more": {"x": [1]},
}


def answered(prompt: FormPrompt[Any], data: Any) -> FormResponse[Any]:
    """Return the response after a round trip through the stored answer."""
    stored_answer = prompt.check(JsonAnswer.of(data))
    return prompt.respond(stored_answer, by="ann", at=None, is_default=False)


def problems(prompt: FormPrompt[Any], data: Any) -> Any:
    with pytest.raises(Invalid) as error_info:
        prompt.check(JsonAnswer.of(data))
    return error_info.value.details


@pytest.mark.parametrize("give", [dict, as_text])
def test_values_have_the_types_of_their_fields(give: Any) -> None:
    answer = answered(FormPrompt(Every, text="?"), give(GIVEN))
    assert answer.value == answer.after == CLEANED
    assert [type(one) for one in answer.value.values()] == list(map(type, CLEANED.values()))
    assert answer.approved


def test_a_prompt_is_the_same_once_it_was_stored() -> None:
    prompt = FormPrompt(Every, text="?", initial={"number": "1.5", "day": date(2026, 1, 2)})
    loaded_prompt = load_prompt(json.loads(dump_prompt(prompt)))
    assert loaded_prompt == prompt
    assert answered(loaded_prompt, GIVEN).before["number"] == Decimal("1.5")


def test_form_errors_are_listed_by_field() -> None:
    errors = problems(FormPrompt(Every, text="?"), {**GIVEN, "whole": 0, "day": "soon", "one": 3})
    assert set(errors["errors"]) == {"whole", "day", "one"}
    assert [str(one) for one in errors["errors"]["day"]] == ["Enter a valid date."]


@pytest.mark.parametrize(
    "answer_value", ["yes", "", "[1]", "approve", "reject", '{"text":', "null", 3]
)
def test_an_answer_without_form_data_lists_the_fields(answer_value: Any) -> None:
    assert "text" in problems(FormPrompt(Every, text="?"), answer_value)["fields"]


@pytest.mark.parametrize(
    ("form", "data", "why"),
    [
        *((Every, {**GIVEN, "text": text}, None) for text in ("a\0b", "a\ud800")),
        *((Every, {**GIVEN, "more": {"x": text}}, None) for text in ("a\0b", "a\ud800")),
        *(
            (OwnDecoder, {"more": f'{{"x": {number}}}'}, "A number is infinite, or none")
            for number in ("Infinity", "NaN", "1e999")
        ),
    ],
)
def test_values_that_cannot_be_stored_are_refused(form: Any, data: Any, why: str | None) -> None:
    with pytest.raises(Invalid, match=why):
        FormPrompt(form, text="?").check(JsonAnswer.of(data))


def test_a_proposal_says_what_was_changed() -> None:
    initial = {**CLEANED, "number": "3.5", "day": "2026-11-23"}
    prompt = FormPrompt(Every, text="?", initial=initial, proposal=True, reject="No")
    as_it_is = answered(prompt, "approve")
    assert (as_it_is.approved, as_it_is.changed) == (True, ())
    assert as_it_is.value == CLEANED
    answer = answered(prompt, {**GIVEN, "whole": 9, "sure": False})
    assert answer.changed == ("whole", "sure")
    assert (answer.before["whole"], answer.after["whole"]) == (4, 9)
    rejected = answered(prompt, "reject")
    assert (rejected.approved, rejected.value, rejected.changed) == (False, None, ())
    assert rejected.before["whole"] == 4


@pytest.mark.parametrize(("reject", "values"), [("No", ["approve", "reject"]), ("", ["approve"])])
def test_a_proposal_can_be_rejected_in_a_plain_client_where_it_may_be(
    reject: str, values: list[str]
) -> None:
    prompt = FormPrompt(Every, text="?", initial=CLEANED, proposal=True, reject=reject)
    [choice] = FormPrompt.plain(
        prompt.model_dump(mode="json"), lambda: "https://chat.example.org/p/1/"
    )
    assert [option["value"] for option in choice["options"]] == values


def test_the_line_ends_of_a_browser_change_nothing() -> None:
    prompt = FormPrompt(Local.Inside, text="?", initial={"text": "Dear A,\nB"}, proposal=True)
    form_data = read_posted(QueryDict("f-text=Dear+A,%0D%0AB"))
    stored_answer = prompt.check(PageAnswer(["approve"], fields=form_data))
    answer = prompt.respond(stored_answer, by="ann", at=None, is_default=False)
    assert answer.changed == ()


def test_an_answer_is_read_as_given_whatever_the_form_is(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = FormPrompt(Today, text="?")
    stored_answer = prompt.check(JsonAnswer.of({"days": "2.5"}))
    monkeypatch.setattr(Today, "takes", [])
    problems(prompt, {"days": "2.5"})
    orphaned_prompt = prompt.model_copy(update={"form": "tests.runtime.forms.asked:Gone"})
    for one in (prompt, orphaned_prompt):
        assert one.respond(stored_answer, by="", at=None, is_default=False).value == {
            "days": Decimal("2.5")
        }
    with pytest.raises(FormChanged, match="asked:Gone"):
        orphaned_prompt.check_found()
    with pytest.raises(Invalid, match="does not work"):
        orphaned_prompt.check(JsonAnswer.of({"days": 1}))


def test_a_form_that_raises_is_no_answer_and_no_end() -> None:
    with pytest.raises(Invalid, match="does not work at the moment"):
        FormPrompt(Broken, text="?").check(JsonAnswer.of({"text": "x"}))


@pytest.mark.django_db
def test_a_model_choice_is_answered_by_primary_key() -> None:
    ann, bob = (get_user_model().objects.create(username=name) for name in ("ann", "bob"))
    prompt = FormPrompt(OfUser, text="?", initial={"user": ann})
    answer = answered(prompt, {"user": bob.pk, "others": [ann.pk, bob.pk]})
    assert answer.value == {"user": bob.pk, "others": [ann.pk, bob.pk]}
    assert answer.before["user"] == ann.pk
    assert "user" in problems(prompt, {"user": 12345})["errors"]


class Local:
    """A namespace with form classes that cannot be found by name, and so cannot be asked."""

    class Inside(forms.Form):
        """A nested form class, which can be found."""

        text = forms.CharField()


def test_a_mistake_in_a_form_prompt_raises_at_construction() -> None:
    class Unfound(forms.Form):
        text = forms.CharField()

    FormPrompt(Local.Inside, text="?")
    mistakes: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (Unfound, {}, ValueError, "define it at the top"),
        (Every, {"initial": {"txet": 1}}, ValueError, "has no field 'txet'"),
        (Every, {"initial": {"text": object()}}, TypeError, "has no JSON form"),
        (Every(), {}, TypeError, "takes the class"),
        (int, {}, TypeError, "takes the class"),
    ]
    for form, fields, error, why in mistakes:
        with pytest.raises(error, match=why):
            FormPrompt(form, text="?", **fields)


@pytest.mark.parametrize(
    ("sent", "value", "shown"),
    [
        # 2026-12-24 is in winter: New York is five hours behind UTC.
        ("2026-12-24T09:00-05:00", "2026-12-24T14:00:00+00:00", "2026-12-24 09:00 UTC-05:00"),
        ("2026-12-24T14:00:30Z", "2026-12-24T14:00:30+00:00", "2026-12-24 14:00:30 UTC"),
        # Without an offset it is in the site's zone.
        ("2026-12-24T09:00", "2026-12-24T09:00:00+00:00", "2026-12-24 09:00 UTC"),
    ],
)
def test_a_time_keeps_its_offset_and_shows_it(sent: str, value: str, shown: str) -> None:
    stored = ARRIVAL.from_json({"at": sent, "flight": ""})
    assert datetime.fromisoformat(stored["value"]["at"]) == datetime.fromisoformat(value)
    assert ARRIVAL.texts(stored)[0].after == shown
    assert shown in ARRIVAL.answer_text(stored)


def test_an_unchanged_time_in_another_zone_is_no_change() -> None:
    stored = ARRIVAL.from_json({"at": "2026-12-24T15:00-05:00", "flight": ""})
    assert stored["changed"] == []
    assert stored["value"]["at"] == ARRIVAL.initial["at"]
