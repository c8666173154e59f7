"""How long a run may work, and how much it may put out."""

import pytest
from pytest_django import Settings

from bench.workflows import probe
from sessions_app.models import Run
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, problem

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # importing it declares it


@pytest.mark.parametrize("work", ["slowstream 100 60000", "step 1 3000", "caught 60000"])
async def test_a_run_that_works_for_too_long_fails_and_its_slot_is_free(
    settings: Settings, work: str
) -> None:
    set_hitl(settings, MAX_RUN_SECONDS=0.5)
    async with Hosting("probe", max_concurrency=1) as hosting:
        run = await hosting.submit(work)
        behind = await hosting.submit("echo hello", conversation="d")
        ended = await hosting.ended(run)
        assert ended.status == Run.Status.FAILED
        assert "MAX_RUN_SECONDS" in problem(ended)["message"]
        assert (await hosting.ended(behind)).status == Run.Status.COMPLETED


async def test_waiting_for_people_for_a_slot_and_sleeping_is_no_work(settings: Settings) -> None:
    set_hitl(settings, MAX_RUN_SECONDS=1)
    async with Hosting("probe", max_concurrency=1) as hosting:
        asked = await hosting.submit("approve 3")
        for number in range(3):
            await hosting.prompts(asked)
            busy = await hosting.submit("slowstream 1 600", conversation=f"d{number}")
            await hosting.status(busy, "running")
            await hosting.answer("continue")
            assert (await hosting.ended(busy)).status == Run.Status.COMPLETED
        assert (await hosting.ended(asked)).status == Run.Status.COMPLETED


async def test_what_was_worked_between_questions_is_added_up(settings: Settings) -> None:
    set_hitl(settings, MAX_RUN_SECONDS=1)
    async with Hosting("probe") as hosting:
        run = await hosting.submit("slowapprove 100 300")
        for _ in range(3):
            await hosting.prompts(run)
            await hosting.answer("continue")
        assert "MAX_RUN_SECONDS" in problem(await hosting.ended(run))["message"]


async def test_output_beyond_the_limit_fails_the_run_and_what_was_put_out_stays(
    settings: Settings,
) -> None:
    set_hitl(settings, MAX_OUTPUT=30)
    async with Hosting("probe") as hosting:
        run = await hosting.submit("stream 1000")
        ended = await hosting.ended(run)
        assert ended.status == Run.Status.FAILED
        assert "30 characters" in problem(ended)["message"]
        assert "MAX_OUTPUT" in problem(ended)["message"]
        assert await hosting.output(run) == "t0 t1 t2 t3 t4 t5 t6 t7 t8 t9 "


async def test_output_of_an_earlier_execution_counts(settings: Settings) -> None:
    set_hitl(settings, MAX_OUTPUT=30)
    async with Hosting("probe") as hosting:
        run = await hosting.submit("textask 10")  # 30 characters
        await hosting.prompts(run)
        await hosting.restart()
        await hosting.answer("x")
        assert "MAX_OUTPUT" in problem(await hosting.ended(run))["message"]
