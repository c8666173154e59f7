"""The stop of a run with many child runs, from each door, beside a neighbour who goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from statistics import median
from uuid import UUID

import pytest

from sessions_app.settings import RuntimeSettings
from sessions_app.storage.lineage import MAX_DEPTH
from tests.http.client import Http
from tests.support.polling import until
from tests.support.server import Server
from tests.support.websocket import WsClient

RUNS = """
    SELECT r.id, r.status, r.parent_id FROM sessions_app_run r
    JOIN sessions_app_conversation c ON c.id = r.conversation_id WHERE c.conversation_id = '{}'
"""
ASKING = """
    SELECT 1 FROM sessions_app_interaction i
    JOIN sessions_app_conversation c ON c.id = i.conversation_id
    WHERE i.status = 'pending' AND c.conversation_id = '{}'
"""
CALLS = """
    SELECT 1 FROM sessions_app_journalentry e JOIN sessions_app_run r ON r.id = e.run_id
    JOIN sessions_app_conversation c ON c.id = r.conversation_id WHERE c.conversation_id = '{}'
"""
# Seconds between two echoes of the neighbour.
PAUSE = 0.05
# By the message: the number of its runs, and the rows that there are once it has begun them all.
GROWN = {
    "begin_children(1)": (MAX_DEPTH + 1, ASKING, 1),
    "begin_children(2)": (RuntimeSettings().RUNS_PER_MESSAGE + 1, ASKING, 1),
    "send_to_itself()": (1, CALLS, 10),
}


async def stop_by_socket(server: Server, name: str) -> None:
    async with WsClient(server, name) as client:
        await client.send({"type": "stop_message", "id": "stop"})
        # The reply follows the end of all runs; before, updates say that they stop.
        await client.until(lambda frame: "stopping" in str(frame.get("content")))


async def stop_on_page(server: Server, name: str) -> None:
    answer = await asyncio.to_thread(Http(server).form, f"/c/{name}/stop/", {})
    assert answer.status == 303


async def stop_by_http(server: Server, name: str) -> None:
    answer = await asyncio.to_thread(Http(server).delete, f"/executions/{root_of(server, name)}")
    assert answer.status == 202


async def stop_in_admin(server: Server, name: str) -> None:
    fields = {"action": "cancel", "_selected_action": root_of(server, name), "index": "0"}
    operator = Http(server, "admin", workflow=None)
    answer = await asyncio.to_thread(operator.form, "/admin/sessions_app/run/", fields)
    assert answer.status == 302


async def delete_conversation(server: Server, name: str) -> None:
    answer = await asyncio.to_thread(Http(server).form, f"/c/{name}/delete/", {})
    assert answer.status in (302, 303)


DOORS = (stop_by_socket, stop_on_page, stop_by_http, stop_in_admin, delete_conversation)


def root_of(server: Server, name: str) -> str:
    [root] = [run["id"] for run in server.rows(RUNS.format(name)) if run["parent_id"] is None]
    return str(UUID(str(root)))


def unfinished(server: Server, name: str) -> int:
    return sum(
        run["status"] not in ("cancelled", "failed") for run in server.rows(RUNS.format(name))
    )


@asynccontextmanager
async def echoing(client: WsClient) -> AsyncIterator[list[float]]:
    """Send one echo after another during the block; yield the list of their times in seconds.

    With a pause after each: SQLite gives a waiting connection no turn beside a writer without one.
    """
    times: list[float] = []
    over = asyncio.Event()

    async def echo() -> None:
        while not over.is_set():
            start = time.monotonic()
            await client.message('echo("hello")')
            await client.until_ended("completed")
            times.append(time.monotonic() - start)
            await asyncio.sleep(PAUSE)

    task = asyncio.create_task(echo())
    yield times
    over.set()
    await task


async def in_thread(condition: Callable[[], object], server: Server) -> None:
    await asyncio.to_thread(until, condition, otherwise=server.story)


@pytest.mark.slow
@pytest.mark.parametrize("text", GROWN)
async def test_stop_from_each_door_returns_at_once_and_lets_others_in(
    server: Server, text: str
) -> None:
    count, statement, number = GROWN[text]
    async with WsClient(server, "neighbour", user="ben", workflow="probe") as ben:
        async with echoing(ben) as calm:
            await in_thread(lambda: len(calm) >= 10, server)
        for door in DOORS:
            name = door.__name__
            async with WsClient(server, name, workflow="probe") as client:
                start = time.monotonic()
                await client.message(text)
                await in_thread(lambda: len(server.rows(statement.format(name))) >= number, server)  # noqa: B023
                await in_thread(lambda: unfinished(server, name) >= count, server)  # noqa: B023
                growth = time.monotonic() - start
            async with echoing(ben) as disturbed:
                start = time.monotonic()
                await door(server, name)
                returned = time.monotonic() - start
                await in_thread(lambda: not unfinished(server, name), server)  # noqa: B023
            ended = time.monotonic() - start
            story = (name, growth, returned, ended, max(disturbed), median(calm))
            assert len(server.rows(RUNS.format(name))) == count, story
            # A machine under load grows the runs as slowly as it stops them.
            assert returned < 1 + 2 * growth, story
            assert max(disturbed) < 0.5 + 2 * growth, story
