"""Runs that wait are replayed after a start: who looks learns before anybody answers."""

from datetime import timedelta
from typing import Any

import pytest
import structlog
from django.utils import timezone

from sessions_app.admin.overview import overview
from sessions_app.hosting.lease import this_process
from sessions_app.models import Process, Run
from sessions_app.replay import replay_check
from sessions_app.replay.replay_check import check_waiting_runs
from sessions_app.storage import reads
from sessions_app.workflows import Context, TextPrompt
from tests.runtime.replay.deployed import deploy, deployed, executed, other, work
from tests.support.hosting import asking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_check, "PAUSE", 0)


async def before(context: Context) -> str:
    await context.step(work, "a")
    return (await context.ask(TextPrompt(text="?"))).text


async def after(context: Context) -> str:
    await context.step(other, "a")
    return (await context.ask(TextPrompt(text="?"))).text


async def problem_of(run: Any) -> str:
    row = await reads.read(Run.objects.get, pk=run)
    assert row.status == Run.Status.WAITING
    return row.replay_problem


async def check() -> list[dict[str, Any]]:
    """Returns what it logs as errors."""
    with structlog.testing.capture_logs() as logs:
        await check_waiting_runs()
    return [dict(line) for line in logs if line["log_level"] == "error"]


async def test_a_run_that_the_code_no_longer_matches_is_found_while_it_waits() -> None:
    async with asking(deployed(before)) as (hosting, run, asked):
        assert await check() == []
        assert await problem_of(run) == ""
        deploy(after)
        await hosting.restart()
        [line] = await check()
        assert (line["event"], line["run"]) == ("run.mismatch_waits", str(run))
        assert "the name was 'work' and is 'other' now" in await problem_of(run)
        assert (await reads.read(overview))["mismatches"] == 1

        deploy(before)
        await hosting.restart()
        assert await check() == []
        assert await problem_of(run) == ""
        assert (await reads.read(overview))["mismatches"] == 0
        await hosting.answered(run, "yes", asked)
        assert executed == ["a"]


async def test_all_are_checked_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_check, "AT_ONCE", 2)
    async with deployed(before) as hosting:
        waiting = [await hosting.submit(conversation=f"c{number}") for number in range(5)]
        for run in waiting:
            await hosting.prompts(run)
        deploy(after)
        await hosting.restart()
        first, *others = await check()
        assert {first["run"], *(line["run"] for line in others)} == {str(run) for run in waiting}
        assert "the name was 'work' and is 'other' now" in first["error"]
        assert all(line["same_as"] == first["run"] and "error" not in line for line in others)


async def test_of_several_processes_the_last_that_was_started_checks() -> None:
    async with deployed(before) as hosting:
        await hosting.prompts(await hosting.submit())
        deploy(after)
        await hosting.restart()
        await reads.read(process, this_process(), timezone.now())
        await reads.read(process, "worker:newer", timezone.now() + timedelta(seconds=1))
        assert await check() == []
        await reads.read(Process.objects.filter(name="worker:newer").delete)
        await reads.read(process, "worker:older", timezone.now() - timedelta(hours=1))
        assert len(await check()) == 1


def process(name: str, started_at: Any) -> None:
    Process.objects.create(
        name=name, kind=Process.Kind.BOTH, started_at=started_at, last_seen=timezone.now()
    )
