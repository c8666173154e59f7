"""Servers of MCP tools that send what they should not, and agents that go on all the same."""

import asyncio
import gzip
import itertools
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import pytest
from mcp import StdioServerParameters

from natproject.settings.env import ROOT
from sessions_app.agents import Agent, Policy
from sessions_app.agents.mcp import BROKEN_PROMISE, TOO_MUCH_SENT, McpServer
from sessions_app.agents.tool_use import UNKNOWN
from sessions_app.errors import Invalid
from sessions_app.testing.hosting import NewHosting
from sessions_app.testing.scripted_model import ScriptedModel, tool_call
from sessions_app.workflows import Context, Message, workflow
from tests.runtime.agents import flooding_mcp_server
from tests.runtime.agents.raw_mcp_server import (
    LISTING,
    TEXT,
    RawServer,
    asking,
    listed,
    raw_server,
)
from tests.support.gzip_bomb import bomb, little_memory
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


@asynccontextmanager
async def steady() -> AsyncIterator[None]:
    """Check that nothing takes the processor in the event loop for long meanwhile."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        last = time.thread_time()
        while True:
            await asyncio.sleep(0.02)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert longest < 0.5, f"{longest:.2f} s"


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


async def test_server_is_told_nothing_by_an_answer_that_is_none(
    sent_to: SentTo, raw: RawServer
) -> None:
    host(raw)
    answered(raw, form(OBJECT))
    async with sent_to("t_mcp_hostile", "Go") as (_, run):
        await run.prompts()
        other: Any
        for other in ({"action": "decline"}, {"approved": False}, "no"):
            with pytest.raises(Invalid):
                await run.answer(other)
        assert len(raw.calls) == 1
        await run.answer("reject")
        assert await run.result() == "Over."
    assert raw.calls[-1]["inputResponses"] == {"one": {"action": "decline"}}


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


STRING = {"type": "string"}


async def test_parameter_of_the_name_of_a_keyword_is_one_of_the_tool(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    properties = {name: {"$ref": f"#/$defs/{name}"} for name in ("pattern", "patternProperties")}
    constant = {"const": {"pattern": "x"}, "default": {"pattern": "x"}}
    schema = {
        "properties": {**properties, "mode": constant},
        "$defs": dict.fromkeys(properties, STRING),
        "required": ["pattern"],
        "additionalProperties": False,
    }
    raw.tools = [listed("go", schema)]
    arguments = {"pattern": "*.txt", "patternProperties": "x", "mode": {"pattern": "x"}}
    host(raw, tool_call("odd_go", **arguments))
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    assert results() == ["Done."]
    assert raw.calls[0]["arguments"] == arguments


async def test_argument_fits_the_pattern_of_a_server(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    raw.tools = [listed("go", {"properties": {"x": {**STRING, "pattern": "^(a+)+$"}}})]
    host(raw, tool_call("odd_go", x="a" * 40 + "!"))
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result.startswith("The arguments do not fit: x:")
    assert raw.calls == []


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{number}": STRING for number in range(20_000)}},
        {"properties": {"x": {"pattern": "(a{1000}){1000}"}}},
        {"properties": {"x": {"$ref": "https://elsewhere.example/schema"}}},
        {"properties": {"x": {"type": "text"}}},
    ],
)
async def test_tool_whose_schema_cannot_be_used_is_left_out(
    host_workflow: NewHosting, raw: RawServer, schema: dict[str, Any]
) -> None:
    raw.tools = [listed("bad", schema), listed("go")]
    host(raw, tool_call("odd_go"), tool_call("odd_bad"))
    async with host_workflow("t_mcp_hostile") as hosting, steady():
        assert await hosting.converse("Go") == "Over."
    assert results() == ["Done.", "There is no tool 'odd_bad'. There are: odd_go."]


async def test_list_of_tools_without_an_end_is_not_read_to_it(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    pages = itertools.count()
    raw.list_tools = lambda _params: {**LISTING, "tools": [], "nextCursor": str(next(pages))}
    host(raw)
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    assert next(pages) <= 200


def promising(raw: RawServer, schema: Any, values: Any) -> None:
    """Have the server promise values by a schema, and send others."""
    raw.tools = [listed("go", outputSchema=schema)]
    raw.call = lambda _params: {**TEXT, "structuredContent": values}


async def test_pattern_of_a_result_stops_nobody(host_workflow: NewHosting, raw: RawServer) -> None:
    slow = {"type": "object", "properties": {"x": {"pattern": "^(a+)+$"}}}
    promising(raw, slow, {"x": "a" * 30 + "!"})
    host(raw)
    async with host_workflow("t_mcp_hostile") as hosting, steady():
        assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result.startswith(BROKEN_PROMISE)


@pytest.mark.parametrize(
    ("schema", "values", "is_kept"),
    [
        ({"type": "object", "required": ["x"]}, {"x": 1}, True),
        ({"type": "object", "required": ["x"]}, {"y": 1}, False),
        ({"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/$defs/n"}}, [1, 2], True),
        ({"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/$defs/n"}}, [1, "2"], False),
        ({"type": "object", "properties": {"x": {"type": "text"}}}, {"x": 1}, True),
    ],
)
async def test_result_is_checked_by_its_schema_where_that_can_be_used(
    host_workflow: NewHosting, raw: RawServer, schema: Any, values: Any, is_kept: bool
) -> None:
    promising(raw, schema, values)
    host(raw)
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result == "Done." if is_kept else result.startswith(BROKEN_PROMISE)


def crowd(megabytes: int) -> bytes:
    """Return a result of empty objects, as a server sends it."""
    content = b"{}," * (megabytes * 2**20 // 3)
    return gzip.compress(b'{"jsonrpc":"2.0","id":1,"result":{"content":[' + content + b"{}]}}", 1)


@pytest.mark.parametrize(
    "answer",
    [
        bomb(300),
        crowd(6),
        {**TEXT, "content": [{}] * 20_000},
        {**TEXT, "structuredContent": {"x": [[]] * 200_000}},
    ],
    ids=["bomb", "crowd", "content", "values"],
)
async def test_result_that_is_too_large_is_not_read(
    host_workflow: NewHosting, raw: RawServer, answer: Any
) -> None:
    raw.call = lambda _params: answer
    host(raw)
    async with host_workflow("t_mcp_hostile") as hosting, steady():
        with little_memory(64):
            assert await hosting.converse("Go") == "Over."
    assert results() == [TOO_MUCH_SENT]
    assert len(raw.calls) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", [bomb(300), {**LISTING, "tools": [{}] * 2_000}], ids=["bomb", "faults"]
)
async def test_list_of_tools_that_cannot_be_read_is_not_read(
    host_workflow: NewHosting, raw: RawServer, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    raw.list_tools = lambda _params: answer
    host(raw)
    async with host_workflow("t_mcp_hostile") as hosting, steady():
        with little_memory(64):
            assert await hosting.converse("Go") == "Over."
    system = Hosted.model.requests[-1][0]["content"]
    assert system == "The tools of odd cannot be used at the moment."
    assert len(caplog.text) < 100_000


async def test_long_text_is_read(host_workflow: NewHosting, raw: RawServer) -> None:
    text = '{"a": [1, 2, "three"]},\n' * 100_000
    raw.call = lambda _params: {**TEXT, "content": [{"type": "text", "text": text}]}
    host(raw)
    async with host_workflow("t_mcp_hostile") as hosting:
        assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result.startswith(text[:10_000])


@pytest.mark.slow
async def test_line_without_an_end_is_not_read_to_it(host_workflow: NewHosting) -> None:
    command = ["-m", flooding_mcp_server.__name__]
    server = StdioServerParameters(command=sys.executable, args=command, cwd=str(ROOT))
    approvals = Policy(approval=False)
    Hosted.agent = Agent(tools=[McpServer("odd", server, approvals=approvals, mode="legacy")])
    Hosted.model = ScriptedModel([tool_call("odd_go")], "Over.")
    async with host_workflow("t_mcp_hostile") as hosting:
        with little_memory(64):
            assert await hosting.converse("Go") == "Over."
    assert results() == [UNKNOWN]
