"""Parking: only what waits for people is put out of memory."""

import asyncio

import pytest

from bench.workflows import probe
from tests.conftest import NewServer
from tests.support.hosting import Hosting, asking, running
from tests.support.websocket import WsClient

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # importing it declares it


async def test_an_answered_run_that_waits_for_a_place_goes_on_when_there_is_one() -> None:
    async with Hosting("probe", park_after=0.2, max_concurrency=1) as hosting:
        asked, _ = await hosting.prompted("ask")
        busy = await hosting.submit("slowstream 1 600", conversation="d")
        await hosting.status(busy, "running")
        await hosting.answered(busy, "yes")
        assert await hosting.result(asked) == "yes"


async def test_a_host_that_is_asked_for_its_place_all_the_time_gives_it() -> None:
    async with asking("probe", "ask") as (hosting, asked, _):
        [host] = hosting.hosts
        async with asyncio.timeout(10):
            while hosting.hosted():
                host.make_room()
                await asyncio.sleep(0)
        assert await hosting.answered(asked, "yes") == "yes"


async def test_a_run_that_begins_to_wait_once_room_is_asked_for_is_parked() -> None:
    async with running("probe", "slowask 300") as (hosting, asked):
        await hosting.status(asked, "running")
        [host] = hosting.hosts
        host.make_room()
        await hosting.prompts(asked)
        async with asyncio.timeout(10):
            while hosting.hosted():  # noqa: ASYNC110 - nobody tells when a host ends
                await asyncio.sleep(0.01)


@pytest.mark.long
@pytest.mark.cluster_only(reason="one process has no bound of hosts")
async def test_a_worker_full_of_runs_that_wait_serves_the_next(new_server: NewServer) -> None:
    server = new_server(worker_options=("--concurrency", "20"))
    for half in range(2):  # one socket does not follow so many
        async with WsClient(server, workflow="probe") as ann:
            for number in range(50):
                await ann.message("ask", conversation_id=f"{half}-{number}")
            for _ in range(50):
                await ann.until("system_interaction_message", 60)
    async with WsClient(server, "c", user="ben", workflow="probe") as ben:
        await ben.message("echo hello")
        await ben.until(lambda frame: frame["content"].get("status") == "completed")
