"""A client that comes back: to a prompt that waits, and to 1,000 events that it has missed."""

import asyncio
from pathlib import Path

from bench.beside.clients import Figures, ask, lengthen, milliseconds, running, socket
from tests.support.received_frames import Frame
from tests.support.server import Server, Template

TIMES = 100
EVENTS = 1000


def measure(template: Template, directory: Path) -> Figures:
    """Measure as the module says."""
    with running(template, directory) as server:
        return asyncio.run(_measure(server))


async def _measure(server: Server) -> Figures:
    async with socket(server, "asked") as client:
        await ask(client)
    async with socket(server, "missed") as client:
        await lengthen(client, EVENTS)

    async def wait_for_prompt() -> None:
        async with socket(server, "asked") as client:
            await client.until("system_interaction_message")

    async def caught_up() -> None:
        async with socket(server, "missed", last_sequence=0) as client:
            await client.until(is_last)

    return {
        "from connecting to the prompt that waits, ms": await milliseconds(TIMES, wait_for_prompt),
        f"from connecting to the last of {EVENTS:,} events, ms": await milliseconds(
            TIMES // 5, caught_up
        ),
    }


def is_last(frame: Frame) -> bool:
    """Return whether so many events have come with the frame."""
    return int(frame.get("sequence") or 0) >= EVENTS
