"""Servers of MCP tools that send what they should not, and agents that go on all the same."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from sessions_app.agents import Agent, Policy
from sessions_app.agents.mcp import McpServer
from sessions_app.testing.hosting import NewHosting
from sessions_app.testing.scripted_model import ScriptedModel, tool_call
from sessions_app.workflows import Context, Message, workflow
from tests.runtime.agents.raw_mcp_server import TEXT, RawServer, asking, raw_server
from tests.support.hosting import SentTo

MODERN = "2026-07-28"


class Hosted:
    """The agent and the model of the next run."""

    agent: ClassVar[Agent] = Agent()
    model: ClassVar[ScriptedModel] = ScriptedModel()


@workflow(name="t_mcp_hostile", title="Hostile")
async def hosted(message: Message, context: Context) -> str:
    return await Hosted.agent.run(context, Hosted.model)


@pytest.fixture
def raw() -> Iterator[RawServer]:
    """Serve what the test says."""
    with raw_server() as server:
        yield server


def host(raw: RawServer, *calls: Any, **options: Any) -> McpServer:
    """Have the next run be an agent's that calls tools of the server."""
    options = {"approvals": Policy(approval=False), "mode": MODERN, **options}
    server = McpServer("odd", raw.url, **options)
    Hosted.agent = Agent(tools=[server])
    Hosted.model = ScriptedModel([*(calls or [tool_call("odd_go")])], "Over.")
    return server


def results() -> list[str]:
    """Return the results of tools that the model read last."""
    return [one["content"] for one in Hosted.model.requests[-1] if one["role"] == "tool"]


def form(schema: Any, message: Any = "Which?") -> dict[str, Any]:
    """Return a question of a server."""
    return {"mode": "form", "message": message, "requestedSchema": schema}


def answered(raw: RawServer, question: dict[str, Any]) -> None:
    """Have the server ask, and say that it is done when it has an answer."""
    raw.call = lambda params: TEXT if params.get("inputResponses") else asking(one=question)


OBJECT = {"type": "object", "properties": {"x": {"type": "string"}}}


@pytest.mark.parametrize(
    "question",
    [
        form({**OBJECT, "properties": {"x": ["string"]}}),
        form({**OBJECT, "properties": {"x": None}}),
        form({**OBJECT, "properties": {"x": {"type": 5}}}),
        form({**OBJECT, "properties": {"x": {"type": "string", "title": ["x"]}}}),
        form({**OBJECT, "properties": {"x": {"$ref": "#/$defs/away"}}}),
        form({**OBJECT, "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"$ref": "x"}}}),
        form({**OBJECT, "properties": {"x": {"description": "x" * 300_000}}}),
        {"mode": "url", "message": "Go.", "url": "javascript:alert(1)", "elicitationId": "e"},
    ],
)
async def test_question_that_cannot_be_shown_is_cancelled(
    host_workflow: NewHosting, raw: RawServer, question: dict[str, Any]
) -> None:
    host(raw)
    answered(raw, question)
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    assert results() == ["Done."]
    assert raw.calls[-1]["inputResponses"] == {"one": {"action": "cancel"}}


@pytest.mark.parametrize("elicitations", [None, [], "x", ["x"]])
async def test_refusal_that_names_no_page_is_told_to_the_model(
    host_workflow: NewHosting, raw: RawServer, elicitations: Any
) -> None:
    host(raw)
    error = {"code": -32042, "message": "Not yet.", "data": {"elicitations": elicitations}}
    raw.call = lambda _params: {"error": error}
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    assert results() == ["The server odd refuses: Not yet."]


async def test_choices_behind_a_reference_are_choices(sent_to: SentTo, raw: RawServer) -> None:
    host(raw)
    seats = {"type": "string", "enum": ["aisle", "window"]}
    schema = {
        **OBJECT,
        "$defs": {"Seat": seats, "Seats": {"type": "array", "items": {"$ref": "#/$defs/Seat"}}},
        "properties": {
            "one": {"$ref": "#/$defs/Seat", "title": "Seat"},
            "perhaps": {"anyOf": [{"$ref": "#/$defs/Seat"}, {"type": "null"}]},
            "many": {"$ref": "#/$defs/Seats"},
        },
        "required": ["one"],
    }
    answered(raw, form(schema))
    async with sent_to("t_mcp_hostile", "Go") as (_, run):
        prompt: Any
        [prompt] = await run.prompts()
        choices = [("aisle", "aisle"), ("window", "window")]
        assert [one.type for one in prompt.fields] == ["choice", "choice", "choices"]
        assert all(one.choices == choices for one in prompt.fields)
        await run.answer({"one": "window", "many": ["aisle"]})
        assert await run.result() == "Over."
    answer = {"action": "accept", "content": {"one": "window", "many": ["aisle"]}}
    assert raw.calls[-1]["inputResponses"] == {"one": answer}


async def test_questions_that_are_too_many_at_once_are_asked_of_nobody(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    host(raw)
    raw.call = lambda _params: asking(**{f"q{number}": form(OBJECT) for number in range(101)})
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result.startswith("The server asks 101 questions at once, and at most 100 can be asked.")
    assert len(raw.calls) == 1
