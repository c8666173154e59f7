"""Requests that wait for one result."""

import json
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import NewServer
from tests.http.client import Http, chat
from tests.support.polling import until
from tests.support.server import Server


@pytest.mark.parametrize("path", ["/generate", "/v1/workflow"])
def test_generate_answers_with_the_value(shared: Server, path: str) -> None:
    answer = Http(shared).post(path, {"input_message": 'echo("hello")'})
    assert (answer.status, answer.json()) == (200, {"value": "hello"})


@pytest.mark.parametrize("path", ["/chat", "/v1/chat", "/v1/chat/completions"])
def test_chat_answers_with_a_completion(shared: Server, path: str) -> None:
    completion = Http(shared).post(path, chat('echo("hello")')).json()
    assert completion["object"] == "chat.completion"
    assert completion["model"] == "probe"
    message = {"role": "assistant", "content": "hello"}
    assert completion["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]


def test_the_input_is_the_last_text_of_the_last_user_message(shared: Server) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": 'echo("0")'},
        {"role": "assistant", "content": None, "tool_calls": []},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": 'echo("0")'},
                {"type": "text", "text": 'echo("1")'},
                {"type": "image_url", "image_url": {"url": "data:,"}},
            ],
            "name": "ann",
        },
        {"role": "system", "content": "Be brief, I said."},
    ]
    answer = Http(shared).post("/chat", {"messages": messages, "temperature": 0})
    assert answer.json()["choices"][0]["message"]["content"] == "1"


