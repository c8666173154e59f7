"""Agents of Pydantic AI, hosted as they are."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastmcp.client.transports import StdioTransport
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    CallDeferred,
    DeferredToolRequests,
    FunctionToolset,
    ModelMessage,
    RunContext,
    TextOutput,
    UsageLimits,
    UserError,
)
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pytest_django import Settings

from natproject.settings.env import ROOT
from sessions_app import runs
from sessions_app.contrib.agents.pydantic_ai import pydantic_ai_workflow
from sessions_app.contrib.agents.tools import Policy
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.contrib.testing.polling import until, until_true
from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import ToolCallPrompt, group
from tests.support.hitl import set_hitl
from tests.support.hosting import SentTo, make_members

Turn = list[str | tuple[str, str] | Exception]


class Script:
    """The answers of the model, and a record of what the tools have done."""

    turns: ClassVar[list[Turn]] = []
    requests: ClassVar[list[list[ModelMessage]]] = []
    done: ClassVar[list[str]] = []
    gate: ClassVar[asyncio.Event] = asyncio.Event()


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Script.turns, Script.requests, Script.done = [], [], []
    Script.gate = asyncio.Event()


async def say(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    """Stream the turn that follows the responses since the person's message."""
    Script.requests.append(list(messages))
    number = 0
    for message in reversed(messages):
        if any(part.part_kind == "user-prompt" for part in message.parts):
            break
        number += message.kind == "response"
    for index, piece in enumerate(Script.turns[number]):
        if isinstance(piece, str):
            yield piece
        elif isinstance(piece, Exception):
            raise piece
        else:
            name, arguments = piece
            yield {index: DeltaToolCall(name, arguments, tool_call_id=f"{name}-{index}")}


agent = Agent(FunctionModel(stream_function=say), name="shop", deps_type=str)


@agent.tool_plain
def look_up(order: int) -> str:
    Script.done.append(f"look_up {order}")
    return f"order {order} is open"


@agent.tool(requires_approval=True)
def refund(context: RunContext[str], order: int, euro: int) -> str:
    Script.done.append(f"refund {order} {euro} for {context.deps}")
    return f"{euro} € are paid back"


@agent.tool_plain
def read(file: str) -> str:
    return f"It reads: {file}"


@agent.tool_plain(requires_approval=True)
async def tip(euro: float) -> str:
    Script.done.append(f"tip {euro}")
    await Script.gate.wait()
    return f"{euro} € are given"


@agent.tool_plain
def weigh(parcel: int) -> str:
    raise CallDeferred


pydantic_ai_workflow(
    agent,
    name="t_pydantic_ai",
    title="Shop",
    deps=lambda context: context.user.username,
    approvals={
        "refund": Policy(group("support"), edit=True),
        "tip": Policy(timeout=60),
    },
)


