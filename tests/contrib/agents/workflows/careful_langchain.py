"""An agent of LangChain that does what `careful_agent` does."""

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from sessions_app.contrib.agents.langgraph import HostedGraph
from sessions_app.workflows import Context
from tests.contrib.agents.workflows.agents import work
from tests.support.workflows.effects import append_line
from tests.support.workflows.registry import Chunks


class CarefulModel(BaseChatModel):
    """A model that pays, unless it reads that a payment was made or that nobody knows."""

    place: str

    @property
    def _llm_type(self) -> str:
        return "careful"

    def bind_tools(self, tools: Any, **options: Any) -> "CarefulModel":
        return self

    def _generate(self, messages: Any, *arguments: Any, **options: Any) -> ChatResult:
        results = [str(one.content) for one in messages if one.type == "tool"]
        message = AIMessage("It is paid.")
        if any("is done" in one or "not known" in one for one in results):
            append_line(f"told {self.place}")
        else:
            call = {"name": "pay", "args": {"euro": 5}, "id": f"pay-{len(messages)}"}
            message = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])


async def run(context: Context, seconds: float) -> Chunks:
    """Pay once in a conversation, whatever its runs come to."""
    place = context.conversation_id

    @tool
    def pay(euro: int) -> str:
        """Pay an amount."""
        return work(f"pay {place}", seconds)

    agent = create_agent(
        CarefulModel(place=place),
        [pay],
        middleware=[HumanInTheLoopMiddleware({"pay": True})],
    )
    yield await HostedGraph(agent, "careful").run(context)
