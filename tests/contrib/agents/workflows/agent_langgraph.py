"""A graph of LangGraph that does what `agent` does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from sessions_app.contrib.agents.langgraph import HostedGraph
from sessions_app.workflows import Context
from tests.contrib.agents.workflows.agents import WORDS, work
from tests.support.workflows.effects import append_line
from tests.support.workflows.registry import Chunks


class SlowModel(BaseChatModel):
    """A model that says these words, and waits before each."""

    words: list[str]
    pause: float

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
        message = AIMessage("".join(self.words))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(self, *arguments: Any, **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        for word in self.words:
            await asyncio.sleep(self.pause)
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


async def run(context: Context, delay: float, seconds: float) -> Chunks:
    """Stream, look three things up in nodes, ask whether to pay, pay, and answer."""

    def talk(turn: int, words: list[str]) -> Any:
        async def node(state: MessagesState) -> Any:
            append_line(f"model {turn}")
            model = SlowModel(words=words, pause=delay)
            return {"messages": [await model.ainvoke("Go")]}

        return node

    def look(number: int) -> Any:
        async def node(state: MessagesState) -> Any:
            await asyncio.to_thread(work, f"look {number}", seconds * number)
            return {}

        return node

    async def pay(state: MessagesState) -> Any:
        interrupt({"action_requests": [{"name": "pay", "args": {"euro": 5}}]})
        await asyncio.to_thread(work, "pay 5", seconds)
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("begin", talk(0, WORDS))
    for number in (1, 2, 3):
        graph.add_node(f"look{number}", look(number))
    graph.add_node("pay", pay)
    graph.add_node("end", talk(3, ["It is ", "paid."]))
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "look1")
    graph.add_edge("begin", "look2")
    graph.add_edge(["look1", "look2"], "look3")
    graph.add_edge("look3", "pay")
    graph.add_edge("pay", "end")
    output = await HostedGraph(graph.compile(), "probe").run(context)
    if not output.endswith("paid."):
        yield output
