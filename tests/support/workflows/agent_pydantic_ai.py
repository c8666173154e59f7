"""The part of `probe` that is an agent of Pydantic AI; the same as `probe_agent` otherwise."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from pydantic_ai import Agent, ModelMessage, RunContext
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from sessions_app.agents.pydantic_ai import HostedAgent
from sessions_app.workflows import Context
from tests.support.workflows.agent import WORDS, log_effect, work

TURNS: list[list[str | tuple[str, str]]] = [
    [*WORDS, ("look", '{"number": 1}'), ("look", '{"number": 2}')],
    [("look", '{"number": 3}')],
    [("pay", '{"euro": 5}')],
    ["It is ", "paid."],
]


async def pydantic_ai(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Stream, call tools that ask nobody and one that must not be repeated, and answer."""
    pause, seconds = (int(argument) / 1000 for argument in arguments)

    async def say(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        turn = sum(message.kind == "response" for message in messages)
        log_effect(f"model {turn}")
        for index, piece in enumerate(TURNS[turn]):
            await asyncio.sleep(pause)
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
