"""OpenAI's own client, as it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIError, APIStatusError, NotFoundError, OpenAI

from tests.conftest import NewServer
from tests.http.api_keys import make_key
from tests.http.client import Http, chat
from tests.support.server import Server

pytestmark = pytest.mark.formless  # its bodies are the same; streams have tests in both


@pytest.fixture(scope="module")
def key(shared: Server) -> str:
    return make_key(shared, "ann")


@pytest.fixture
def openai(shared: Server, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{shared.url}/v1", api_key=key) as client:
        yield client


def say(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("model", "text", "workflow", "answer"),
    [("probe", 'echo("hello")', "probe", "hello"), ("gpt-5", "What is 4 * 5?", "assistant", "20")],
)
def test_the_client_gets_a_completion_of_its_model_or_of_the_default_workflow(
    openai: OpenAI, model: str, text: str, workflow: str, answer: str
) -> None:
    completion = openai.chat.completions.create(model=model, messages=say(text))
    assert (completion.choices[0].finish_reason, completion.model) == ("stop", workflow)
    assert answer in (completion.choices[0].message.content or "")


def test_the_client_gets_a_model_or_its_own_error(openai: OpenAI) -> None:
    assert openai.models.retrieve("probe") == next(
        model for model in openai.models.list() if model.id == "probe"
    )
    with pytest.raises(NotFoundError, match="There is no workflow 'no-such'") as raised:
        openai.models.retrieve("no-such")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_the_stream_helper_assembles_the_answer(openai: OpenAI) -> None:
    with openai.chat.completions.stream(model="probe", messages=say("step(count=2)")) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].message.content == "s1 s2 "


def test_a_prompt_is_in_the_extra_fields(shared: Server, openai: OpenAI) -> None:
    arguments: Any = {"model": "probe", "messages": say("ask()")}
    arguments["extra_headers"] = {"user-message-id": "in the extra fields"}
    stop = openai.chat.completions.create(**arguments).model_extra or {}
    assert stop["status"] == "interaction_required"
    Http(shared).answer(stop, {"type": "text", "text": "yes"})
    completion = openai.chat.completions.create(**arguments)
    assert completion.choices[0].message.content == "yes"


def test_a_prompt_in_its_stream_is_in_the_extra_fields(shared: Server, openai: OpenAI) -> None:
    text = ""
    for chunk in openai.chat.completions.create(model="probe", messages=say("ask()"), stream=True):
        text += chunk.choices[0].delta.content or ""
        if chunk.model_extra and "interaction_required" in chunk.model_extra:
            stop = chunk.model_extra["interaction_required"]
            Http(shared).answer(stop, {"type": "text", "text": "yes"})
    assert text == "yes"


@pytest.mark.slow
def test_the_tokens_that_a_workflow_reports_are_its_usage_also_after_a_crash(
    new_server: NewServer,
) -> None:
    server = new_server(PARK_AFTER="0.1")
    key = make_key(server, "ann")
    arguments: Any = {
        "model": "probe",
        "messages": say("report_usage(prompt_tokens=10, completion_tokens=3)"),
    }
    arguments["extra_headers"] = {"user-message-id": "m1"}
    with OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
        stop = client.chat.completions.create(**arguments).model_extra or {}
        server.kill()
        server.start()
        Http(server).answer(stop, {"type": "text", "text": "yes"})
        completion = client.chat.completions.create(**arguments)
        assert completion.usage is not None
        used = (
            completion.usage.prompt_tokens,
            completion.usage.completion_tokens,
            completion.usage.total_tokens,
        )
        assert used == (20, 6, 26)
        arguments |= {
            "stream": True,
            "extra_headers": {"user-message-id": "m1", "last-event-id": "0"},
        }
        chunks = list(
            client.chat.completions.create(**arguments, stream_options={"include_usage": True})
        )
        assert (chunks[-1].choices, chunks[-1].usage) == ([], completion.usage)
        assert [
            chunk.usage for chunk in client.chat.completions.create(**arguments) if chunk.usage
        ] == []


def test_usage_is_zero_without_reported_tokens(shared: Server, openai: OpenAI) -> None:
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    answer = Http(shared).post("/chat", chat('echo("1")', stream_options={"include_usage": True}))
    assert answer.json()["usage"] == none
    arguments: Any = {"model": "probe", "messages": say('echo("1")'), "stream": True}
    assert all(chunk.usage is None for chunk in openai.chat.completions.create(**arguments))
    *_, last = openai.chat.completions.create(**arguments, stream_options={"include_usage": True})
    assert last.usage is not None
    assert last.usage.model_dump(exclude_none=True) == none


def test_a_failed_run_is_an_error_and_not_tried_again(shared: Server, openai: OpenAI) -> None:
    before = len(shared.rows("SELECT 1 FROM sessions_app_run"))
    with pytest.raises(APIStatusError) as error_info:
        openai.chat.completions.create(model="probe", messages=say("fail()"))
    assert error_info.value.status_code == 422
    assert "internal secret" not in str(error_info.value)
    assert len(shared.rows("SELECT 1 FROM sessions_app_run")) == before + 1


def test_a_failed_run_is_an_error_of_its_stream(openai: OpenAI) -> None:
    with pytest.raises(APIError, match="The workflow raised ValueError"):
        list(openai.chat.completions.create(model="probe", messages=say("fail()"), stream=True))
