"""Tests of parking (only runs that wait for people leave memory), and of a worker's slots."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import pytest
import time_machine
from django.utils import timezone

from sessions_app.lifecycle import due
from sessions_app.models import Run
from sessions_app.storage.writer import writer
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.conftest import NewServer
from tests.support.hosting import Hosting, asking, running, until_true
from tests.support.websocket import WsClient
from tests.support.workflows import probe

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # the import declares the workflow

QUEUED = "SELECT 1 FROM sessions_app_run WHERE status = 'queued'"


async def test_an_answered_run_that_waits_for_a_place_goes_on_when_there_is_one() -> None:
    async with Hosting("probe", park_after=0.2, max_concurrency=1) as hosting:
        run, _ = await hosting.submit_until_prompt("ask()")
        busy = await hosting.submit("stream(tokens=1, delay=0.6)", conversation="d")
        await hosting.until_status(busy, "running", "completed")
        await hosting.complete(busy, "yes")
        assert await hosting.result(run) == "yes"


async def test_a_host_that_is_asked_for_its_place_all_the_time_gives_it() -> None:
    async with asking("probe", "ask()") as (hosting, run, _):
        [host] = hosting.hosts
        async with asyncio.timeout(10):
            while hosting.hosted():
                host.evict_waiting_runs()
                await asyncio.sleep(0)
        assert await hosting.complete(run, "yes") == "yes"


async def test_a_run_that_begins_to_wait_once_room_is_asked_for_is_parked() -> None:
    async with running("probe", "ask(delay=0.3)") as (hosting, run):
        await hosting.until_status(run, "running")
        [host] = hosting.hosts
        host.evict_waiting_runs()
        await hosting.prompts(run)
        await hosting.without_hosts()


@pytest.mark.slow
@pytest.mark.cluster_only(reason="one process has no bound of hosts")
async def test_a_worker_full_of_runs_that_wait_serves_the_next(new_server: NewServer) -> None:
    server = new_server(worker_options=("--concurrency", "20"))
    for half in range(2):  # one socket follows fewer conversations than needed
        async with WsClient(server, workflow="probe") as ann:
            for number in range(50):
                await ann.message("ask()", conversation_id=f"{half}-{number}")
            for _ in range(50):
                await ann.until("system_interaction_message", 60)
    async with WsClient(server, "c", user="ben", workflow="probe") as ben:
        await ben.message('echo("hello")')
        await ben.until_ended("completed")


@workflow(name="six_at_once", title="Six at once")
async def six_at_once(message: Message, context: Context) -> str:
    answers = await context.ask_all([TextPrompt(text=f"{number}?") for number in range(6)])
    return "|".join(answer.text for answer in answers)


async def test_each_of_many_answers_may_bring_a_run_back_only_to_wait_for_the_next() -> None:
    async with running(Hosting("six_at_once", park_after=0.02)) as (hosting, run):
        for number, prompt in enumerate(await hosting.prompts(run, 6)):
            await hosting.until_status(run, Run.Status.WAITING)  # parked again
            await hosting.answer_any(str(number), prompt)
        assert await hosting.result(run) == "0|1|2|3|4|5"


@pytest.mark.slow
@pytest.mark.cluster_only("one process has a place for every conversation")
async def test_a_second_user_gets_the_next_that_is_free(new_server: NewServer) -> None:
    server = new_server(worker_options=("--concurrency", "2"))
    async with AsyncExitStack() as stack:
        for number in range(12):
            ann = await stack.enter_async_context(WsClient(server, f"c{number}", workflow="probe"))
            await ann.message("stream(tokens=10, delay=0.5)")
            await ann.until("ack_message")
        ben = await stack.enter_async_context(WsClient(server, "b", user="ben", workflow="probe"))
        await ben.message('echo("hello")')
        await ben.until_ended("completed")
        assert len(server.rows(QUEUED)) >= 5  # the runs of ann


woken: list[int] = []


@workflow(name="t_two_sleeps", title="Sleeps twice at once")
async def two_sleeps(message: Message, context: Context) -> str:
    async def sleep(minutes: int) -> None:
        await context.sleep(minutes * 60)
        await context.step(woken.append, minutes)

    beside = [context.ask(TextPrompt(text="Name?"))] if message.text == "ask" else []
    await context.gather(sleep(20), sleep(10), *beside)
    return "both"


@pytest.mark.parametrize("text", ["go", "ask"])
async def test_the_shorter_of_two_sleeps_wakes_the_run(text: str) -> None:
    woken.clear()
    async with running(Hosting("t_two_sleeps", park_after=0.01), text) as (hosting, run):
        await hosting.until_status(run, "waiting")
        await until_true(lambda: not hosting.hosts.run(str(run)))
        first_sleep = await Run.objects.aget(pk=run)
        with time_machine.travel(timezone.now() + timedelta(minutes=15), tick=True):
            await hosting.settle_due()
            await until_true(lambda: woken == [10])
            await hosting.until_status(run, "waiting")
            # A late call, as from another process that saw the first sleep when it was due.
            await writer.write(partial(due.wake_run, run=first_sleep))
            assert (await Run.objects.aget(pk=run)).status == "waiting"
