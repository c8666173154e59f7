"""The history of a message: it has the calls of earlier runs as they were executed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, ClassVar

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool as chain_tool
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from sessions_app import runs
from sessions_app.contrib.agents.agent import Agent
from sessions_app.contrib.agents.langgraph import langgraph_workflow
from sessions_app.contrib.agents.pydantic_ai import pydantic_ai_workflow
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import Policy, tool
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.contrib.testing.polling import until_true
from sessions_app.workflows import Context, Message, ToolCallPrompt, workflow


class Scene:
    """The state of the model and of the tool, and a record of what was done and told."""

    done: ClassVar[list[int]] = []
    told: ClassVar[str] = ""
    told_after_call: ClassVar[str] = ""
    fails: ClassVar[bool] = False
    gate: ClassVar[asyncio.Event] = asyncio.Event()
    waits: ClassVar[bool] = False

    @classmethod
    async def answer(cls, messages: object, *, called: bool) -> bool:
        """Note the request; return whether to call the tool. May fail or wait after the call."""
        cls.told = str(messages)
        if called:
            cls.told_after_call = cls.told
        if called and cls.fails:
            raise ConnectionError
        if called and cls.waits:
            await cls.gate.wait()
        return not called and "Pay" in cls.told and "Go on" not in cls.told


@pytest.fixture(autouse=True)
def _new_scene() -> None:
    Scene.done, Scene.told, Scene.fails, Scene.waits = [], "", False, False
    Scene.gate = asyncio.Event()


def pay(order: int, euro: int) -> str:
    """Pay an order back."""
    Scene.done.append(euro)
    return "It was done."


class OwnModel(ScriptedModel):
    """A model of the own loop that calls the tool."""

    async def stream(self, messages: Any, tools: Any) -> AsyncGenerator[Any, None]:
        called = messages[-1]["role"] == "tool"
        if await Scene.answer(messages, called=called):
            yield tool_call("pay", order=1, euro=400)
        else:
            yield "The end."


AGENT = Agent(tools=[tool(pay).needs(edit=True)], retry=None)


@workflow(name="t_later_agent", title="Agent")
async def agent(message: Message, context: Context) -> str:
    return await AGENT.run(context, OwnModel())


@workflow(name="t_later_own", title="Own")
async def own(message: Message, context: Context) -> str:
    past = await context.history(calls=True)
    if await Scene.answer([message.text, past], called=False):
        asked = ToolCallPrompt(
            text="Pay?", tool="pay", arguments={"order": 1, "euro": 400}, editable=True
        )
        decision = await context.ask(asked)
        if not decision.approved:
            return "Not paid."
        await context.step(pay, **decision.arguments)
        await Scene.answer(past, called=True)
    return "The end."


async def say(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    called = any(part.part_kind == "tool-return" for part in messages[-1].parts)
    if await Scene.answer(messages, called=called):
        yield {0: DeltaToolCall("pay", '{"order": 1, "euro": 400}', tool_call_id="p")}
    else:
        yield "The end."


pydantic_agent = PydanticAgent(FunctionModel(stream_function=say), name="later")
pydantic_agent.tool_plain(requires_approval=True)(pay)
pydantic_ai_workflow(
    pydantic_agent, name="t_later_pydantic", title="Pydantic AI", approvals=Policy(edit=True)
)


class ChainModel(GenericFakeChatModel):
    """A model of LangChain that calls the tool."""

    def bind_tools(self, tools: Any, **options: Any) -> "ChainModel":
        return self

    async def _agenerate(self, messages: Any, *arguments: Any, **options: Any) -> Any:
        call = {"name": "pay", "args": {"order": 1, "euro": 400}, "id": "p"}
        calls = await Scene.answer(messages, called=messages[-1].type == "tool")
        answer = AIMessage("", tool_calls=[call]) if calls else AIMessage("The end.")
        self.messages = iter([answer])
        return self._generate(messages)


approval = HumanInTheLoopMiddleware({"pay": {"allowed_decisions": ["approve", "edit", "reject"]}})
chain_agent = create_agent(
    ChainModel(messages=iter([]), disable_streaming=True), [chain_tool(pay)], middleware=[approval]
)
langgraph_workflow(chain_agent, name="t_later_graph", title="LangGraph")

WAYS = ["agent", "own", "pydantic", "graph"]
EDITED: Answer = {
    "decision": "approve",
    "arguments": {"order": 1, "euro": 40},
    "note": "But only this once.",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", ["completed", "failed", "stopped"])
async def test_call_stands_in_the_next_history_as_it_was_executed(
    host_workflow: NewHosting, way: str, end: str
) -> None:
    async with host_workflow(f"t_later_{way}") as hosting:
        Scene.fails, Scene.waits = end == "failed", end == "stopped"
        run = await hosting.send("Pay order 1 back")
        await run.answer(EDITED)
        if end == "stopped":
            await until_true(lambda: Scene.done == [40])
            await runs.acancel(run.id)
        await run.rest()
        Scene.fails = Scene.waits = False
        again = await hosting.send("Go on, please")
        assert (await again.result()).strip() == "The end."
    told = Scene.told.replace("400", "")
    assert Scene.done == [40]
    assert "pay" in told
    assert "40" in told
    assert "It was done." in told
    if way != "graph":  # LangChain's form of an edit has no place for a note
        assert "But only this once." in told
    if way in ("agent", "pydantic"):  # in the run of the call, too
        assert "40" in Scene.told_after_call.replace("400", "")
        assert "But only this once." in Scene.told_after_call


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_call_that_nobody_allowed_before_a_stop_is_told_as_not_made(
    host_workflow: NewHosting, way: str
) -> None:
    async with host_workflow(f"t_later_{way}") as hosting:
        run = await hosting.send("Pay order 1 back")
        await run.prompts()
        await runs.acancel(run.id)
        await run.rest()
        again = await hosting.send("Go on, please")
        await again.result()
    assert Scene.done == []
    assert any(
        words in Scene.told for words in ("It was not made", "NOT_MADE", "It is not known whether")
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_refused_call_is_told_with_the_reason(host_workflow: NewHosting, way: str) -> None:
    async with host_workflow(f"t_later_{way}") as hosting:
        run = await hosting.send("Pay order 1 back")
        await run.answer({"decision": "reject", "note": "Too much."})
        await run.result()
        again = await hosting.send("Go on, please")
        await again.result()
    assert Scene.done == []
    assert "Too much." in Scene.told


@workflow(name="t_later_two", title="Two")
async def two_calls(message: Message, context: Context) -> str:
    past = await context.history(calls=True)
    if past:
        return repr(
            [(one.name, str(one.state), bool(one.approval is None)) for one in past[-1].calls]
        )
    asked = ToolCallPrompt(text="Pay?", tool="refund", arguments={"order": 1})
    await context.ask(asked)
    await context.step(look, order=1)
    await context.step(refund, order=1)
    return "The end."


def look(order: int) -> str:
    return "open"


def refund(order: int) -> str:
    return "paid"


async def test_approval_is_of_the_call_that_it_names(host_workflow: NewHosting) -> None:
    async with host_workflow("t_later_two") as hosting:
        run = await hosting.send("Pay")
        await run.answer("approve")
        await run.result()
        told = await hosting.converse("Go on")
    assert told == "[('look', 'done', True), ('refund', 'done', False)]"
