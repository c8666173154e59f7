"""Requests that hear a run as it goes."""

import asyncio
import signal
from itertools import pairwise
from typing import Any

import pytest

from tests.conftest import NewServer
from tests.http.client import Event, Http, chat, chunk_text
from tests.support.server import STOPPED, Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.every_form(reason="its streams come from other processes")

SUSPEND_FOR_GOOD = (
    "UPDATE sessions_app_run SET status = 'suspended'",
    """UPDATE sessions_app_event SET payload = '{"status": "suspended"}'
    WHERE sequence = (SELECT max(sequence) FROM sessions_app_event)""",
)
SUSPEND = """
    UPDATE sessions_app_event SET type = 'run', payload = '{"status": "suspended"}'
    WHERE sequence = (SELECT max(sequence) FROM sessions_app_event WHERE type = 'step')
"""


@pytest.mark.parametrize("path", ["/chat/stream", "/v1/chat/stream", "/v1/chat/completions"])
def test_chat_streams_chunks_and_ends_as_openai_does(shared: Server, path: str) -> None:
    with Http(shared).stream(path, chat("stream(tokens=3, delay=0.001)", stream=True)) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        events = [event for event in stream.rest() if event.data]
    assert chunk_text(events) == "t0 t1 t2 "
    first, *_, last, end = events
    assert end.data == "[DONE]"
    assert first.json()["object"] == "chat.completion.chunk"
    assert first.json()["choices"][0]["delta"]["role"] == "assistant"
    assert first.json()["choices"][0]["finish_reason"] is None
    assert last.json()["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]


@pytest.mark.parametrize("path", ["/generate/stream", "/v1/workflow/stream"])
def test_generate_streams_values(shared: Server, path: str) -> None:
    with Http(shared).stream(path, {"input_message": "stream(tokens=3, delay=0.001)"}) as stream:
        values = [event.json() for event in stream.rest() if event.data]
    assert "".join(value["value"] for value in values) == "t0 t1 t2 "


def test_steps_and_the_trace_come_as_lines_of_their_own(shared: Server) -> None:
    with Http(shared).stream("/chat/stream", chat("step(count=1)")) as stream:
        lines = [event.lines for event in stream.rest() if event.lines]
    trace, step_begin, step_end = lines
    assert len(trace["observability_trace"]["observability_trace_id"]) == 32
    step = step_begin["intermediate_data"]
    assert (step["type"], step["name"], step["status"]) == ("markdown", "step 1", "in_progress")
    assert step_end["intermediate_data"] == step | {"status": "complete"}


def test_completions_stream_openai_lines_alone(shared: Server) -> None:
    with Http(shared).stream("/v1/chat/completions", chat("step(count=2)", stream=True)) as stream:
        events = stream.rest()
    assert all(event.data and event.name == "message" and not event.lines for event in events)
    assert chunk_text(events) == "s1 s2 "


def test_every_event_has_an_id_that_never_goes_back(shared: Server) -> None:
    with Http(shared).stream("/chat/stream", chat("step(count=2)")) as stream:
        ids = [event.id for event in stream.rest() if event.id is not None]
    assert all(later >= earlier for earlier, later in pairwise(ids))
    # Who has only the first of two that say one thing is told both again.
    assert ids[-2] < ids[-1]


@pytest.mark.parametrize("path", ["/chat/stream", "/v1/workflow/stream"])
def test_a_stream_that_stops_at_a_prompt_stays_open_for_what_follows(
    shared: Server, path: str
) -> None:
    http = Http(shared)
    with http.stream(
        path, chat("approve(count=2)") | {"input_message": "approve(count=2)"}
    ) as stream:
        for _ in range(2):
            stop = _next(stream, "interaction_required").json()
            assert stop["event_type"] == stop["status"] == "interaction_required"
            assert stop["execution_id"] == stream.headers["execution-id"]
            answer = {"type": "binary_choice", "selected_option": {"value": "continue"}}
            assert http.answer(stop, answer).status == 204
        rest = "".join(event.data for event in stream.rest())
    assert "continue|continue" in rest


@pytest.mark.slow
@pytest.mark.parametrize("ids", [{"user_message_id": "m1"}, {}])
def test_a_stream_goes_on_after_the_last_event_id(
    new_server: NewServer, ids: dict[str, str]
) -> None:
    server = new_server()
    http = Http(server)
    body = {"input_message": "stream(tokens=60, delay=0.02)"}
    with http.stream("/generate/stream", body, conversation_id="c1", **ids) as stream:
        had = [_next(stream) for _ in range(2)]
    server.kill()
    server.start()
    last = str(had[-1].id)
    with http.stream(
        "/generate/stream", body, conversation_id="c1", last_event_id=last, **ids
    ) as stream:
        rest = stream.rest()
    values = [event.json()["value"] for event in had + rest if event.data and "value" in event.data]
    restarts = [event for event in rest if event.name == "restart"]
    assert not restarts
    assert "".join(values) == "".join(f"t{number} " for number in range(60))
    assert len(server.rows("SELECT 1 FROM sessions_app_run")) == 1


@pytest.mark.slow
def test_each_person_goes_on_in_their_own_conversation_of_a_name_that_two_have(
    shared: Server,
) -> None:
    path, body, name = "/generate/stream", {"input_message": "stream(tokens=3)"}, "of both"
    had = {}
    for user in ("ann", "ben"):
        with Http(shared, user).stream(path, body, conversation_id=name) as stream:
            had[user] = stream.headers["execution-id"], str(_next(stream).id)
    for user, (execution, last) in had.items():
        ids = {"conversation_id": name, "last_event_id": last}
        with Http(shared, user).stream(path, body, **ids) as stream:
            assert (stream.status, stream.headers["execution-id"]) == (200, execution)


def test_a_finished_stream_can_be_heard_again(shared: Server) -> None:
    http = Http(shared)
    for _ in range(2):
        with http.stream(
            "/chat/stream", chat("stream(tokens=50)"), user_message_id="again"
        ) as stream:
            assert chunk_text(stream.rest()).split() == [f"t{number}" for number in range(50)]
    execution = http.post("/chat", chat("stream(tokens=50)"), user_message_id="again")
    assert execution.json()["choices"][0]["message"]["content"].startswith("t0 t1 ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"last_event_id": "1"}, 404),
        ({"last_event_id": "1", "user_message_id": "place"}, 404),
        ({"last_event_id": "1", "conversation_id": "other places"}, 404),
        ({"last_event_id": "99", "conversation_id": "places"}, 404),
        ({"last_event_id": "99", "conversation_id": "places", "user_message_id": "place"}, 422),
        ({"last_event_id": "-1"}, 422),
        ({"last_event_id": "x"}, 422),
        ({"last_event_id": str(2**70)}, 422),
    ],
)
def test_a_place_that_the_log_does_not_have_is_an_error(
    shared: Server, headers: dict[str, str], status: int
) -> None:
    http = Http(shared)
    http.generate('echo("1")', conversation_id="places", user_message_id="place")
    answer = http.post("/generate/stream", {"input_message": 'echo("1")'}, **headers)
    assert answer.status == status
    assert answer.json()["message"]


