"""The price of a recorded request to a model, beside that of the bare stream."""

import asyncio
from pathlib import Path

from bench.beside.clients import Figures, is_end, running, socket
from tests.support.server import Server, Template

COUNT = 300


def measure(template: Template, directory: Path) -> Figures:
    """Measure as the module says."""
    with running(template, directory) as server:
        return asyncio.run(_measure(server))


async def _measure(server: Server) -> Figures:
    async with socket(server, "c") as client:
        await client.message(f"time_model_streams(count={COUNT})")
        await client.until(is_end, timeout=120)
        bare, recorded = map(float, client.text().split()[-2:])
    return {
        "a model's stream of 20 pieces, bare, ms": bare,
        "the same, recorded, ms": recorded,
        "recorded more than bare, ms": recorded - bare,
    }
