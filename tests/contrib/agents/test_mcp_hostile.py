"""Servers of MCP tools that send what they should not, and agents that go on all the same."""

import asyncio
import gzip
import itertools
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from mcp import StdioServerParameters

from natproject.settings.env import ROOT
from sessions_app.contrib.agents.approvals import UNKNOWN
from sessions_app.contrib.agents.mcp import BROKEN_PROMISE, TOO_MUCH_SENT, McpServer
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import Policy
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from tests.contrib.agents import flooding_mcp_server
from tests.contrib.agents.own_agent import Hosted, host, results
from tests.contrib.agents.raw_mcp_server import (
    LISTING,
    TEXT,
    RawServer,
    asking,
    listed,
    raw_server,
)
from tests.support.gzip_bomb import bomb, little_memory
from tests.support.hosting import SentTo


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
    assert longest < 2, f"{longest:.2f} s"  # a check without its limits takes a minute


def host_odd(target: Any, *calls: Any, mode: str = "2026-07-28") -> None:
    """Have the next run be an agent's that calls tools of the server."""
    server = McpServer("odd", target, approvals=Policy(approval=False), mode=mode)
    host(ScriptedModel([*(calls or [tool_call("odd_go")])], "Over."), server)


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
    host_odd(raw.url)
    answered(raw, question)
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Over."
    assert results() == ["Done."]
    assert raw.calls[-1]["inputResponses"] == {"one": {"action": "cancel"}}


async def test_server_is_told_nothing_by_an_answer_that_is_none(
    sent_to: SentTo, raw: RawServer
) -> None:
    host_odd(raw.url)
    answered(raw, form(OBJECT))
    async with sent_to("t_agent", "Go") as (_, run):
        await run.prompts()
        other: Any
        for other in ({"action": "decline"}, {"approved": False}, "no"):
            with pytest.raises(Invalid):
                await run.answer(other)
        assert len(raw.calls) == 1
        await run.answer("reject")
        assert await run.result() == "Over."
    assert raw.calls[-1]["inputResponses"] == {"one": {"action": "decline"}}


async def test_choices_behind_a_reference_are_choices(sent_to: SentTo, raw: RawServer) -> None:
    host_odd(raw.url)
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
    async with sent_to("t_agent", "Go") as (_, run):
        prompt: Any
        [prompt] = await run.prompts()
        choices = [("aisle", "aisle"), ("window", "window")]
        assert [one.type for one in prompt.fields] == ["choice", "choice", "choices"]
        assert all(one.choices == choices for one in prompt.fields)
        await run.answer({"one": "window", "many": ["aisle"]})
        assert await run.result() == "Over."
    answer = {"action": "accept", "content": {"one": "window", "many": ["aisle"]}}
    assert raw.calls[-1]["inputResponses"] == {"one": answer}


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
    host_odd(raw.url, tool_call("odd_go", **arguments))
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Over."
    assert results() == ["Done."]
    assert raw.calls[0]["arguments"] == arguments


