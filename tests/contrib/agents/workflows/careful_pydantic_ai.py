"""An agent of Pydantic AI that does what `careful_agent` does."""

from collections.abc import AsyncIterator

from pydantic_ai import Agent, ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from sessions_app.contrib.agents.pydantic_ai import HostedAgent
from sessions_app.workflows import Context
from tests.contrib.agents.workflows.agents import work
from tests.support.workflows.registry import Chunks


async def say(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    """Pay, unless a payment was made or nobody knows."""
    results = [
        str(part.content)
        for message in messages
        for part in message.parts
        if part.part_kind == "tool-return"
    ]
    if any("is done" in one or "not known" in one for one in results):
        yield "It is paid."
    else:
        yield {0: DeltaToolCall("pay", '{"euro": 5}', tool_call_id=f"pay-{len(messages)}")}


async def run(context: Context, seconds: float) -> Chunks:
    """Pay once in a conversation, whatever its runs come to."""
    agent = Agent(FunctionModel(stream_function=say), name="careful")

    @agent.tool_plain(requires_approval=True)
    def pay(euro: int) -> str:
        return work(f"pay {context.conversation_id}", seconds)

    yield await HostedAgent(agent, "careful").run(context)
