"""100,000 pending interactions: what a worker holds of them, and an answer to one, against few.

Both servers have one worker; they are asked in turn, so that what else the machine does is shared.
"""

import asyncio
import statistics
from pathlib import Path
from uuid import UUID

import psutil

from bench.trips import UNTIL_NO_HOST, answer_to_end, socket
from tests.support.database.copied_conversations import copies
from tests.support.server import Server, Template

FEW = 60
MANY = 100_000
ANSWERS = 50
OWNERS = 50
WAITING = """
    SELECT run_id AS run, conversation_id AS conversation, id AS interaction
    FROM sessions_app_interaction
"""
OWNER = """
    SELECT username FROM auth_user JOIN sessions_app_conversation ON owner_id = auth_user.id
    WHERE conversation_id = ?
"""


def fill(server: Server, count: int) -> None:
    """Copies of one run that waits, for many people; the statistics are up to date then."""
    server.create_users(OWNERS)
    asyncio.run(_ask(server))
    [row] = server.rows(WAITING)
    waiting = {name: UUID(value) for name, value in row.items()}
    for statement, parameters in copies(waiting, count, owners="many%"):
        server.execute(statement, *parameters)
    server.execute("ANALYZE")


async def _ask(server: Server) -> None:
    async with socket(server, "one") as client:
        await client.message("ask")
        await client.until("system_interaction_message")
    await asyncio.sleep(UNTIL_NO_HOST)


def resident(server: Server) -> float:
    """Megabytes in memory of a worker that has just been started, and has looked around."""
    server.host.stop()
    server.host.start(server.environment)
    server.until_workers()
    asyncio.run(asyncio.sleep(UNTIL_NO_HOST))
    size: int = psutil.Process(server.host.pid).memory_info().rss
    return size / 2**20


async def answers(servers: dict[str, Server]) -> dict[str, float]:
    """The median time from an answer to the run's end."""
    spent: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(1, ANSWERS + 1):
        for name, server in servers.items():
            [row] = server.rows(OWNER, f"copy{number}")
            async with socket(server, f"copy{number}", row["username"]) as client:
                spent[name].append(await answer_to_end(client))
    return {name: statistics.median(times) for name, times in spent.items()}


def report(template: Template, directory: Path) -> None:
    """Make both, compare, print."""
    directory.mkdir()
    servers = {}
    try:
        print(__doc__.partition("\n")[0])
        for count in (FEW, MANY):
            server = Server.from_template(template, directory / f"{count}", PARK_AFTER="0.3")
            servers[f"{count:,}"] = server
            server.start()
            fill(server, count)
        sizes = {name: resident(server) for name, server in servers.items()}
        times = asyncio.run(answers(servers))
        for name in servers:
            print(f"  {name:>8} pending: a worker has {sizes[name]:6.1f} MB", end="; ")
            print(f"an answer takes {times[name]:6.1f} ms")
        few, many = times.values()
        print(f"  ratio of the answers {many / few:.2f}")
    finally:
        for server in servers.values():
            server.drop()
