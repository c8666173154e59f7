"""Requests whose run runs others, which ask."""

from uuid import uuid4

import pytest

from tests.conftest import NewServer
from tests.http.client import Http, Json, chat
from tests.support.server import Response, Server

YES = {"type": "text", "text": "yes"}
NESTED = ['run_child("ask()")', "run_child('run_child(\"ask()\")')"]


def _stop(answer: Response) -> Json:
    assert answer.status == 202
    stop: Json = answer.json()
    assert stop["status"] == "interaction_required"
    assert stop["execution_id"] == answer.headers["execution-id"]
    return stop


@pytest.mark.parametrize("text", NESTED)
def test_the_prompt_of_a_child_is_in_the_answer_and_in_the_status(
    shared: Server, text: str
) -> None:
    http, message = Http(shared), uuid4().hex
    stop = _stop(http.generate(text, user_message_id=message))
    assert stop["prompt"]["input_type"] == "text"
    assert [one["response_url"] for one in stop["interactions"]] == [stop["response_url"]]
    status_body = http.get(stop["status_url"]).json()
    assert status_body["run_status"] == "waiting"
    assert {name: status_body[name] for name in stop} == stop
    (child, _) = stop["response_url"].removeprefix("/executions/").split("/", 1)
    assert child != stop["execution_id"]
    assert http.get(f"/executions/{child}").json()["interactions"] == stop["interactions"]
    assert http.answer(stop, YES).status == 204
    assert http.generate(text, user_message_id=message).json() == {"value": "yes"}


@pytest.mark.parametrize(
    ("path", "text"), [("/generate/stream", NESTED[1]), ("/chat/stream", NESTED[0])]
)
def test_a_stream_tells_of_the_prompt_of_a_child_and_goes_on(
    shared: Server, path: str, text: str
) -> None:
    http = Http(shared)
    with http.stream(path, chat(text) | {"input_message": text}) as stream:
        events = iter(stream.next, None)
        stop = next(one for one in events if one.name == "interaction_required").json()
        assert stop["execution_id"] == stream.headers["execution-id"]
        assert http.answer(stop, YES).status == 204
        rest = stream.rest()
    assert "interaction_required" not in {event.name for event in rest}
    assert "yes" in "".join(event.data for event in rest)


def test_a_chunk_of_openai_has_the_prompt_of_a_child(shared: Server) -> None:
    http = Http(shared)
    with http.stream("/v1/chat/completions", chat('run_child("ask()")', stream=True)) as stream:
        first = stream.next()
        assert first is not None
        assert http.answer(first.json()["interaction_required"], YES).status == 204
        assert "yes" in "".join(event.data for event in stream.rest())


def test_prompts_of_children_are_not_those_of_other_runs(shared: Server) -> None:
    http = Http(shared)
    stop = _stop(http.generate('run_child("ask()")', conversation_id="of a parent"))
    other = _stop(http.generate("ask()", conversation_id="of another"))
    assert len(other["interactions"]) == 1
    # It makes way for a message of its conversation, as a run that asks by itself.
    assert http.generate('echo("1")', conversation_id="of a parent").json() == {"value": "1"}
    assert http.get(stop["status_url"]).json()["run_status"] == "cancelled"


@pytest.mark.slow
def test_each_of_two_runs_of_a_conversation_has_the_prompt_of_its_own_child(
    new_server: NewServer,
) -> None:
    workflows = "default: probe\nworkflows: {probe: {second_message: parallel}}\n"
    http = Http(new_server(workflows=workflows))
    first, second = (
        _stop(http.generate('run_child("ask()")', conversation_id="c1")) for _ in range(2)
    )
    assert [len(stop["interactions"]) for stop in (first, second)] == [1, 1]
    assert http.answer(second, YES).status == 204
    assert http.get(first["status_url"]).json()["interactions"] == first["interactions"]


def test_the_prompt_of_a_child_outlives_a_crash(new_server: NewServer) -> None:
    server = new_server()
    http = Http(server)
    stop = _stop(http.generate("run_child('run_child(\"ask()\")')", user_message_id="m1"))
    server.kill()
    server.start()
    assert _stop(http.generate("run_child('run_child(\"ask()\")')", user_message_id="m1")) == stop
    assert http.answer(stop, YES).status == 204
    assert http.generate("run_child('run_child(\"ask()\")')", user_message_id="m1").json() == {
        "value": "yes"
    }