def test_a_stopped_run_ends_its_stream_with_an_error(shared: Server) -> None:
    http = Http(shared)
    with http.stream("/chat/stream", chat("ask()")) as stream:
        prompt_event = _next(stream, "interaction_required")
        http.delete(prompt_event.json()["status_url"])
        *_, last = stream.rest()
    assert last.json()["error"]["code"] == "cancelled"
    assert all(
        all(event.lines[""].values()) for event in (prompt_event, last)
    )  # the peer's UI wants that


def test_two_runs_of_a_conversation_stay_apart(shared: Server) -> None:
    http = Http(shared, workflow="parallel_review")
    ids = {"conversation_id": "apart"}
    with (
        http.stream("/chat/stream", chat("one"), **ids) as one,
        http.stream("/chat/stream", chat("ask_two()"), **ids) as two,
    ):
        for stream in (one, two):
            stop = _next(stream, "interaction_required").json()
            assert stop["execution_id"] == stream.headers["execution-id"]


@pytest.mark.slow
def test_what_others_do_keeps_no_run_from_its_reader(shared: Server) -> None:
    """A child writes more events than a feed runs ahead of its reader."""
    said = "".join(f"s{number} " for number in range(1, 151))
    assert Http(shared).generate('run_child("step(count=150)")').json() == {"value": said}


