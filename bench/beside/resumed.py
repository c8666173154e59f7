"""The time from an answer to the run's end: in memory, parked, and without a host."""

import asyncio
import statistics
from pathlib import Path

from bench.beside.clients import UNTIL_NO_HOST, Figures, answer_to_end, ask, running, socket
from tests.support.server import Server, Template

COUNT = 20
PARK_AFTER = 0.3
PATIENCE = {"in memory": 0.0, "parked": 3 * PARK_AFTER, "without a host": UNTIL_NO_HOST}


def measure(template: Template, directory: Path) -> Figures:
    """Measure the cases of this module."""
    with running(template, directory, PARK_AFTER=str(PARK_AFTER)) as server:
        return asyncio.run(_measure(server))


async def _measure(server: Server) -> Figures:
    figures = {}
    for kind, seconds in PATIENCE.items():
        names = [f"{kind}{number}" for number in range(COUNT)]
        if seconds:
            await asyncio.gather(*(_ask(server, name) for name in names))
            await asyncio.sleep(seconds)
        durations = [await _answer(server, name, asked=bool(seconds)) for name in names]
        figures[f"answer to end of a run {kind}, ms"] = statistics.median(durations)
    return figures


async def _ask(server: Server, name: str) -> None:
    async with socket(server, name) as client:
        await ask(client)


async def _answer(server: Server, name: str, *, asked: bool) -> float:
    async with socket(server, name) as client:
        if not asked:
            await client.message("ask()")
        return await answer_to_end(client)
