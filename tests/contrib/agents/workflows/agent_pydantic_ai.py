"""An agent of Pydantic AI that does what `agent` does."""

import asyncio
from collections.abc import AsyncIterator

from pydantic_ai import Agent, ModelMessage, RunContext
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from sessions_app.contrib.agents.pydantic_ai import HostedAgent
from sessions_app.workflows import Context
from tests.contrib.agents.workflows.agents import WORDS, work
from tests.support.workflows.effects import append_line
from tests.support.workflows.registry import Chunks

TURNS: list[list[str | tuple[str, str]]] = [
    [*WORDS, ("look", '{"number": 1}'), ("look", '{"number": 2}')],
    [("look", '{"number": 3}')],
    [("pay", '{"euro": 5}')],
    ["It is ", "paid."],
]


async def run(context: Context, delay: float, seconds: float) -> Chunks:
    """Stream, call tools that ask nobody and one that must not be repeated, and answer."""

    async def say(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        turn = sum(message.kind == "response" for message in messages)
        append_line(f"model {turn}")
        for index, piece in enumerate(TURNS[turn]):
            await asyncio.sleep(delay)
            if isinstance(piece, str):
                yield piece
            else:
                name, written = piece
                yield {index: DeltaToolCall(name, written, tool_call_id=f"{name}-{turn}-{index}")}

    agent = Agent(FunctionModel(stream_function=say), name="probe")

    @agent.tool_plain
    def look(number: int) -> str:
        return work(f"look {number}", seconds * number)

    @agent.tool(requires_approval=True)
    def pay(run_context: RunContext, euro: int) -> str:
        return work(f"pay {euro} {run_context.tool_call_id}", seconds)

    yield await HostedAgent(agent, "probe").run(context)
