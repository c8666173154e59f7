"""The part of `probe` that is an agent, with a model whose answers are written down."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from sessions_app.agents import Agent, Budget, ModelMessage, Piece, ToolContext, tool
from sessions_app.json_types import JsonObject
from sessions_app.testing.scripted_model import ScriptedModel, tool_call
from sessions_app.workflows import Context

WORDS = [f"w{n} " for n in range(30)]


class SlowModel:
    """A scripted model that waits before each piece, and logs each request."""

    def __init__(self, pause: float, *turns: Sequence[Piece]) -> None:
        self._pause = pause
        self._script = ScriptedModel(*turns)

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the next answer, as of `Model`."""
        log_effect(f"model {sum(one['role'] == 'assistant' for one in messages)}")
        async for piece in self._script.stream(messages, tools):
            await asyncio.sleep(self._pause)
            yield piece


def log_effect(what: str) -> None:
    """Append a line to the file named by PROBE_LOG: what is done outside of the database."""
    with Path(os.environ["PROBE_LOG"]).open("a") as log:
        log.write(f"{what}\n")


def work(name: str, seconds: float) -> str:
    """Take so many seconds, and log the beginning and the end."""
    log_effect(f"{name} begins")
    time.sleep(seconds)
    log_effect(f"{name} ends")
    return f"{name} is done"


async def agent(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Stream, call tools that ask nobody and one that must not be repeated, and answer."""
    pause, seconds = (int(argument) / 1000 for argument in arguments)

    def look(number: int) -> str:
        """Look something up; a higher number takes longer."""
        return work(f"look {number}", seconds * number)

    def pay(euro: int, tool_context: ToolContext) -> str:
        """Pay an amount."""
        return work(f"pay {euro} {tool_context.call_id}", seconds)

    model = SlowModel(
        pause,
        [*WORDS, tool_call("look", number=1), tool_call("look", number=2)],
        [tool_call("look", number=3)],
        [tool_call("pay", euro=5)],
        ["It is ", "paid."],
    )
    tools = [tool(look), tool(pay).needs(approval=True, edit=True)]
    yield await Agent(tools=tools, budget=Budget(turns=4)).run(context, model)


async def modelcalls(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Time so many streams of a model, bare and recorded, in milliseconds each."""
    count, model = int(arguments[0]), ScriptedModel([f"w{number} " for number in range(20)])
    messages: list[ModelMessage] = [{"role": "user", "content": "Hello"}]
    started = time.perf_counter()
    for _ in range(count):
        [piece async for piece in model.stream(messages, [])]
    between = time.perf_counter()
    for _ in range(count):
        stream = context.stream(model.stream, messages, [], name="model", show=False)
        [piece async for piece in stream]
    ended = time.perf_counter()
    yield f"{1000 * (between - started) / count:.3f} {1000 * (ended - between) / count:.3f}"
