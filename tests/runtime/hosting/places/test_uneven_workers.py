"""Tests that workers acquire work that can run now: no run waits at a full worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.conftest import NewServer
from tests.support.hosting import until_true
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster_only("one process has no other whose places were free"),
]

PLACES = 4  # slots of each of the two workers
LONG_RUNS = 2 * PLACES - 1  # all slots but one
WORKFLOWS = f"""
default: probe
workflows:
  probe: {{max_concurrency: {PLACES}, max_concurrency_per_user: {PLACES}}}
"""
# Runs that have a slot: they have produced output.
WORKING = """
    SELECT run.id FROM sessions_app_run run JOIN sessions_app_event event ON event.run_id = run.id
    WHERE run.status = 'running' AND event.type = 'text' GROUP BY run.id
"""


@pytest.fixture
def server(new_server: NewServer) -> Server:
    server = new_server(workers=2, workflows=WORKFLOWS, PARK_AFTER="3600")
    server.until_workers()
    return server


async def fill(server: Server, count: int = LONG_RUNS) -> None:
    """Let runs of ann occupy all slots but one, for longer than the test."""
    async with WsClient(server, "0", workflow="probe") as ann:
        for number in range(count):
            message_id = await ann.message(
                "stream(tokens=3600, delay=1)", conversation_id=f"{number}"
            )
            await ann.reply_to(message_id)
    await until_true(lambda: len(server.rows(WORKING)) == count)


@asynccontextmanager
async def conversations_of_ben(server: Server, count: int = 10) -> AsyncIterator[list[WsClient]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(WsClient(server, f"{n}", user="ben", workflow="probe"))
            for n in range(count)
        ]


async def test_a_message_does_not_wait_behind_a_full_worker(server: Server) -> None:
    await fill(server)
    async with conversations_of_ben(server) as clients:
        for client in clients:
            await client.message('echo("hello")')
        for client in clients:
            await client.until_ended("completed")
    assert len(server.rows(WORKING)) == LONG_RUNS


async def test_an_answered_run_does_not_wait_behind_a_full_worker(server: Server) -> None:
    async with conversations_of_ben(server) as clients:
        for client in clients:
            await client.message("ask()")
        prompts = [await client.until("system_interaction_message") for client in clients]
        await fill(server)  # both workers hold some of the waiting runs in memory
        for client, prompt in zip(clients, prompts, strict=True):
            await client.answer("yes", prompt)
        for client in clients:
            await client.until_ended("completed")
    assert len(server.rows(WORKING)) == LONG_RUNS


async def test_a_message_that_waits_for_a_place_is_stopped_at_once(server: Server) -> None:
    await fill(server)
    async with WsClient(server, "last", workflow="probe") as ann:
        await ann.message("stream(tokens=3600, delay=1)")
        await until_true(lambda: len(server.rows(WORKING)) == LONG_RUNS + 1)
    async with WsClient(server, "b", user="ben", workflow="probe") as ben:
        await ben.message('echo("hello")')
        await ben.until("ack_message")
        await ben.send({"type": "stop_message", "conversation_id": "b"})
        await ben.until_ended("cancelled")
    assert len(server.rows(WORKING)) == LONG_RUNS + 1


@pytest.mark.beyond("no message waits beside slow runs while another worker has room")
async def test_no_echo_waits_beside_slow_runs_on_three_workers(new_server: NewServer) -> None:
    places, long_runs, echoes = 8, 20, 30
    workflows = WORKFLOWS.replace(str(PLACES), str(places))
    server = new_server(workers=3, workflows=workflows, PARK_AFTER="3600")
    server.until_workers()

    async def echo(client: WsClient) -> None:
        await client.message('echo("hello")')
        await client.until_ended("completed")

    async with conversations_of_ben(server, echoes) as clients:
        await fill(server, long_runs)
        await asyncio.gather(*map(echo, clients))
    assert len(server.rows(WORKING)) == long_runs


async def test_a_worker_of_named_queues_takes_their_runs_and_what_falls_due(
    new_server: NewServer,
) -> None:
    workflows = "default: probe\nworkflows:\n  probe: {queue: heavy}\n"
    server = new_server(worker_options=("--queues", "heavy,other"), workflows=workflows)
    async with WsClient(server, "c", workflow="probe") as ann:
        await ann.message('ask_tool_call(fields={"timeout": 1, "default": "reject"})')
        await ann.until_ended("completed")
