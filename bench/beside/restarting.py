"""A start with 1,000 unfinished runs, after `kill -9`, against a start with none."""

import asyncio
import statistics
import time
from pathlib import Path

from bench.beside.clients import Figures, answer_to_end, echo, running, socket
from tests.support.server import Server, Template

COUNT = 1000
STARTS = 3


def measure(template: Template, directory: Path) -> Figures:
    """Measure the cases of this module."""
    with running(template, directory) as server:
        asyncio.run(_echo(server))
        idle_start = statistics.median(_start(server) for _ in range(STARTS))
        asyncio.run(_begin(server))
        busy_start = statistics.median(_start(server) for _ in range(STARTS))
        answer_time = asyncio.run(_answer(server))
    return {
        "a start, until a run has ended, s": idle_start,
        "a start with 1,000 unfinished runs, until another has ended, s": busy_start,
        "an answer to one of them, to its end, ms": answer_time,
    }


def _start(server: Server) -> float:
    server.kill()
    began = time.perf_counter()
    server.start()
    asyncio.run(_echo(server))
    return time.perf_counter() - began


async def _echo(server: Server) -> None:
    async with socket(server, "echo") as client:
        await echo(client)


async def _begin(server: Server) -> None:
    async with socket(server, "asking") as client:
        for number in range(COUNT):
            await client.message("ask()", conversation_id=f"ask{number}")
            await client.until("system_interaction_message", timeout=60)


async def _answer(server: Server) -> float:
    async with socket(server, f"ask{COUNT // 2}") as client:
        return await answer_to_end(client)