BAD_MESSAGE = "invalid_user_message_content"
GOOD = chat('echo("1")')
# A body that no path takes; the code of the error, and a word of its message.
BODIES: list[tuple[Any, int, str, str]] = [
    ("{", 400, "invalid_message", "JSON"),
    ("[" * 9_000, 400, "invalid_message", ""),
    ([], 422, "invalid_message", ""),
    ({}, 422, "invalid_message", "input_message"),
    ({"input_message": 1}, 422, "invalid_message", "input_message"),
    ({"input_message": "\0"}, 422, "invalid_message", "input_message"),
    ({"input_message": "\ud800"}, 422, "invalid_message", "input_message"),
    ({"input_message": " "}, 422, BAD_MESSAGE, ""),
    ({"input_message": "x" * 40_000}, 422, BAD_MESSAGE, ""),
    ({"input_message": "x" * 4_000_000}, 413, "invalid_message", ""),
]
FIELDS: list[tuple[str, Any]] = [
    ("temperature", "hot"),
    ("temperature", "0.7"),
    ("top_p", []),
    ("max_tokens", 1.5),
    ("max_tokens", "many"),
    ("stream", "yes"),
    ("stream", 1),
    ("n", "two"),
    ("user", 5),
    ("messages", [{"content": 'echo("1")'}]),
    ("messages", [{"role": None, "content": 'echo("1")'}]),
    ("messages", 'echo("1")'),
]
CHATS = ["/chat", "/chat/stream", "/v1/chat/completions"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "says"),
    [
        *(("/generate", *row) for row in BODIES),
        *(
            (path, {**GOOD, field: value}, 422, "invalid_message", f"body.{field}")
            for path in CHATS
            for field, value in FIELDS
        ),
        *(
            (
                path,
                {"messages": [*GOOD["messages"], {"role": role, "content": "21 degrees"}]},
                422,
                "invalid_message",
                f"must have the role user, not {role}",
            )
            for path in CHATS
            for role in ("tool", "assistant", "function")
        ),
        ("/generate?workflow=nope", {"input_message": "x"}, 422, "invalid_data_content", "probe"),
    ],
)
def test_a_bad_body_starts_nothing_and_is_an_error_in_the_peers_form_that_says_why(
    shared: Server, path: str, body: Any, status: int, code: str, says: str
) -> None:
    before = _runs(shared)
    answer = Http(shared).post(path, body)
    error = answer.json()
    assert (answer.status, error["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert error.keys() == {"code", "message", "details"}
    assert all(error.values())
    assert says in error["message"] + error["details"]
    if says.startswith("body."):
        named = json.loads(error["details"])["fields"]
        assert all(each["field"].startswith(says) for each in named)
    assert _runs(shared) == before


def test_a_name_that_is_too_long_is_measured_in_characters(shared: Server) -> None:
    answer = Http(shared).generate('echo("1")', conversation_id="x" * 201)
    assert answer.status == 422
    assert answer.json()["message"].endswith("String should have at most 200 characters")


def test_a_run_that_stops_at_a_prompt_goes_on_with_its_answer(shared: Server) -> None:
    http = Http(shared)
    answer = http.generate("approve(count=2)")
    assert answer.status == 202
    stop = answer.json()
    assert stop["status"] == "interaction_required"
    assert stop["prompt"]["input_type"] == "binary_choice"
    chosen = {"type": "binary_choice", "selected_option": {"id": "continue", "value": "continue"}}
    assert http.answer(stop, chosen).status == 204

    second = _until(http, stop["status_url"], "interaction_required")
    assert second["interaction_id"] != stop["interaction_id"]
    assert second["prompt"]["text"] == "prompt-2"
    assert http.answer(second, chosen).status == 204
    status_body = _until(http, stop["status_url"], "completed")
    assert status_body["result"] == {"value": "continue|continue"}


def test_the_status_has_the_result_in_the_form_of_its_path(shared: Server) -> None:
    http = Http(shared)
    execution = http.post("/chat", chat('echo("hello")')).headers["execution-id"]
    status_body = http.get(f"/executions/{execution}").json()
    assert status_body["status"] == status_body["run_status"] == "completed"
    assert status_body["result"]["choices"][0]["message"]["content"] == "hello"


def test_the_status_of_a_run_that_no_path_started_has_the_plain_result(shared: Server) -> None:
    http, message = Http(shared), {"text": 'echo("hello")', "workflow": "probe"}
    assert http.form("/c/page/messages/", message).status == 303
    query = (
        "SELECT r.id FROM sessions_app_run r JOIN sessions_app_conversation c"
        " ON c.id = r.conversation_id WHERE c.conversation_id = 'page'"
    )
    run = UUID(str(shared.rows(query)[0]["id"]))
    assert _until(http, f"/executions/{run}", "completed")["result"] == {"value": "hello"}


def test_the_status_of_a_run_at_work_is_running(shared: Server) -> None:
    http = Http(shared)
    with http.stream(
        "/generate/stream", {"input_message": "stream(tokens=1000, delay=0.02)"}
    ) as stream:
        status_body = http.get(f"/executions/{stream.headers['execution-id']}").json()
        assert status_body["status"] == "running"


def test_the_same_message_id_again_starts_nothing_new(shared: Server) -> None:
    http, before = Http(shared), _runs(shared)
    ids = {"conversation_id": "repeated", "user_message_id": "m1"}
    first, second = http.generate('echo("1")', **ids), http.generate('echo("1")', **ids)
    assert first.headers["execution-id"] == second.headers["execution-id"]
    assert first.json() == second.json() == {"value": "1"}
    # A message of a new conversation names that too.
    stop, stop_again = (http.generate("ask()", user_message_id="alone").json() for _ in range(2))
    assert stop == stop_again
    http.answer(stop, {"type": "text", "text": "yes"})
    assert http.generate("ask()", user_message_id="alone").json() == {"value": "yes"}
    assert _runs(shared) == before + 2


def test_a_request_may_replace_the_message_of_a_run_or_go_on_with_its_branch(
    server: Server,
) -> None:
    http = Http(server)
    first = http.generate('echo("1")', conversation_id="c1").headers["execution-id"]
    second = http.generate('echo("2")', conversation_id="c1", replaces=first)
    assert second.json() == {"value": "2"}
    again = http.generate("", conversation_id="c1", replaces=second.headers["execution-id"])
    assert again.json() == {"value": "2"}
    assert http.generate('echo("3")', conversation_id="c1", follows=first).json() == {"value": "3"}
    rows = server.rows(
        "SELECT forked_from_id, follows_id FROM sessions_app_run ORDER BY created_at"
    )
    assert [bool(row["forked_from_id"]) for row in rows] == [False, True, True, False]
    assert [bool(row["follows_id"]) for row in rows] == [False, False, False, True]
    for user, header in (("ann", "replaces"), ("ben", "follows")):
        answer = Http(server, user).generate('echo("1")', conversation_id="c2", **{header: first})
        assert answer.status == 404


def test_a_run_knows_the_request_but_no_secret_of_it(shared: Server) -> None:
    http = Http(shared, sesame="hush-1", session="hush-2")
    secrets = {"x_api_key": "hush-3", "proxy_authorization": "hush-4"}
    http.generate('echo("1")', traceparent="00-1", x_tenant="t1", **secrets)
    last = "SELECT metadata FROM sessions_app_run ORDER BY created_at DESC LIMIT 1"
    (row,) = shared.rows(last)
    metadata = json.loads(row["metadata"])
    assert (metadata["method"], metadata["url_path"]) == ("POST", "/generate")
    assert metadata["headers"]["x-tenant"] == "t1"
    assert metadata["headers"]["traceparent"] == "00-1"
    assert metadata["query_params"] == {"workflow": "probe"}
    assert shared.cookies["ann"] not in row["metadata"]
    assert "hush" not in row["metadata"]


def test_a_stopped_run_is_a_conflict(shared: Server) -> None:
    http, ids = Http(shared), {"conversation_id": "stopped", "user_message_id": "m1"}
    stop = http.generate("ask()", **ids).json()
    assert http.post("/c/stopped/stop/", "").status == 303
    assert _until(http, stop["status_url"], "failed")["run_status"] == "cancelled"
    response = http.generate("ask()", **ids)
    assert (response.status, response.json()["code"]) == (409, "cancelled")
    assert response.headers["x-should-retry"] == "false"


def test_a_failed_run_is_reported_without_internals(shared: Server) -> None:
    answer = Http(shared).generate('fail(text="")')
    assert answer.status == 422
    error = answer.json()
    assert error["code"] == "workflow_error"
    run = json.loads(error["details"])["execution_id"]
    assert "invalid literal" not in answer.text
    assert answer.headers["x-should-retry"] == "false"
    status_body = Http(shared).get(f"/executions/{run}").json()
    assert (status_body["status"], status_body["error"]) == ("failed", error["message"])


def test_parameters_for_a_language_model_are_ignored(shared: Server) -> None:
    body = chat('echo("1")', temperature=0.7, top_p=1, max_tokens=5, stream=None, n=1, seed=3, x=[])
    assert Http(shared).post("/chat", body).status == 200


def test_all_open_prompts_are_in_the_answer_and_in_the_status(shared: Server) -> None:
    http = Http(shared)
    stop = http.generate("ask_two()").json()
    assert [each["prompt"]["text"] for each in stop["interactions"]] == ["one?", "two?"]
    first, second = stop["interactions"]
    assert stop["interaction_id"] == first["interaction_id"]
    assert http.answer(second, {"type": "text", "text": "2"}).status == 204
    status_body = http.get(stop["status_url"]).json()
    assert [each["interaction_id"] for each in status_body["interactions"]] == [
        first["interaction_id"]
    ]
    assert http.answer(first, {"type": "text", "text": "1"}).status == 204
    assert _until(http, stop["status_url"], "completed")["result"] == {"value": "1|2"}


def test_an_execution_can_be_stopped_by_its_owner(shared: Server) -> None:
    ann, ben = Http(shared, "ann"), Http(shared, "ben")
    stop = ann.generate("ask()").json()
    assert ben.delete(stop["status_url"]).status == 404
    assert ann.get(stop["status_url"]).json()["status"] == "interaction_required"
    assert [ann.delete(stop["status_url"]).status for _ in range(2)] == [202, 202]
    status_body = _until(ann, stop["status_url"], "failed")
    assert status_body["run_status"] == "cancelled"
    assert ann.delete(stop["status_url"]).status == 202
    assert ann.get(stop["status_url"]).json() == status_body


@pytest.mark.slow
def test_only_the_named_execution_is_stopped(shared: Server) -> None:
    http = Http(shared)
    short, long = ({"input_message": f"stream(tokens={n}, delay=0.1)"} for n in (10, 10_000))
    with (
        http.stream("/generate/stream", short, conversation_id="two") as first,
        http.stream("/generate/stream", long, conversation_id="two") as second,
    ):
        runs = [f"/executions/{stream.headers['execution-id']}" for stream in (first, second)]
        assert http.delete(runs[1]).status == 202
    _until(http, runs[1], "failed")
    _until(http, runs[0], "completed")


@pytest.mark.slow
def test_a_workflow_that_takes_one_message_at_a_time_is_busy(new_server: NewServer) -> None:
    workflows = "default: probe\nworkflows: {probe: {second_message: reject}}\n"
    http = Http(new_server(workflows=workflows))
    body = {"input_message": "stream(tokens=10000, delay=0.01)"}
    with http.stream("/generate/stream", body, conversation_id="c1") as stream:
        assert stream.next() is not None
        assert http.generate('echo("1")', conversation_id="c1").status == 409


def _runs(server: Server) -> int:
    return len(server.rows("SELECT 1 FROM sessions_app_run"))


def _until(http: Http, url: str, status: str) -> dict[str, Any]:

    def fetch_status() -> dict[str, Any] | None:
        status_body: dict[str, Any] = http.get(url).json()
        return status_body if status_body["status"] == status else None

    return until(fetch_status, otherwise=lambda: http.get(url).json())