@pytest.mark.slow
async def test_a_socket_sees_the_run_and_answers_it(shared: Server) -> None:
    http = Http(shared)
    async with WsClient(shared, "seen") as socket:
        answer = await asyncio.to_thread(http.generate, "ask()", conversation_id="seen")
        prompt = await socket.until("system_interaction_message")
        assert prompt["id"] == answer.json()["interaction_id"]
        await socket.answer("yes", prompt)
        await socket.until(lambda frame: frame["status"] == "complete" and "run_id" in frame)
    late = http.answer(answer.json(), {"type": "text", "text": "no"})
    assert (late.status, late.json()["answered_by"]) == (400, "ann")
    assert late.json()["answered_via"] == "websocket"


@pytest.mark.slow
def test_a_stopping_server_announces_its_end_in_streams(new_server: NewServer) -> None:
    server = new_server()
    http = Http(server)
    with http.stream(
        "/chat/stream", chat("stream(tokens=10000, delay=0.01)"), user_message_id="m1"
    ) as stream:
        _next(stream)
        server.web.send(signal.SIGTERM)
        *_, last = stream.rest()
        assert server.web.wait(20) == STOPPED
    server.was_killed = True
    assert "restarts" in last.json()["error"]["message"]


@pytest.mark.slow
def test_a_stream_ends_with_the_session(server: Server) -> None:
    http = Http(server)
    with http.stream("/chat/stream", chat("stream(tokens=10000, delay=0.01)")) as stream:
        _next(stream)
        assert http.post("/sign-out/", "").status == 302
        *_, last = stream.rest()
    assert last.json()["error"]["code"] == "user_auth_error"


def _next(stream: Any, name: str | None = None) -> Event:
    while (event := stream.next()) is not None:
        if event.name == name or (name is None and event.data):
            next_event: Event = event
            return next_event
    raise AssertionError("the stream has ended")


@pytest.mark.slow
def test_a_suspension_that_is_over_ends_no_stream(server: Server) -> None:
    http = Http(server)
    with http.stream("/chat/stream", chat("step(count=1)"), user_message_id="m1") as stream:
        whole = chunk_text([event for event in stream.rest() if event.data])
    # As if the run had been suspended when its first step ended, and resumed since.
    server.execute(SUSPEND)
    with http.stream("/chat/stream", chat("step(count=1)"), user_message_id="m1") as stream:
        events = stream.rest()
    assert all(event.name == "message" for event in events)
    assert chunk_text([event for event in events if event.data]) == whole


@pytest.mark.slow
def test_a_run_that_is_suspended_ends_what_waits_for_it_with_the_reason(server: Server) -> None:
    http = Http(server)
    assert http.generate('echo("1")', user_message_id="m1").status == 200
    for statement in SUSPEND_FOR_GOOD:
        server.execute(statement)
    answer = http.generate('echo("1")', user_message_id="m1")
    assert (answer.status, answer.json()["code"]) == (422, "suspended")
    assert http.get("/generate/async/job/m1").json()["status"] == "failure"
    with http.stream("/chat/stream", chat('echo("1")'), user_message_id="m1") as stream:
        assert stream.rest()[-1].json()["error"]["code"] == "suspended"
