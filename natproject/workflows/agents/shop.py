"""An agent of Pydantic AI that refunds customers: managers approve, and may edit the amount."""

from collections.abc import AsyncIterator

from pydantic_ai import Agent, ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from sessions_app.contrib.agents.pydantic_ai import pydantic_ai_workflow
from sessions_app.contrib.agents.tools import Policy
from sessions_app.workflows import group


async def script(
    messages: list[ModelMessage], _info: AgentInfo
) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    """Play the model; a real agent names one instead, such as "openai:…"."""
    results = [part for part in messages[-1].parts if part.part_kind == "tool-return"]
    if results:
        yield f"Done: {results[0].content}"
    else:
        yield "I pay order 17 back. "
        yield {0: DeltaToolCall("refund", '{"order": 17, "euro": 40}', tool_call_id="r1")}


agent = Agent(FunctionModel(stream_function=script), name="shop", instructions="Be brief.")


@agent.tool_plain(requires_approval=True)
def refund(order: int, euro: int) -> str:
    """Pay a customer back."""
    return f"{euro} € for order {order} are paid back."


pydantic_ai_workflow(
    agent,
    name="shop_agent",
    title="Shop (Pydantic AI)",
    starters=("Pay order 17 back",),
    approvals={"refund": Policy(group("managers"), edit=True)},
)
