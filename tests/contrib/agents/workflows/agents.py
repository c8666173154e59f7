"""Functions that are agents: of our own loop, of frameworks, and with tools of an MCP server."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from importlib import import_module
from typing import Any

from sessions_app.contrib.agents.agent import Agent, Budget
from sessions_app.contrib.agents.language_model import ModelMessage, Piece
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import ToolContext, tool
from sessions_app.json_types import JsonObject
from sessions_app.workflows import Context, ToolCallPrompt
from sessions_app.workflows.past_calls import CallState
from tests.support.workflows.effects import append_line
from tests.support.workflows.registry import Chunks, by_message

WORDS = [f"w{n} " for n in range(30)]


class SlowModel:
    """A scripted model that waits before each piece, and logs each request."""

    def __init__(self, pause: float, *turns: Sequence[Piece]) -> None:
        self._pause = pause
        self._script = ScriptedModel(*turns)

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the next answer, as of `LanguageModel`."""
        append_line(f"model {sum(one['role'] == 'assistant' for one in messages)}")
        async for piece in self._script.stream(messages, tools):
            await asyncio.sleep(self._pause)
            yield piece


def work(name: str, seconds: float) -> str:
    """Take so many seconds, and log the beginning and the end."""
    append_line(f"{name} begins")
    time.sleep(seconds)
    append_line(f"{name} ends")
    return f"{name} is done"


@by_message
async def agent(context: Context, delay: float, seconds: float) -> Chunks:
    """Stream words, each after a delay, look three things up, ask whether to pay, pay, and answer.

    A look-up and the payment take so many seconds (the second look-up twice as long, the third
    three times), and append a line to PROBE_LOG at their beginning and at their end.
    """

    def look(number: int) -> str:
        """Look something up; a higher number takes longer."""
        return work(f"look {number}", seconds * number)

    def pay(euro: int, tool_context: ToolContext) -> str:
        """Pay an amount."""
        return work(f"pay {euro} {tool_context.call_id}", seconds)

    model = SlowModel(
        delay,
        [*WORDS, tool_call("look", number=1), tool_call("look", number=2)],
        [tool_call("look", number=3)],
        [tool_call("pay", euro=5)],
        ["It is ", "paid."],
    )
    tools = [tool(look), tool(pay).needs(approval=True, edit=True)]
    yield await Agent(tools=tools, budget=Budget(turns=4)).run(context, model)


class CarefulModel:
    """A model that pays, unless it reads that a payment was made or that nobody knows."""

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Call the payment, or say that it is paid, as of `LanguageModel`."""
        results = [str(one["content"]) for one in messages if one["role"] == "tool"]
        if any("is done" in one or "not known" in one for one in results):
            yield "It is paid."
        else:
            yield tool_call("pay", euro=5)


@by_message
async def careful_agent(context: Context, seconds: float) -> Chunks:
    """Pay once in a conversation, whatever its runs come to."""

    def pay(euro: int, tool_context: ToolContext) -> str:
        """Pay an amount."""
        return work(f"pay {tool_context.conversation_id}", seconds)

    tools = [tool(pay).needs(approval=True)]
    yield await Agent(tools=tools).run(context, CarefulModel())


@by_message
async def careful_workflow(context: Context, seconds: float) -> Chunks:
    """Do what `careful_agent` does without a model, from the history of calls."""
    calls = [call for past in await context.history(calls=True) for call in past.calls]
    if any(call.name == "work" and call.state is not CallState.NOT_MADE for call in calls):
        yield "It is paid."
        return
    asked = ToolCallPrompt(text="Pay?", tool="work", arguments={})
    if (await context.ask(asked)).approved:
        await context.step(work, f"pay {context.conversation_id}", seconds, once=True)
    yield "It is paid."


@by_message
async def careful_pydantic_ai_agent(context: Context, seconds: float) -> Chunks:
    """Do what `careful_agent` does with an agent of Pydantic AI."""
    async for chunk in _framework("careful_pydantic_ai", context, seconds=seconds):
        yield chunk


@by_message
async def careful_langchain_agent(context: Context, seconds: float) -> Chunks:
    """Do what `careful_agent` does with an agent of LangChain."""
    async for chunk in _framework("careful_langchain", context, seconds=seconds):
        yield chunk


async def _framework(name: str, context: Context, **options: Any) -> Chunks:
    # Not in the event loop: such a package takes a second to import.
    module = await asyncio.to_thread(import_module, f"tests.contrib.agents.workflows.{name}")
    async for chunk in module.run(context, **options):
        yield chunk


@by_message
async def pydantic_ai_agent(context: Context, delay: float, seconds: float) -> Chunks:
    """Do what `agent` does with an agent of Pydantic AI."""
    async for chunk in _framework("agent_pydantic_ai", context, delay=delay, seconds=seconds):
        yield chunk


@by_message
async def langgraph_agent(context: Context, delay: float, seconds: float) -> Chunks:
    """Do what `agent` does with a graph of LangGraph."""
    async for chunk in _framework("agent_langgraph", context, delay=delay, seconds=seconds):
        yield chunk


@by_message
async def mcp_agent(context: Context, mode: str, url: str, seconds: float) -> Chunks:
    """Look something up, stay so many seconds, and book, by the tests' MCP server at the URL."""
    options = {"mode": mode, "url": url, "seconds": seconds}
    async for chunk in _framework("agent_mcp", context, **options):
        yield chunk
