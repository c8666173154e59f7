"""The memory of an idle socket, of a waiting conversation, and of a user's builder."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench.beside.clients import UNTIL_NO_HOST, Figures, echo, kibibytes, running, socket
from tests.support.server import Server, Template

COUNT = 1000
AT_ONCE = 50
WORKFLOWS = "default: probe\nworkflows:\n  probe: {}\n  probe_per_user: {}\n"


def measure(template: Template, directory: Path) -> Figures:
    """Measure the cases of this module."""
    directory.mkdir()
    workflows_file = directory / "workflows.yaml"
    workflows_file.write_text(WORKFLOWS)
    many = {f"SOCKETS_PER_{subject}": str(2 * COUNT) for subject in ("USER", "ADDRESS")}
    env = {"WORKFLOWS_FILE": str(workflows_file), "PARK_AFTER": "600", **many}
    with running(template, directory / "hosted", **env) as server:
        server.create_users(COUNT)
        figures = asyncio.run(_measure_hosted(server))
    with running(template, directory / "parked", PARK_AFTER="0.3") as server:
        return figures | asyncio.run(_measure_parked(server))


async def _measure_hosted(server: Server) -> Figures:
    async with socket(server, "first") as client:
        for _ in range(20):
            await echo(client)
    # Keep this order, so that no measurement reuses memory that an earlier one has freed.
    before = resident(server)
    await _ask(server, "ask()")
    waiting_size = each(server, before)
    builders = await _builders(server)
    before = resident(server)
    async with AsyncExitStack() as stack:
        names = [f"idle{number}" for number in range(COUNT)]
        sockets = [await stack.enter_async_context(socket(server, name)) for name in names]
        idle_size = each(server, before)
        assert all(client.close_code is None for client in sockets)
    return {
        "an idle socket, KiB": idle_size,
        "a conversation that waits in memory, KiB": waiting_size,
        **builders,
    }


async def _measure_parked(server: Server) -> Figures:
    # Measure only the second thousand. The first leaves free memory behind, which the second
    # reuses.
    for name in ("first", "next"):
        before = resident(server)
        await _ask(server, name)
        await asyncio.sleep(UNTIL_NO_HOST)
    return {"a conversation that is parked, KiB": each(server, before)}


async def _ask(server: Server, name: str) -> None:
    async with socket(server, name) as client:
        for number in range(COUNT):
            await client.message("ask()", conversation_id=f"{name}{number}")
            await client.until("system_interaction_message", timeout=60)


def each(server: Server, before: float) -> float:
    """Return the growth of the memory in KiB per object, for a thousand objects."""
    return (resident(server) - before) / COUNT


def resident(server: Server) -> float:
    """Return the resident memory of all processes in KiB."""
    return kibibytes(*(child.pid for child in server.children))


async def _builders(server: Server) -> Figures:
    before, began = resident(server), time.perf_counter()
    limit = asyncio.Semaphore(AT_ONCE)

    async def person(number: int) -> None:
        async with (
            limit,
            socket(server, "own", f"many{number}", workflow="probe_per_user") as client,
        ):
            await echo(client)

    await asyncio.gather(*(person(number) for number in range(COUNT)))
    took = time.perf_counter() - began
    return {
        "1,000 users, each with a builder: connects and echoes a second": COUNT / took,
        "a user's builder and host, KiB": each(server, before),
    }
