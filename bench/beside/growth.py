"""The cost of stored rows for requests, which must not grow with the rows.

10 conversations against 100,000, and a conversation of 10 events against one of 10,000. The two
servers, or the two conversations, are measured alternately.
"""

import asyncio
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.beside.clients import Figures, echo, is_end, lengthen, running, socket, times, trip
from tests.support.server import Server, Template

CONVERSATIONS = (10, 100_000)
EVENTS = (10, 10_000)
# Number of owners of the many conversations.
OWNERS = 100
BATCH = 5000
ROUNDS = 20
TIMES = 10
ONE_ID = "SELECT id FROM sessions_app_conversation WHERE conversation_id = 'one'"
RUN_IDS = f"SELECT id FROM sessions_app_run WHERE conversation_id = ({ONE_ID})"  # noqa: S608 - ours
ROWS = {
    "conversation": "conversation_id = 'one'",
    "run": f"conversation_id = ({ONE_ID})",
    "event": f"conversation_id = ({ONE_ID})",
    "interaction": f"conversation_id = ({ONE_ID})",
    "journalentry": f"run_id = ({RUN_IDS})",
}
Row = dict[str, Any]
Measurement = Callable[[], Awaitable[list[float]]]


def measure(template: Template, directory: Path) -> Figures:
    """Measure the cost of many conversations, and of a long one."""
    directory.mkdir()
    with (
        running(template, directory / "few") as few,
        running(template, directory / "many") as many,
    ):
        for server, count in zip((few, many), CONVERSATIONS, strict=True):
            fill(server, count)
        return asyncio.run(_conversations(few, many)) | asyncio.run(_events(few))


def fill(server: Server, count: int) -> None:
    """Insert copies of an ended conversation for other owners, row by row in every table."""
    server.create_users(OWNERS)
    asyncio.run(_end_one(server))
    users = server.rows("SELECT id FROM auth_user WHERE username LIKE 'many%'")
    rows = of_one(server)
    owners = [user["id"] for user in users]
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        for table, copies in copy_rows(rows, numbers, owners).items():
            names, marks = ", ".join(copies[0]), ", ".join("?" * len(copies[0]))
            insert = f"INSERT INTO sessions_app_{table} ({names}) VALUES ({marks})"  # noqa: S608 - ours
            server.store.execute_many(insert, (tuple(copy.values()) for copy in copies))
    server.execute("ANALYZE")


def copy_rows(
    rows: dict[str, list[Row]], numbers: range, owners: list[object]
) -> dict[str, list[Row]]:
    """Return the rows of the copies, by table."""
    own = [row["id"] for table in ("conversation", "run", "interaction") for row in rows[table]]
    copies: dict[str, list[Row]] = defaultdict(list)
    for number in numbers:
        ids = {old: uuid4().hex for old in own}
        owner_columns = {
            "conversation_id": f"copy{number}",
            "owner_id": owners[number % len(owners)],
        }
        for table, its_rows in rows.items():
            changes = owner_columns if table == "conversation" else {}
            if its_rows:
                copies[table] += [rename_ids(row, ids) | changes for row in its_rows]
    return copies


def of_one(server: Server) -> dict[str, list[Row]]:
    """Return all rows of the conversation `one` by table, without auto-increment ids."""
    rows = {}
    for table, condition in ROWS.items():
        query = f"SELECT * FROM sessions_app_{table} WHERE {condition}"  # noqa: S608 - constant
        rows[table] = [
            {
                name: value
                for name, value in row.items()
                if not isinstance(value, int) or name != "id"
            }
            for row in server.rows(query)
        ]
    return rows


def rename_ids(row: Row, ids: dict[str, str]) -> Row:
    """Return the row with new ids, also inside of text columns."""

    def new(value: object) -> object:
        if isinstance(value, str):
            for old, new_id in ids.items():
                value = value.replace(old, new_id)
        return value

    return {name: new(value) for name, value in row.items()}


async def _end_one(server: Server) -> None:
    async with socket(server, "one") as client:
        await client.message("approve(count=1)")
        await client.until("system_interaction_message")
        await client.answer("continue")
        await client.until(is_end)


async def _conversations(few: Server, many: Server) -> Figures:
    trips = await _alternate(partial(_trips, few), partial(_trips, many))
    new = await _alternate(partial(_new, few), partial(_new, many))
    pages = await _alternate(partial(_page, few, "/", "many0"), partial(_page, many, "/", "many0"))
    comparison = f"{CONVERSATIONS[1]:,} conversations against {CONVERSATIONS[0]}"
    own = CONVERSATIONS[1] // OWNERS
    return {
        f"{comparison}: a trip, ratio": trips,
        f"{comparison}: an echo in a new one, ratio": new,
        f"{comparison}: the page of one who has {own:,} of them, ratio": pages,
    }


async def _events(server: Server) -> Figures:
    for name, events in zip(("short", "long"), EVENTS, strict=True):
        async with socket(server, name) as client:
            await lengthen(client, events)
    # Measure the pages before the trips, which leave prompts on one of the pages and make it
    # longer.
    short, long = (partial(_page, server, f"/c/{name}/", "ann") for name in ("short", "long"))
    pages = await _alternate(short, long)
    trips = await _alternate(partial(_trips, server), partial(_trips, server, "long"))
    comparison = f"{EVENTS[1]:,} events against {EVENTS[0]}"
    return {f"{comparison}: a trip, ratio": trips, f"{comparison}: the page, ratio": pages}


async def _trips(server: Server, name: str = "") -> list[float]:
    """Time round trips in a conversation, or in a new one."""
    async with socket(server, name or uuid4().hex) as client:
        await client.message(f"approve(count={TIMES + 1})")
        await client.until("system_interaction_message", timeout=60)
        durations = await times(TIMES, lambda: trip(client))
        await client.answer("continue")
        await client.until(is_end)
    return durations


async def _new(server: Server) -> list[float]:
    async def begin() -> None:
        async with socket(server, uuid4().hex) as client:
            await echo(client)

    return await times(TIMES, begin)


async def _page(server: Server, path: str, user: str) -> list[float]:
    return await times(TIMES, lambda: asyncio.to_thread(server.get, path, user))


async def _alternate(few: Measurement, many: Measurement) -> float:
    """Return the ratio of many to few, in alternate rounds, so that other load affects both."""
    durations: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for side_durations, work in zip(durations, (few, many), strict=True):
            side_durations.extend(await work())
    return statistics.median(durations[1]) / statistics.median(durations[0])
