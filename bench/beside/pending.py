"""100,000 pending interactions against few: the memory of a worker, and times of answers and new
runs.

New runs are also timed on a worker without a free slot, because all of its runs wait. Each server
has one worker; the servers are measured alternately, so that other load affects both.
"""

import asyncio
import statistics
import time
from pathlib import Path
from uuid import UUID

from bench.beside.clients import (
    UNTIL_NO_HOST,
    Figures,
    answer_to_end,
    ask,
    is_end,
    kibibytes,
    socket,
)
from tests.support.database.copied_conversations import copy_statements
from tests.support.server import Server, Template

FEW = 60
MANY = 100_000
ANSWERS = 50
OWNERS = 50
ECHOES = 20
# Slots of the full worker, and number of runs that are started on it at the same time.
PLACES = 300
CROWD = 2 * PLACES
PENDING_IDS = """
    SELECT run_id AS run, conversation_id AS conversation, id AS interaction
    FROM sessions_app_interaction
"""
CROWD_SIZE = """
    SELECT count(*) AS waiting FROM sessions_app_interaction one
    JOIN sessions_app_conversation its ON its.id = one.conversation_id
    WHERE its.conversation_id LIKE 'crowd%'
"""
OWNER = """
    SELECT username FROM auth_user JOIN sessions_app_conversation ON owner_id = auth_user.id
    WHERE conversation_id = ?
"""


def fill(server: Server, count: int) -> None:
    """Insert copies of one waiting run for many owners, and update the statistics."""
    server.create_users(OWNERS)
    asyncio.run(_ask(server))
    [row] = server.rows(PENDING_IDS)
    ids = {name: UUID(value) for name, value in row.items()}
    for statement, parameters in copy_statements(ids, count, owners="many%"):
        server.execute(statement, *parameters)
    server.execute("ANALYZE")


async def _ask(server: Server) -> None:
    async with socket(server, "one") as client:
        await ask(client)
    await asyncio.sleep(UNTIL_NO_HOST)


def resident(server: Server) -> float:
    """Return the MiB of a worker after its start and first polls."""
    server.host.stop()
    server.host.start(server.environment)
    server.until_workers()
    asyncio.run(asyncio.sleep(UNTIL_NO_HOST))
    return kibibytes(server.host.pid) / 1024


async def answers(servers: dict[str, Server]) -> dict[str, float]:
    """Return the median time from an answer to the run's end."""
    durations: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(1, ANSWERS + 1):
        for name, server in servers.items():
            [row] = server.rows(OWNER, f"copy{number}")
            async with socket(server, f"copy{number}", row["username"]) as client:
                durations[name].append(await answer_to_end(client))
    return {name: statistics.median(times) for name, times in durations.items()}


def crowd(server: Server) -> None:
    """Wait until more runs wait than the worker has slots, more also than one socket follows."""
    asyncio.run(_send(server))
    while server.rows(CROWD_SIZE)[0]["waiting"] < CROWD:
        time.sleep(0.5)


async def _send(server: Server) -> None:
    async with socket(server, "crowd") as client:
        for number in range(CROWD):
            await client.reply_to(await client.message("ask()", conversation_id=f"crowd{number}"))


async def echoes(servers: dict[str, Server]) -> dict[str, float]:
    """Return the median time from a message in a new conversation to its run's end."""
    durations: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(ECHOES):
        for name, server in servers.items():
            async with socket(server, f"echo{number}") as client:
                began = time.perf_counter()
                await client.message('echo("hello")')
                await client.until(is_end, timeout=60)
                durations[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in durations.items()}


def measure(template: Template, directory: Path) -> Figures:
    """Measure servers with few and with many interactions; return the figures of both."""
    directory.mkdir()
    servers = {}
    try:
        for count in (FEW, MANY):
            server = Server.from_template(template, directory / f"{count}", PARK_AFTER="0.3")
            servers[f"{count:,} pending"] = server
            server.start()
            fill(server, count)
        sizes = {name: resident(server) for name, server in servers.items()}
        answer_times = asyncio.run(answers(servers))
        full = Server.from_template(
            template, directory / "full", worker_options=("--concurrency", str(PLACES))
        )
        servers[f"{MANY:,} pending, a full worker"] = full
        full.start()
        fill(full, MANY)
        crowd(full)
        echo_times = asyncio.run(echoes(servers))
    finally:
        for server in servers.values():
            server.drop()
    return {
        **{f"{name}: a worker has MiB": size for name, size in sizes.items()},
        **{f"{name}: answer to end, ms": time_ for name, time_ in answer_times.items()},
        **{f"{name}: a newcomer's echo, ms": time_ for name, time_ in echo_times.items()},
    }
