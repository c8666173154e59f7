"""Requests whose run asks in a run of its own, or asks somebody else than its owner."""

import pytest

from tests.conftest import NewServer
from tests.http.client import Http, Json, chat
from tests.support.server import Response, Server

YES = {"text": "yes"}
ASK = "ask()"
ASSIGN = 'ask_others(to="@ben")'
SINGLE = ["/v1/workflow", "/chat", "/v1/chat", "/v1/chat/completions"]


def child(text: str) -> str:
    return f"run_child({text!r})"


def _body(text: str, **fields: object) -> Json:
    return chat(text) | {"input_message": text} | fields


def _stop(response: Response) -> Json:
    assert response.status == 202, response.text
    stop: Json = response.json()
    assert stop["execution_id"] == response.headers["execution-id"]
    return stop


def _answer(server: Server, stop: Json) -> None:
    """Answer as the owner, or as whom the run waits for."""
    if "waits_for" not in stop:
        assert Http(server).answer(stop, YES).status == 204
        return
    [asked] = stop["waits_for"]
    assert (asked["text"], asked["to"]) == ("Give ann 3 days off?", ["ben"])
    path = f"/v1/prompts/{asked['interaction_id']}/response"
    assert Http(server, "ben").post(path, {"response": YES}).status == 204


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text"),
    [
        *((path, ASSIGN) for path in SINGLE),
        *(("/generate", text) for text in (ASSIGN, child(ASSIGN), child(child(ASSIGN)))),
    ],
)
def test_a_request_for_one_result_says_for_whom_its_run_waits(
    shared: Server, path: str, text: str
) -> None:
    stop = _asked_and_answered(shared, path, text)
    assert stop["status"] == "running"
    assert "Give ann 3 days off?" in stop["message"]


@pytest.mark.parametrize("text", [child(ASK), child(child(ASK))])
def test_the_prompt_of_a_child_is_in_the_answer_and_in_the_status(
    shared: Server, text: str
) -> None:
    stop = _asked_and_answered(shared, "/generate", text)
    assert (stop["status"], stop["prompt"]["input_type"]) == ("interaction_required", "text")
    assert [one["response_url"] for one in stop["interactions"]] == [stop["response_url"]]
    (run, _) = stop["response_url"].removeprefix("/executions/").split("/", 1)
    assert run != stop["execution_id"]
    assert Http(shared).get(f"/executions/{run}").json()["run_status"] == "completed"


def _asked_and_answered(server: Server, path: str, text: str) -> Json:
    http, body, ids = Http(server), _body(text), {"user_message_id": f"{path} {text}"}
    stop = _stop(http.post(path, body, **ids))
    status_body = http.get(stop["status_url"]).json()
    assert {name: status_body[name] for name in stop} == stop
    if "interactions" in stop:
        run = stop["response_url"].partition("/interactions/")[0]
        assert http.get(run).json()["interactions"] == stop["interactions"]
    assert _stop(http.post(path, body, **ids)) == stop
    _answer(server, stop)
    response = http.post(path, body, **ids)
    assert (response.status, "yes" in response.text) == (200, True)
    return stop


@pytest.mark.slow
def test_a_request_that_waits_no_longer_gives_its_place_back(new_server: NewServer) -> None:
    http = Http(new_server(STREAMS_PER_USER="1"))
    for _ in range(2):
        _stop(http.generate(ASSIGN))


def test_a_job_does_not_wait_for_others(shared: Server) -> None:
    body = {"input_message": ASSIGN, "sync_timeout": 300}
    response = Http(shared).post("/generate/async", body)
    assert (response.status, response.json()["status"]) == (202, "running")


def test_a_prompt_that_was_handed_to_others_is_one_of_others(server: Server) -> None:
    http = Http(server)
    first = http.generate('ask_others(to="@ann")', user_message_id="m1").json()
    server.execute("UPDATE sessions_app_interaction SET for_owner = ?", False)
    stop = _stop(http.generate('ask_others(to="@ann")', user_message_id="m1"))
    assert [asked["interaction_id"] for asked in stop["waits_for"]] == [first["interaction_id"]]


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("/generate/stream", child(child(ASK)), "interaction_required"),
        ("/chat/stream", child(ASK), "interaction_required"),
        ("/generate/stream", ASSIGN, "waits_for"),
        ("/chat/stream", child(child(ASSIGN)), "waits_for"),
    ],
)
def test_a_stream_says_once_what_its_run_waits_for_and_goes_on(
    shared: Server, path: str, text: str, name: str
) -> None:
    http, ids = Http(shared), {"user_message_id": f"streamed {text}"}
    with http.stream(path, _body(text), **ids) as stream:
        event = next(event for event in iter(stream.next, None) if event.name == name)
        stop = event.json()
        assert event.lines[""]["code"] == stop["event_type"] == name
        assert stop["execution_id"] == stream.headers["execution-id"]
        _answer(shared, stop)
        rest = stream.rest()
    assert name not in {event.name for event in rest}
    assert "yes" in "".join(event.data for event in rest)
    with http.stream(path, _body(text), **ids) as stream:
        assert name not in {event.name for event in stream.rest()}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ASK, "interaction_required"),
        (child(ASK), "interaction_required"),
        (ASSIGN, "waits_for"),
    ],
)
def test_a_chunk_of_openai_has_what_its_run_waits_for(shared: Server, text: str, name: str) -> None:
    with Http(shared).stream("/v1/chat/completions", _body(text, stream=True)) as stream:
        first = stream.next()
        assert first is not None
        assert first.json()["choices"][0]["delta"] == {}
        _answer(shared, first.json()[name])
        assert "yes" in "".join(event.data for event in stream.rest())


def test_prompts_of_children_are_not_those_of_other_runs(shared: Server) -> None:
    http = Http(shared)
    stop = _stop(http.generate(child(ASK), conversation_id="of a parent"))
    other = _stop(http.generate(ASK, conversation_id="of another"))
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
    first, second = (_stop(http.generate(child(ASK), conversation_id="c1")) for _ in range(2))
    assert [len(stop["interactions"]) for stop in (first, second)] == [1, 1]
    assert http.answer(second, YES).status == 204
    assert http.get(first["status_url"]).json()["interactions"] == first["interactions"]


@pytest.mark.slow
def test_the_prompt_of_a_child_outlives_a_crash(new_server: NewServer) -> None:
    server = new_server()
    http, text = Http(server), child(child(ASK))
    stop = _stop(http.generate(text, user_message_id="m1"))
    server.kill()
    server.start()
    assert _stop(http.generate(text, user_message_id="m1")) == stop
    assert http.answer(stop, YES).status == 204
    assert http.generate(text, user_message_id="m1").json() == {"value": "yes"}
