"""`python langgraph_prompts.py DATABASE PEOPLE SECONDS`: a graph that interrupts, in process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypedDict
from uuid import uuid4

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from threads import PROMPTS, arguments, measure


class State(TypedDict):
    """The answers."""

    answers: list[str]


def ask(state: State) -> State:
    """All prompts in one node: one for each writes more checkpoints, and does half the rate."""
    return {"answers": [interrupt(f"prompt-{number}") for number in range(1, PROMPTS + 1)]}


@asynccontextmanager
async def saver(database: str) -> AsyncIterator[BaseCheckpointSaver]:
    """The saver of the database."""
    if not database.startswith("postgresql"):
        async with AsyncSqliteSaver.from_conn_string(database) as made:
            yield made
        return
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(database, max_size=16, kwargs=options) as pool:
        made = AsyncPostgresSaver(pool)
        await made.setup()
        yield made


async def main() -> None:
    """Measure."""
    given = arguments()
    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    async with saver(given.database) as made:
        graph = builder.compile(checkpointer=made)

        async def thread(answered: Callable[[], None]) -> None:
            config = {"configurable": {"thread_id": uuid4().hex}}
            state = await graph.ainvoke({"answers": []}, config)
            while "__interrupt__" in state:
                state = await graph.ainvoke(Command(resume="continue"), config)
                answered()
            if len(state["answers"]) != PROMPTS:
                raise RuntimeError(f"a thread ended with {state}")

        await measure(given, thread)


if __name__ == "__main__":
    asyncio.run(main())