async def test_argument_fits_the_pattern_of_a_server(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    raw.tools = [listed("go", {"properties": {"x": {**STRING, "pattern": "^(a+)+$"}}})]
    host_odd(raw.url, tool_call("odd_go", x="a" * 40 + "!"))
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result.startswith("The arguments do not fit: x:")
    assert raw.calls == []


@pytest.mark.slow
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
    host_odd(raw.url, tool_call("odd_go"), tool_call("odd_bad"))
    async with host_workflow("t_agent") as hosting, steady():
        assert await hosting.converse("Go") == "Over."
    assert results() == ["Done.", "There is no tool 'odd_bad'. There are: odd_go."]


@pytest.mark.slow
async def test_list_of_tools_without_an_end_is_not_read_to_it(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    pages = itertools.count()
    raw.list_tools = lambda _params: {**LISTING, "tools": [], "nextCursor": str(next(pages))}
    host_odd(raw.url)
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Over."
    assert next(pages) <= 200


def crowd(megabytes: int) -> bytes:
    """Return a result of empty objects, as a server sends it."""
    content = b"{}," * (megabytes * 2**20 // 3)
    return gzip.compress(b'{"jsonrpc":"2.0","id":1,"result":{"content":[' + content + b"{}]}}", 1)


def refused(elicitations: Any) -> JsonObject:
    """Return a refusal that names no page."""
    data = {"elicitations": elicitations}
    return {"error": {"code": -32042, "message": "Not yet.", "data": data}}


def promised(schema: JsonObject, values: Any) -> JsonObject:
    """Return a result of values, of a tool that has promised a schema."""
    return {**TEXT, "structuredContent": values, "promised": schema}


SLOW = {"type": "object", "properties": {"x": {"pattern": "^(a+)+$"}}}
X = {"type": "object", "required": ["x"]}
NUMBERS = {"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/$defs/n"}}
UNUSABLE = {"type": "object", "properties": {"x": {"type": "text"}}}
REFUSED = "The server odd refuses: Not yet."
OTHER_ANSWERS = pytest.mark.beyond("a model is told of each form of an MCP server's answer")
TOO_MANY = "The server asks 101 questions at once, and at most 100 can be asked."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (refused(None), REFUSED),
        *(pytest.param(refused(one), REFUSED, marks=OTHER_ANSWERS) for one in ([], "x", ["x"])),
        (asking(**{f"q{number}": form(OBJECT) for number in range(101)}), TOO_MANY),
        (promised(SLOW, {"x": "a" * 30 + "!"}), BROKEN_PROMISE),
        (promised(X, {"x": 1}), "Done."),
        (promised(X, {"y": 1}), BROKEN_PROMISE),
        pytest.param(promised(NUMBERS, [1, 2]), "Done.", marks=OTHER_ANSWERS),
        pytest.param(promised(NUMBERS, [1, "2"]), BROKEN_PROMISE, marks=OTHER_ANSWERS),
        pytest.param(promised(UNUSABLE, {"x": 1}), "Done.", marks=OTHER_ANSWERS),
        (bomb(300), TOO_MUCH_SENT),
        (crowd(6), TOO_MUCH_SENT),
        (TEXT | {"content": [{}] * 20_000}, TOO_MUCH_SENT),
        (TEXT | {"structuredContent": {"x": [[]] * 200_000}}, TOO_MUCH_SENT),
    ],
    ids=[
        *("no pages", "empty pages", "text for pages", "page that is none", "questions"),
        *("slow promise", "kept", "broken", "kept items", "broken items", "no promise"),
        *("bomb", "crowd", "content", "values"),
    ],
)
async def test_model_is_told_of_an_answer_what_can_be_read(
    host_workflow: NewHosting, raw: RawServer, answer: Any, told: str
) -> None:
    if isinstance(answer, dict) and "promised" in answer:
        raw.tools = [listed("go", outputSchema=answer["promised"])]
    raw.call = lambda _params: answer
    host_odd(raw.url)
    async with host_workflow("t_agent") as hosting, steady():
        with little_memory(64):
            assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result.startswith(told)
    assert len(raw.calls) == 1


async def test_long_text_is_read(host_workflow: NewHosting, raw: RawServer) -> None:
    text = '{"a": [1, 2, "three"]},\n' * 100_000
    raw.call = lambda _params: {**TEXT, "content": [{"type": "text", "text": text}]}
    host_odd(raw.url)
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Over."
    [result] = results()
    assert result.startswith(text[:10_000])


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", [bomb(300), {**LISTING, "tools": [{}] * 2_000}], ids=["bomb", "faults"]
)
async def test_list_of_tools_that_cannot_be_read_is_not_read(
    host_workflow: NewHosting, raw: RawServer, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    raw.list_tools = lambda _params: answer
    host_odd(raw.url)
    async with host_workflow("t_agent") as hosting, steady():
        with little_memory(64):
            assert await hosting.converse("Go") == "Over."
    system = Hosted.model.requests[-1][0]["content"]
    assert system == "The tools of odd cannot be used at the moment."
    assert len(caplog.text) < 100_000


@pytest.mark.slow
async def test_line_without_an_end_is_not_read_to_it(host_workflow: NewHosting) -> None:
    command = ["-m", flooding_mcp_server.__name__]
    server = StdioServerParameters(command=sys.executable, args=command, cwd=str(ROOT))
    host_odd(server, mode="legacy")
    async with host_workflow("t_agent") as hosting:
        with little_memory(64):
            assert await hosting.converse("Go") == "Over."
    assert results() == [UNKNOWN]
