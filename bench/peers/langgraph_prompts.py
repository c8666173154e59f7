"""The script `langgraph_prompts.py DATABASE PEOPLE SECONDS`: an interrupting graph, in process."""

import asyncio
import operator
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict
from uuid import uuid4

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from threads import PROMPTS, arguments, measure


class State(TypedDict):
    """The answers so far."""

    answers: Annotated[list[str], operator.add]


def ask(state: State) -> State:
    """Ask once; the graph loops for the next prompt, with a checkpoint for each answer."""
    return {"answers": [interrupt(f"prompt-{len(state['answers']) + 1}")]}


def ask_all(state: State) -> State:
    """Ask all prompts in one node, which LangGraph runs again from its top for each answer."""
    return {"answers": [interrupt(f"prompt-{number}") for number in range(1, PROMPTS + 1)]}


def further(state: State) -> str:
    """Return the next node: another prompt, or the end."""
    return "ask" if len(state["answers"]) < PROMPTS else END


@asynccontextmanager
async def saver(database: str) -> AsyncIterator[BaseCheckpointSaver]:
    """Yield the checkpointer of the database."""
    if not database.startswith("postgresql"):
        async with AsyncSqliteSaver.from_conn_string(database) as checkpointer:
            yield checkpointer
        return
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(database, max_size=16, kwargs=options) as pool:
        checkpointer = AsyncPostgresSaver(pool)
        await checkpointer.setup()
        yield checkpointer


async def main() -> None:
    """Measure LangGraph."""
    options = arguments()
    builder = StateGraph(State)
    builder.add_node("ask", ask_all if options.one_node else ask)
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", further)
    async with saver(options.database) as checkpointer:
        graph = builder.compile(checkpointer=checkpointer)

        async def thread(count_answer: Callable[[], None]) -> None:
            config = {"configurable": {"thread_id": uuid4().hex}}
            state = await graph.ainvoke({"answers": []}, config)
            while "__interrupt__" in state:
                state = await graph.ainvoke(Command(resume="continue"), config)
                count_answer()
            if len(state["answers"]) != PROMPTS:
                raise RuntimeError(f"a thread ended with {state}")

        await measure(options, thread)


if __name__ == "__main__":
    asyncio.run(main())
