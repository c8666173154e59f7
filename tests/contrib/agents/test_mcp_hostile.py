"""Servers of MCP tools that send what they should not, and agents that go on all the same."""

import asyncio
import gzip
import itertools
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

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
    ("answer", "told"),
    [
        (bomb(300), "The tools of odd cannot be used at the moment."),
        ({**LISTING, "tools": [{}] * 2_000}, "Go"),
    ],
    ids=["bomb", "malformed tools"],
)
async def test_list_of_tools_that_cannot_be_read_is_not_read(
    host_workflow: NewHosting,
    raw: RawServer,
    answer: Any,
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    raw.list_tools = lambda _params: answer
    host_odd(raw.url)
    async with host_workflow("t_agent") as hosting, steady():
        with little_memory(64):
            assert await hosting.converse("Go") == "Over."
    assert Hosted.model.requests[-1][0]["content"] == told
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


class Told(ScriptedModel):
    """A model that notes the tools that it is told of."""

    tools: ClassVar[dict[str, JsonObject]] = {}

    async def stream(self, messages: Any, tools: Any) -> AsyncGenerator[Any, None]:
        Told.tools = {one["function"]["name"]: one["function"]["parameters"] for one in tools}
        async for piece in super().stream(messages, tools):
            yield piece


async def told_of(hosting_of: NewHosting, raw: RawServer, *tools: Any) -> dict[str, JsonObject]:
    """Return the schemas of the tools that a model is told of, by name."""
    raw.tools = [*tools]
    host(Told("Hello."), McpServer("s", raw.url, mode="2026-07-28"))
    async with hosting_of("t_agent") as hosting:
        await hosting.converse("Hi")
    return Told.tools


MALFORMED = [
    {"name": "odd"},
    {"name": "odd", "inputSchema": None},
    {"name": "odd", "inputSchema": []},
    {"name": "odd", "inputSchema": {"type": "string"}},
    {"name": 7, "inputSchema": {"type": "object"}},
    {"inputSchema": {"type": "object"}},
    listed("odd", icons=[{"src": 1}]),
    "odd",
]


async def test_malformed_tools_do_not_take_the_others_away(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    assert [*await told_of(host_workflow, raw, *MALFORMED, listed("good"))] == ["s_good"]


OF_A = {"a": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": OF_A, "anyOf": [{"required": ["a"]}]},
        {"type": "object", "oneOf": [{"properties": OF_A}, {"properties": {"b": {}}}]},
        {"type": "object", "$ref": "#/$defs/P", "$defs": {"P": {"properties": OF_A}}},
    ],
)
async def test_schema_has_the_form_that_strict_model_servers_accept(
    host_workflow: NewHosting, raw: RawServer, schema: JsonObject
) -> None:
    told = await told_of(host_workflow, raw, {"name": "go", "inputSchema": schema})
    assert told["s_go"]["type"] == "object"
    assert not {"anyOf", "oneOf", "allOf", "$ref"} & told["s_go"].keys()
    assert ("a" in told["s_go"]["properties"]) == ("a" in str(schema).replace("type", ""))


async def test_tools_whose_names_models_cannot_tell_apart_have_names_of_their_own(
    host_workflow: NewHosting, raw: RawServer
) -> None:
    long = "update_the_rules_of_a_deployment_" * 2
    names = ["notes.delete", "notes/delete", "notes-delete", f"{long}a", f"{long}b", "größe"]
    first = await told_of(host_workflow, raw, *map(listed, names))
    assert len(first) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in first)
    # The order of the list, which a server may change, changes no name.
    assert {*await told_of(host_workflow, raw, *map(listed, reversed(names)))} == {*first}


@pytest.mark.slow
async def test_silent_servers_are_waited_for_together_and_once(host_workflow: NewHosting) -> None:
    connected: list[int] = []

    def silent(number: int) -> Any:
        async def accept(_reader: object, _writer: object) -> None:
            connected.append(number)
            await asyncio.sleep(3600)

        return accept

    servers = [await asyncio.start_server(silent(number), "127.0.0.1", 0) for number in (0, 1)]
    urls = [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/mcp" for one in servers]
    host(
        ScriptedModel("Hello."),
        *(McpServer(f"s{n}", url, timeout=0.5) for n, url in enumerate(urls)),
    )
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Hi") == "Hello."
        assert connected[:2] in ([0, 1], [1, 0])  # the second does not wait for the first
        before = len(connected)
        assert await hosting.converse("Hi again") == "Hello."
    assert len(connected) == before
    for one in servers:
        one.close()