async def asks(_messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[DeltaToolCalls]:
    yield {0: DeltaToolCall("spend", '{"euro": 5}', tool_call_id="s")}


clerk = Agent(
    FunctionModel(stream_function=asks), name="clerk", output_type=[str, DeferredToolRequests]
)
chief = Agent(FunctionModel(stream_function=say), name="chief")


@clerk.tool_plain(requires_approval=True)
def spend(euro: int) -> str:
    Script.done.append(f"spend {euro}")
    return "paid"


@chief.tool_plain
async def delegate(task: str) -> object:
    async with clerk.run_stream(task) as result:
        return await result.get_output()


pydantic_ai_workflow(chief, name="t_pydantic_ai_chief", title="Chief")


async def test_agent_in_a_tool_that_asks_suspends_the_run(sent_to: SentTo) -> None:
    Script.turns = [[("delegate", '{"task": "Pay"}')], ["Done."]]
    async with sent_to("t_pydantic_ai_chief", "Pay") as (_, run):
        paused = Run.objects.filter(pk=run.id, status="suspended")
        row = await until(paused.first)
    assert "A tool runs an agent whose tool spend needs an approval" in (row.error or {})["detail"]
    assert not Script.done


async def test_text_streams_and_each_tool_is_called_once(sent_to: SentTo) -> None:
    Script.turns = [["I ", "look. ", ("look_up", '{"order": 17}')], ["It is ", "open."]]
    async with sent_to("t_pydantic_ai", "What about 17?", replay_everywhere=True) as (_, run):
        assert await run.result() == "I look. \n\nIt is open."
        assert await run.shown() == ["Look up 17"]
    assert Script.done == ["look_up 17"]
    assert len(Script.requests) == 2


async def test_what_cannot_be_stored_is_replaced(sent_to: SentTo) -> None:
    calls = [("read", r'{"file": "\u0000"}'), ("read", r'{"file": 1, "\u0000": 2}')]
    Script.turns = [["a\0", *calls], ["b\0"]]
    async with sent_to("t_pydantic_ai", "Read it", replay_everywhere=True) as (_, run):
        assert await run.result() == "a\ufffd\n\nb\ufffd"
    assert "It reads: \ufffd" in str(Script.requests[-1][-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "done", "told"),
    [
        (
            {"decision": "approve", "arguments": {"order": 17, "euro": 40}},
            ["refund 17 40 for ann"],
            "40 € are paid back",
        ),
        ({"decision": "reject", "note": "Too much."}, [], "Too much."),
    ],
    ids=["edited", "rejected"],
)
async def test_decision_survives_crashes_and_is_told_to_the_model(
    sent_to: SentTo, answer: Any, done: list[str], told: str
) -> None:
    calls = [("refund", '{"order": 17, "euro": 400}'), ("look_up", '{"order": 17}')]
    Script.turns = [[*calls], ["I see."]]
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to("t_pydantic_ai", "Pay 17 back") as (hosting, run):
        [prompt] = await run.prompts()
        assert prompt.text == "May I do this: Refund 17?"
        await hosting.crash()
        await run.answer(answer, by=sue)
        assert await run.result() == "I see."
    assert Script.done == ["look_up 17", *done]
    assert told in str(Script.requests[-1][-1])


@pytest.mark.slow
async def test_number_that_json_lacks_is_asked_about(sent_to: SentTo) -> None:
    Script.turns = [[("tip", '{"euro": NaN}')], ["Thank you."]]
    async with sent_to("t_pydantic_ai", "Give them all") as (hosting, run):
        await run.answer("approve")
        await until_true(lambda: Script.done)
        await hosting.crash()
        Script.gate.set()
        approval, again = await run.asked()
        assert [row.value for row in approval.arguments_shown] == ["NaN"]
        assert again.details == {"euro": '"NaN"'}
        await run.answer("again")
        assert await run.result() == "Thank you."
    assert Script.done == ["tip nan", "tip nan"]


async def test_agent_gets_the_messages_of_earlier_runs(host_workflow: NewHosting) -> None:
    Script.turns = [[("look_up", '{"order": 17}')], ["It is open."]]
    async with host_workflow("t_pydantic_ai") as hosting:
        await hosting.converse("What about 17?")
        await hosting.converse("And now?")
    kinds = [part.part_kind for message in Script.requests[-2] for part in message.parts]
    assert kinds == ["user-prompt", "tool-call", "tool-return", "text", "user-prompt"]


async def test_messages_that_are_too_long_are_left_out(
    host_workflow: NewHosting, settings: Settings
) -> None:
    set_hitl(settings, MAX_STEP_RESULT=2600)
    Script.turns = [[("look_up", '{"order": 17}')], ["It is open."]]
    async with host_workflow("t_pydantic_ai") as hosting:
        for number in range(4):
            await hosting.converse(f"What about {number}?")
    questions = [
        part.content
        for message in Script.requests[-1]
        for part in message.parts
        if part.part_kind == "user-prompt"
    ]
    assert questions[-1] == "What about 3?"
    assert 1 < len(questions) < 4


@pytest.mark.slow
async def test_three_approvals_are_decided_in_any_order_over_two_restarts(
    sent_to: SentTo,
) -> None:
    calls = [("refund", f'{{"order": {order}, "euro": 5}}') for order in (1, 2, 3)]
    Script.turns = [[*calls], ["All three."]]
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to("t_pydantic_ai", "Pay them back") as (hosting, run):
        assert len(await run.prompts()) == 3
        await run.answer("approve", to="Refund 3", by=sue)
        await hosting.crash()
        await run.answer("reject", to="Refund 1", by=sue)
        await hosting.crash()
        await run.answer("approve", to="Refund 2", by=sue)
        assert await run.result() == "All three."
    assert Script.done == ["refund 2 5 for ann", "refund 3 5 for ann"]
    assert len(Script.requests) == 2


async def test_result_of_a_deferred_call_comes_from_outside(sent_to: SentTo) -> None:
    Script.turns = [[("weigh", '{"parcel": 4}')], ["It weighs 3 kg."]]
    async with sent_to("t_pydantic_ai", "Weigh it") as (_, run):
        assert await run.status() == "waiting"
        await runs.asend(run.id, "tool weigh-0", "3 kg", id="1")
        assert await run.result() == "It weighs 3 kg."
    assert "3 kg" in str(Script.requests[-1][-1])


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([[IndexError()]], ""),
        ([["I look.", ("look_up", '{"order": 17}')], [IndexError()]], "I look.\n\n"),
        ([["I lo", IndexError()]], "I lo\n\n"),
    ],
)
async def test_model_that_cannot_be_asked_is_said_so(
    host_workflow: NewHosting, turns: list[Turn], said: str
) -> None:
    Script.turns = turns
    async with host_workflow("t_pydantic_ai", replay_everywhere=True) as hosting:
        output = await hosting.converse("Hello")
    assert output == f"{said}The model cannot be asked (IndexError). Try again later."


