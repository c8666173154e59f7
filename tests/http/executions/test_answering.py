"""Answers over HTTP."""

from typing import Any
from uuid import uuid4

import pytest

from tests.http.client import Http, Json
from tests.support.polling import until
from tests.support.server import Server

YES = {"type": "text", "text": "yes"}


RED = {"id": "1", "label": "Red", "value": "red"}
BLUE = {"id": "2"}


@pytest.mark.parametrize(
    ("kind", "response", "value"),
    [
        ("text", {"type": "text", "text": "Ann"}, "Ann"),
        ("notification", {"type": "notification"}, "ok"),
        ("binary_choice", {"type": "binary_choice", "selected_option": RED}, "red"),
        ("binary_choice", {"input_type": "binary_choice", "selected_option": BLUE}, "blue"),
        ("binary_choice", {"type": "text", "text": "Blue"}, "blue"),
        ("radio", {"type": "radio", "selected_option": {"label": "Red"}}, "red"),
        ("radio", {"type": "radio", "selected_option": "Red"}, "red"),
        ("dropdown", {"selected_option": 2}, "blue"),
        ("dropdown", {"selected_option": {"id": 2}}, "blue"),
        ("checkbox", {"type": "checkbox", "selected_option": ["red", "2"]}, "red, blue"),
        ("dropdown", {"selected_option": {"id": None, "value": "red"}}, "red"),
        ("checkbox", {"type": "checkbox", "selected_option": RED}, "red"),
        ("checkbox", {"type": "checkbox", "selected_option": [RED, BLUE]}, "red, blue"),
        ("checkbox", {"input_type": "checkbox", "selected_options": [BLUE]}, "blue"),
        ("oauth_consent", {"type": "oauth_consent", "text": "done"}, "done"),
        ("oauth_consent", {"selected_option": {"value": "declined"}}, "declined"),
        ("link", {"selected_option": {"value": "done"}}, "done"),
        ("values", {"type": "radio", "selected_option": {"value": True}}, "true"),
        ("values", {"type": "radio", "selected_option": {"value": 3}}, "3"),
        ("values", {"type": "radio", "selected_option": {"value": "0.5"}}, "0.5"),
        ("values", {"type": "text", "text": True}, "true"),
    ],
)
def test_every_type_of_prompt_is_answered(
    shared: Server, kind: str, response: Json, value: str
) -> None:
    http, message = Http(shared), uuid4().hex
    stop = http.generate(f'prompt(kind="{kind}")', user_message_id=message).json()
    assert http.answer(stop, response).status == 204
    assert http.generate(f'prompt(kind="{kind}")', user_message_id=message).json() == {
        "value": value
    }


def test_a_form_is_answered_by_its_data(shared: Server) -> None:
    http, message = Http(shared), uuid4().hex
    stop = http.generate('prompt(kind="form")', user_message_id=message).json()
    fields = stop["prompt"]["fields"]
    assert [field["name"] for field in fields] == ["kind", "start", "days", "half", "note", "tell"]
    assert (fields[0]["choices"][1], fields[2]["type"]) == (["care", "Care of a child"], "number")
    data = {"kind": "care", "start": "2026-11-22", "days": 2.5, "half": False, "note": None}
    wrong = http.answer(stop, {"data": data})
    assert (wrong.status, wrong.json()["errors"]) == (422, {"start": ["That is a Sunday."]})
    assert http.answer(stop, {"data": {**data, "start": "2026-11-23"}}).status == 204
    value = http.generate('prompt(kind="form")', user_message_id=message).json()["value"]
    assert "'start': datetime.date(2026, 11, 23), 'days': Decimal('2.5')" in value


def test_a_consent_is_asked_for_by_its_url(shared: Server) -> None:
    http = Http(shared)
    stop = http.generate('prompt(kind="oauth_consent")').json()
    auth = [stop[name] for name in ("status", "auth_url", "oauth_state")]
    assert auth == ["oauth_required", "https://login.example/authorize?state=s1", "s1"]
    assert http.get(stop["status_url"]).json() == stop | {"run_status": "waiting"}


SAYING_NOTHING: list[Any] = [None, {}, "yes", "none"]
# Answers to another type of prompt.
OTHER_TYPES: list[tuple[str, Json]] = [
    ("text", {"type": "radio", "selected_option": RED}),
    ("text", {"type": "radio", "text": "red"}),
    ("text", {"input_type": "form", "data": {}}),
    ("radio", {"type": "text", "selected_option": RED}),
    ("dropdown", {"type": "checkbox", "selected_option": RED}),
    ("notification", {"type": "radio", "selected_option": RED}),
]


@pytest.mark.parametrize(
    ("kind", "response", "says"),
    [
        ("radio", {"type": "radio", "selected_option": {"value": "perhaps"}}, "perhaps"),
        *(
            (kind, response, f"The question is of the type “{kind}”")
            for kind, response in OTHER_TYPES
        ),
        *(("text", response, "") for response in SAYING_NOTHING),
    ],
)
def test_an_answer_that_the_prompt_does_not_take_leaves_it_pending(
    shared: Server, kind: str, response: Any, says: str
) -> None:
    http = Http(shared)
    stop = http.generate(f'prompt(kind="{kind}")').json()
    body = {} if response == "none" else {"response": response}
    answer = http.post(stop["response_url"], body)
    problem = answer.json()
    assert (answer.status, says in problem["detail"]) == (422, True)
    if kind == "radio" and says == "perhaps":
        assert problem["options"] == ["red", "blue"]
    assert http.get(stop["status_url"]).json()["status"] == "interaction_required"
    if response in (None, "yes", "none"):
        right, *_ = problem["examples"]
        assert http.post(stop["response_url"], right).status == 204


def test_a_second_answer_is_refused_naming_the_first_person_and_time(shared: Server) -> None:
    http = Http(shared)
    stop = http.generate("ask()").json()
    assert http.answer(stop, YES).status == 204
    late = http.answer(stop, {"type": "text", "text": "no"})
    problem = late.json()
    assert (late.status, problem["answered_by"], problem["answered_via"]) == (400, "ann", "http")
    assert problem["answered_at"].endswith("Z")
    assert problem["response"] == {"value": "yes"}


def test_the_same_answer_under_the_same_id_is_accepted_again(shared: Server) -> None:
    http = Http(shared)
    stop = http.generate("ask()").json()
    assert [
        http.answer(stop, YES, user_message_id=stop["interaction_id"]).status for _ in range(2)
    ] == [204, 204]


def test_an_answer_to_a_run_that_was_stopped_is_too_late(shared: Server) -> None:
    http = Http(shared)
    stop = http.generate("ask()").json()
    assert http.delete(stop["status_url"]).status == 202
    until(lambda: http.get(stop["status_url"]).json()["status"] == "failed")
    answer = http.answer(stop, YES)
    assert (answer.status, answer.json()["interaction_status"]) == (400, "cancelled")


def test_unknown_prompts_and_prompts_of_another_run_are_404(shared: Server) -> None:
    http, unknown = Http(shared), str(uuid4())
    stop, other = (http.generate("ask()").json() for _ in range(2))
    for run, prompt in (
        (unknown, stop["interaction_id"]),
        (stop["execution_id"], unknown),
        (other["execution_id"], stop["interaction_id"]),
    ):
        url = f"/executions/{run}/interactions/{prompt}/response"
        assert http.post(url, {"response": YES}).status == 404
    assert http.get(stop["status_url"]).json()["status"] == "interaction_required"
