"""Parking: only what waits for people is put out of memory."""

import asyncio

import pytest

from bench.workflows import probe
from sessions_app.models import Run
from tests.conftest import NewServer
from tests.support.hosting import Hosting
from tests.support.websocket import WsClient

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # importing it declares it


async def test_an_answered_run_that_waits_for_a_place_goes_on_when_there_is_one() -> None:
    async with Hosting("probe", park_after=0.2, max_concurrency=1) as hosting:
        asked = await hosting.submit("ask")
        await hosting.prompts(asked)
        busy = await hosting.submit("slowstream 1 600", conversation="d")
        await hosting.status(busy, "running")
        await hosting.answer("yes")
        assert (await hosting.ended(busy)).status == Run.Status.COMPLETED
        assert (await hosting.ended(asked)).status == Run.Status.COMPLETED
        assert await hosting.output(asked) == "yes"


async def test_a_host_that_is_asked_for_its_place_all_the_time_gives_it() -> None:
    async with Hosting("probe") as hosting:
        asked = await hosting.submit("ask")
        await hosting.prompts(asked)
        [host] = hosting.hosts
        async with asyncio.timeout(10):
            while hosting.hosted():
                host.make_room()
                await asyncio.sleep(0)
        await hosting.answer("yes")
        await hosting.ended(asked)
        assert await hosting.output(asked) == "yes"


async def test_a_run_that_begins_to_wait_once_room_is_asked_for_is_parked() -> None:
    async with Hosting("probe") as hosting:
        asked = await hosting.submit("slowask 300")
        await hosting.status(asked, "running")
        [host] = hosting.hosts
        host.make_room()
        await hosting.prompts(asked)
        async with asyncio.timeout(10):
            while hosting.hosted():  # noqa: ASYNC110 - nobody tells when a host ends
                await asyncio.sleep(0.01)


@pytest.mark.long
@pytest.mark.cluster_only(reason="one process has no bound of hosts")
async def test_a_worker_that_is_full_of_runs_that_wait_serves_the_next(
    new_server: NewServer,
) -> None:
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
