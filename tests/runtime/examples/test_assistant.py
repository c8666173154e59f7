"""Tests of the example `assistant`: with a model over HTTP, and with the script instead."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from natproject.workflows.assistant import tools
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from tests.contrib.agents import mcp_process
from tests.runtime.examples.model_endpoint import ModelEndpoint, call, serving, text, thought
from tests.support.hosting import SentTo
from tests.support.processes.command import run
from tests.support.processes.environment import environment
from tests.support.server import free_port


@pytest.fixture(autouse=True)
def notes(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    settings.OPENAI_MODEL = ""
    return tmp_path / "notes"


@pytest.fixture
def endpoint(settings: Settings) -> Iterator[ModelEndpoint]:
    with serving() as endpoint:
        settings.OPENAI_BASE_URL = endpoint.url
        settings.OPENAI_MODEL = "some-model"
        settings.OPENAI_API_KEY = "a-key"
        yield endpoint


WRITE_AND_READ = """
import django
from types import SimpleNamespace
django.setup()
from natproject.workflows.assistant.tools import read_note, write_note
context = SimpleNamespace(user=SimpleNamespace(id=1))
write_note("greeting", "\\u00fcber", context)
print(ascii(read_note("greeting", context)))
"""


@pytest.mark.slow
def test_notes_hold_any_text_whatever_the_locale(tmp_path: Path) -> None:
    ascii_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = run("-c", WRITE_AND_READ, env=environment(tmp_path, **ascii_locale))
    assert process.stdout == "'\\xfcber'\n", process.stderr


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def kept(notes: Path) -> list[str]:
    return sorted(path.stem for path in notes.glob("*/*.txt"))


class TestEndpoint:
    async def test_the_answer_is_streamed_with_its_reasoning_as_a_step(
        self, endpoint: ModelEndpoint, sent_to: SentTo
    ) -> None:
        endpoint.answers = [[thought("They "), thought("greet."), *text("Good ", "morning.")]]
        async with sent_to("assistant", "Hello") as (_, run):
            assert await run.result() == "Good morning."
            assert await run.shown() == ["Reasoning"]
            usage = [one.result for one in await run.journal() if one.call.kind == "usage"]
        assert usage == [{"prompt_tokens": 7, "completion_tokens": 3}]
        assert endpoint.keys == ["Bearer a-key"]
        [asked] = endpoint.requests
        assert asked["model"] == "some-model"
        assert {tool["function"]["name"] for tool in asked["tools"]} == {
            tool.name for tool in tools.TOOLS
        }

    async def test_the_model_is_told_the_conversation_so_far(
        self, endpoint: ModelEndpoint, host_workflow: NewHosting
    ) -> None:
        endpoint.answers = [text("Hello, Eve."), text("Eve.")]
        async with host_workflow("assistant") as hosting:
            await hosting.converse("I am Eve")
            await hosting.converse("Who am I?")
        texts = [message["content"] for message in endpoint.requests[1]["messages"][1:]]
        assert texts == ["I am Eve", "Hello, Eve.", "Who am I?"]
        assert roles(endpoint.requests[1]["messages"]) == ["system", "user", "assistant", "user"]

    async def test_a_harmless_tool_is_used_at_once(
        self, endpoint: ModelEndpoint, sent_to: SentTo
    ) -> None:
        endpoint.answers = [call(0, "calculate", '{"expression": "6 * 7"}'), text("It is 42.")]
        async with sent_to("assistant", "6 times 7?", replay_everywhere=True) as (_, run):
            assert await run.result() == "It is 42."
            assert await run.shown() == ["Calculate 6 * 7"]
            assert await run.asked() == []
        tool_call, result = endpoint.requests[1]["messages"][2:]
        assert tool_call["tool_calls"][0]["function"]["arguments"] == '{"expression": "6 * 7"}'
        assert result == {"role": "tool", "tool_call_id": "call_0", "content": "42"}
        assert len(endpoint.requests) == 2

    @pytest.mark.parametrize("index", [None, 0])
    async def test_calls_of_one_answer_are_told_apart(
        self, endpoint: ModelEndpoint, host_workflow: NewHosting, index: int | None
    ) -> None:
        calls = [
            *call(0, "calculate", '{"expression": "6 * 7"}', index),
            *call(1, "calculate", '{"expression": "1 + 1"}', index),
        ]
        endpoint.answers = [calls, text("42 and 2.")]
        async with host_workflow("assistant") as hosting:
            assert await hosting.converse("6 times 7, and 1 plus 1?") == "42 and 2."
        results = [one["content"] for one in endpoint.requests[1]["messages"][3:]]
        assert results == ["42", "2"]

    @pytest.mark.slow
    async def test_tools_of_a_configured_mcp_server_ask_the_person(
        self, endpoint: ModelEndpoint, host_workflow: NewHosting, tmp_path: Path
    ) -> None:
        endpoint.answers = [call(0, "sky_forget", '{"town": "Rome"}'), text("Forgotten.")]
        log, port = tmp_path / "log", free_port()
        with mcp_process.serving(log, port):
            servers = {"sky": mcp_process.url_of(port)}
            async with host_workflow("assistant", options={"mcp_servers": servers}) as hosting:
                answers: dict[str, Answer] = {"Sky forget Rome": "approve"}
                assert await hosting.converse("Forget Rome", answers) == "Forgotten."
        assert log.read_text() == "forget Rome\n"

    @pytest.mark.parametrize(
        ("name", "arguments", "reason"),
        [
            ("fly", "{}", "There is no tool 'fly'"),
            ("calculate", '{"expression"', "The arguments do not fit"),
            ("write_note", '{"name": "../secret_key", "text": ""}', "The arguments do not fit"),
        ],
    )
    async def test_a_call_that_cannot_be_made_is_told_to_the_model_and_asks_nobody(
        self,
        name: str,
        arguments: str,
        reason: str,
        endpoint: ModelEndpoint,
        host_workflow: NewHosting,
    ) -> None:
        endpoint.answers = [call(0, name, arguments), text("I see.")]
        async with host_workflow("assistant") as hosting:
            assert await hosting.converse("Do it") == "I see."
        assert endpoint.requests[1]["messages"][-1]["content"].startswith(reason)

    @pytest.mark.slow
    async def test_an_unreachable_model_is_reported(
        self, endpoint: ModelEndpoint, settings: Settings, host_workflow: NewHosting
    ) -> None:
        settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
        async with host_workflow("assistant") as hosting:
            output = await hosting.converse("Hello")
        assert output == "The model cannot be asked (APIConnectionError). Try again later."


class TestScript:
    """Tests without a model, which is the state after `make run`."""

    async def test_the_script_says_that_it_is_no_model(self, host_workflow: NewHosting) -> None:
        async with host_workflow("assistant") as hosting:
            assert "I am a small script" in await hosting.converse("Hello")

    async def test_the_assistant_calculates(self, sent_to: SentTo) -> None:
        async with sent_to("assistant", "What is 17.5 * 12?") as (_, run):
            assert await run.result() == "That is **210**."
            assert await run.shown() == ["Reasoning", "Calculate 17.5 * 12"]

    @pytest.mark.slow
    async def test_the_assistant_keeps_and_deletes_notes(
        self, host_workflow: NewHosting, notes: Path
    ) -> None:
        async with host_workflow("assistant", replay_everywhere=True) as hosting:
            for thing in ("milk", "bread", "tea"):
                await hosting.converse(f"Note: buy {thing}", {"Write note": "approve"})
            assert kept(notes) == ["buy-bread", "buy-milk", "buy-tea"]
            script = {"buy-milk": "reject", "Delete note": "approve"}
            output = await hosting.converse("Delete all my notes", script)
        assert output.endswith(
            "The note 'buy-bread' is deleted. The person refused it. The note 'buy-tea' is deleted."
        )
        assert kept(notes) == ["buy-milk"]
