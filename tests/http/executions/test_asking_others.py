"""Requests whose run asks somebody else than the owner of the conversation."""

from uuid import uuid4

import pytest

from tests.conftest import NewServer
from tests.http.client import Http, Json, chat
from tests.support.server import Response, Server

ASSIGN = 'ask_others(to="@ben")'
CHILD = f"run_child({ASSIGN!r})"
NESTED = [CHILD, f"run_child({CHILD!r})"]
SINGLE = ["/generate", "/v1/workflow", "/chat", "/v1/chat", "/v1/chat/completions"]


def _body(text: str, **fields: object) -> Json:
    return chat(text) | {"input_message": text} | fields


def _waits_for(response: Response) -> Json:
    assert response.status == 202, response.text
    stop: Json = response.json()
    assert stop["execution_id"] == response.headers["execution-id"]
    return stop


def _let_ben_answer(server: Server, stop: Json) -> None:
    [asked] = stop["waits_for"]
    assert (asked["text"], asked["to"]) == ("Give ann 3 days off?", ["ben"])
    path = f"/v1/prompts/{asked['interaction_id']}/response"
    assert Http(server, "ben").post(path, {"response": {"text": "yes"}}).status == 204


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text"), [*((path, ASSIGN) for path in SINGLE), *(("/generate", n) for n in NESTED)]
)
def test_a_request_for_one_result_says_for_whom_its_run_waits(
    shared: Server, path: str, text: str
) -> None:
    http, message = Http(shared), uuid4().hex
    stop = _waits_for(http.post(path, _body(text), user_message_id=message))
    assert stop["status"] == "running"
    assert "Give ann 3 days off?" in stop["message"]
    status_body = http.get(stop["status_url"]).json()
    assert {name: status_body[name] for name in stop} == stop
    assert _waits_for(http.post(path, _body(text), user_message_id=message)) == stop
    _let_ben_answer(shared, stop)
    response = http.post(path, _body(text), user_message_id=message)
    assert response.status == 200
    assert "yes." in response.text


def test_a_request_that_waits_no_longer_gives_its_place_back(new_server: NewServer) -> None:
    http = Http(new_server(STREAMS_PER_USER="1"))
    for _ in range(2):
        _waits_for(http.generate(ASSIGN))


def test_a_job_does_not_wait_for_others(shared: Server) -> None:
    body = {"input_message": ASSIGN, "sync_timeout": 300}
    response = Http(shared).post("/generate/async", body)
    assert (response.status, response.json()["status"]) == (202, "running")


def test_a_prompt_that_was_handed_to_others_is_one_of_others(server: Server) -> None:
    http = Http(server)
    first = http.generate('ask_others(to="@ann")', user_message_id="m1").json()
    server.execute("UPDATE sessions_app_interaction SET for_owner = ?", False)
    stop = _waits_for(http.generate('ask_others(to="@ann")', user_message_id="m1"))
    assert [asked["interaction_id"] for asked in stop["waits_for"]] == [first["interaction_id"]]


@pytest.mark.parametrize(
    ("path", "text"), [("/generate/stream", ASSIGN), ("/chat/stream", NESTED[1])]
)
def test_a_stream_says_for_whom_its_run_waits_and_goes_on(
    shared: Server, path: str, text: str
) -> None:
    http, message = Http(shared), uuid4().hex
    with http.stream(path, _body(text), user_message_id=message) as stream:
        event = next(event for event in iter(stream.next, None) if event.name == "waits_for")
        stop = event.json()
        assert event.lines[""]["code"] == stop["event_type"] == "waits_for"
        assert stop["execution_id"] == stream.headers["execution-id"]
        _let_ben_answer(shared, stop)
        rest = stream.rest()
    assert "waits_for" not in {event.name for event in rest}
    assert "yes." in "".join(event.data for event in rest)
    with http.stream(path, _body(text), user_message_id=message) as stream:
        assert "waits_for" not in {event.name for event in stream.rest()}


def test_a_chunk_of_openai_says_for_whom_the_run_waits(shared: Server) -> None:
    http = Http(shared)
    with http.stream("/v1/chat/completions", _body(ASSIGN, stream=True)) as stream:
        first = stream.next()
        assert first is not None
        assert first.json()["choices"][0]["delta"] == {}
        _let_ben_answer(shared, first.json()["waits_for"])
        assert "yes." in "".join(event.data for event in stream.rest())
