"""Requests whose run runs others, which ask."""

import pytest

from tests.conftest import NewServer
from tests.http.client import Http, Json, chat
from tests.support.server import Response, Server

YES = {"type": "text", "text": "yes"}
NESTED = ["child ask", "child child ask"]


def _stop(answer: Response) -> Json:
    assert answer.status == 202
    stop: Json = answer.json()
    assert stop["status"] == "interaction_required"
    assert stop["execution_id"] == answer.headers["execution-id"]
    return stop


@pytest.mark.parametrize("text", NESTED)
def test_an_answer_stops_at_the_prompt_of_a_child(server: Server, text: str) -> None:
    http = Http(server)
    stop = _stop(http.generate(text, user_message_id="m1"))
    assert stop["prompt"]["input_type"] == "text"
    assert [one["response_url"] for one in stop["interactions"]] == [stop["response_url"]]
    assert http.answer(stop, YES).status == 204
    assert http.generate(text, user_message_id="m1").json() == {"value": "yes"}


@pytest.mark.parametrize("text", NESTED)
def test_the_status_of_a_run_lists_the_prompts_of_its_children(server: Server, text: str) -> None:
    http = Http(server)
    stop = _stop(http.generate(text))
    standing = http.get(stop["status_url"]).json()
    assert standing["run_status"] == "waiting"
    assert {name: standing[name] for name in stop} == stop
    (child, _) = stop["response_url"].removeprefix("/executions/").split("/", 1)
    assert child != stop["execution_id"]
    own = http.get(f"/executions/{child}").json()
    assert own["interactions"] == stop["interactions"]


@pytest.mark.parametrize("text", NESTED)
@pytest.mark.parametrize("path", ["/generate/stream", "/chat/stream"])
def test_a_stream_tells_of_the_prompt_of_a_child_and_goes_on(
    server: Server, path: str, text: str
) -> None:
    http = Http(server)
    with http.stream(path, chat(text) | {"input_message": text}) as stream:
        events = iter(stream.next, None)
        stop = next(one for one in events if one.name == "interaction_required").json()
        assert stop["execution_id"] == stream.headers["execution-id"]
        assert http.answer(stop, YES).status == 204
        rest = stream.rest()
    assert "interaction_required" not in {event.name for event in rest}
    assert "yes" in "".join(event.data for event in rest)


def test_a_chunk_of_openai_has_the_prompt_of_a_child(server: Server) -> None:
    http = Http(server)
    with http.stream("/v1/chat/completions", chat("child ask", stream=True)) as stream:
        first = stream.next()
        assert first is not None
        assert http.answer(first.json()["interaction_required"], YES).status == 204
        assert "yes" in "".join(event.data for event in stream.rest())


def test_prompts_of_children_are_not_those_of_other_runs(server: Server) -> None:
    http = Http(server)
    stop = _stop(http.generate("child ask", conversation_id="c1"))
    other = _stop(http.generate("ask", conversation_id="c2"))
    assert len(other["interactions"]) == 1
    # It makes way for a message of its conversation, as a run that asks by itself.
    assert http.generate("echo 1", conversation_id="c1").json() == {"value": "1"}
    assert http.get(stop["status_url"]).json()["run_status"] == "cancelled"


def test_the_prompt_of_a_child_outlives_a_crash(new_server: NewServer) -> None:
    server = new_server()
    http = Http(server)
    stop = _stop(http.generate("child child ask", user_message_id="m1"))
    server.kill()
    server.start()
    assert _stop(http.generate("child child ask", user_message_id="m1")) == stop
    assert http.answer(stop, YES).status == 204
    assert http.generate("child child ask", user_message_id="m1").json() == {"value": "yes"}