def test_agent_whose_toolset_has_no_id_is_refused_when_it_is_declared() -> None:
    toolset: FunctionToolset[None] = FunctionToolset([look_up])
    nameless = Agent(FunctionModel(stream_function=say), toolsets=[toolset])
    with pytest.raises(UserError, match="need to have a unique `id`"):
        pydantic_ai_workflow(nameless, name="t_nameless", title="Nameless")


@pytest.mark.slow
async def test_tool_of_an_mcp_server_is_called_once(sent_to: SentTo, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    module = "tests.contrib.agents.mcp_server"
    transport = StdioTransport(sys.executable, ["-m", module, str(log)], cwd=str(ROOT))
    weather = MCPToolset(transport, id="weather", init_timeout=60)  # a busy machine starts it late
    travel = Agent(FunctionModel(stream_function=say), toolsets=[weather])
    pydantic_ai_workflow(travel, name="t_mcp", title="Travel")
    Script.turns = [[("forecast", '{"town": "Oslo"}')], ["Take a coat."]]
    async with sent_to("t_mcp", "What do I pack?", replay_everywhere=True) as (_, run):
        assert await run.result() == "Take a coat."
        assert await run.shown() == ["Forecast Oslo"]
    assert log.read_text() == "forecast Oslo\n"
    assert "It rains in Oslo." in str(Script.requests[-1][-1])


def host_tool(function: Any, *turns: Turn, **options: Any) -> None:
    """Have the next run of `t_tool` be of an agent whose tool needs approval."""
    Script.turns = [*turns, ["Done."]]
    asking = Agent(FunctionModel(stream_function=say))
    asking.tool(requires_approval=True)(function)
    pydantic_ai_workflow(asking, name="t_tool", title="Tool", **options)


class Order(BaseModel):
    """The only argument of a tool: its fields are the arguments."""

    number: int
    euro: float = 500


def wipe(
    context: RunContext[Any],
    path: str,
    force: bool = False,
    euro: float = 500,
    note: str = None,  # type: ignore[assignment]  # noqa: RUF013 - as authors write it
) -> str:
    Script.done.append(f"wipe {path} {force} {euro} {note}")
    return "wiped"


def pay(context: RunContext[Any], order: Order) -> str:
    Script.done.append(f"pay {order.number} {order.euro}")
    return "paid"


@pytest.mark.parametrize(
    ("function", "written", "rule", "arguments", "done"),
    [
        (
            wipe,
            '{"path": "/", "force": "yes"}',
            lambda arguments, _: arguments["force"] is True,
            {"path": "/", "force": True, "euro": 500},
            "wipe / True 500 None",
        ),
        (
            wipe,
            '{"path": "/"}',
            lambda arguments, _: arguments["euro"] > 100,
            {"path": "/", "force": False, "euro": 500},
            "wipe / False 500 None",
        ),
        (
            pay,
            '{"number": "17"}',
            lambda arguments, _: arguments["euro"] > 100,
            {"number": 17, "euro": 500},
            "pay 17 500",
        ),
    ],
)
async def test_rule_gets_what_the_tool_gets(
    sent_to: SentTo, function: Any, written: str, rule: Any, arguments: Any, done: str
) -> None:
    host_tool(function, [(function.__name__, written)], approvals=Policy(approval=rule))
    async with sent_to("t_tool", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert isinstance(prompt, ToolCallPrompt)
        assert prompt.arguments == arguments
        await run.answer("approve")
        assert await run.result() == "Done."
    assert [one.replace("500.0", "500") for one in Script.done] == [done]


async def test_edit_that_the_rule_gives_to_others_is_asked_of_them(sent_to: SentTo) -> None:
    def rule(arguments: Any, _owner: Any) -> Any:
        return group("support") if arguments["euro"] > 100 else True

    [sue] = await reads.read(make_members, "support", "sue")
    turn: Turn = [("pay", '{"number": 17, "euro": 50}')]
    host_tool(pay, turn, approvals=Policy(approval=rule, edit=True))
    async with sent_to("t_tool", "Go") as (_, run):
        await run.answer({"decision": "approve", "arguments": {"number": 17, "euro": 1000}})
        assert Script.done == []
        await run.answer("approve", by=sue)
        assert await run.result() == "Done."
    assert Script.done == ["pay 17 1000.0"]


async def test_arguments_with_a_name_twice_are_refused(sent_to: SentTo) -> None:
    host_tool(pay, [("pay", '{"number": 1, "number": 2}')])
    async with sent_to("t_tool", "Go") as (_, run):
        assert await run.result() == "Done."
    assert "they have 'number' twice." in str(Script.requests[-1][-1])
    assert Script.done == []


async def test_metadata_of_an_approval_is_shown_beside_the_call(sent_to: SentTo) -> None:
    def spend(context: RunContext[Any], euro: int) -> str:
        if not context.tool_call_approved:
            raise ApprovalRequired(metadata={"reason": "over the limit", "code": 7})
        return "spent"

    spending = Agent(FunctionModel(stream_function=say))
    spending.tool(spend)
    pydantic_ai_workflow(spending, name="t_tool", title="Tool")
    Script.turns = [[("spend", '{"euro": 400}')], ["Done."]]
    async with sent_to("t_tool", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text == "May I do this: Spend 400?\n\nreason: over the limit\ncode: 7"
        assert prompt.model_dump()["arguments"] == {"euro": 400}


@pytest.mark.slow
@pytest.mark.parametrize("crashes", [True, False])
async def test_tool_cannot_leave_anything_in_deps(sent_to: SentTo, crashes: bool) -> None:
    agent_with_cart: Agent[list[str], str] = Agent(
        FunctionModel(stream_function=say), deps_type=list[str]
    )

    @agent_with_cart.tool
    def add(context: RunContext[list[str]], item: str) -> str:
        context.deps.append(item)
        return "added"

    @agent_with_cart.tool(requires_approval=True)
    def check_out(context: RunContext[list[str]]) -> str:
        Script.done.append(str(context.deps))
        return "ordered"

    pydantic_ai_workflow(agent_with_cart, name="t_cart", title="Cart", deps=lambda _: [])
    Script.turns = [[("add", '{"item": "pen"}')], [("check_out", "{}")], ["Done."]]
    async with sent_to("t_cart", "Go") as (hosting, run):
        await run.prompts()
        if crashes:
            await hosting.crash()
        await run.answer("approve")
        assert await run.result() == "Done."
    assert Script.done == ["[]"]


class Colour(StrEnum):
    RED = "red"


ROME = '{"name":"Rome","when":"2026-01-02"}'


def shout(text: str) -> str:
    return text.upper()


class City(BaseModel):
    """An output that is no text."""

    name: str
    when: date


@pytest.mark.parametrize(
    ("output_type", "turn", "text"),
    [
        (City, [("final_result", ROME)], ROME),
        (Colour, [("final_result", '{"response": "red"}')], "red"),
        (TextOutput(shout), ["Hello"], "Hello\n\nHELLO"),
        (int, ["I count.", ("final_result", '{"response": 3}')], "I count.\n\n3"),
    ],
)
async def test_output_is_json_apart_from_the_text(
    host_workflow: NewHosting, output_type: Any, turn: Any, text: str
) -> None:
    giving = Agent(FunctionModel(stream_function=say), output_type=output_type)
    pydantic_ai_workflow(giving, name="t_output", title="Output")
    Script.turns = [turn]
    async with host_workflow("t_output", replay_everywhere=True) as hosting:
        assert await hosting.converse("Go") == text


async def test_limit_of_usage_ends_the_run_in_words(host_workflow: NewHosting) -> None:
    limited = Agent(FunctionModel(stream_function=say), tools=[look_up])
    limits = UsageLimits(request_limit=1)
    pydantic_ai_workflow(limited, name="t_limited", title="Limited", usage_limits=limits)
    Script.turns = [["I look.", ("look_up", '{"order": 17}')], ["It is open."]]
    async with host_workflow("t_limited", replay_everywhere=True) as hosting:
        said = await hosting.converse("Go")
    assert said.startswith("I look.\n\nI stop here. The next request would exceed")


async def test_no_more_is_asked_at_once_than_the_limit(sent_to: SentTo, settings: Settings) -> None:
    set_hitl(settings, MAX_PROMPTS_AT_ONCE=2)
    host_tool(pay, [("pay", f'{{"number": {number}}}') for number in range(3)])
    async with sent_to("t_tool", "Go", replay_everywhere=True) as (_, run):
        assert len(await run.prompts()) == 2
        await run.answer("approve", to="Pay 0")
        await run.answer("reject", to="Pay 1")
        assert await run.result() == "Done."
    assert "at most 2 questions are asked at once" in str(Script.requests[-1][-1])
    assert Script.done == ["pay 0 500.0"]
