"""Tests of a run's limits: working time, calls, output, and data passed on.

Exceeding a limit raises an error that names the limit.
"""

import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
from pytest_django import Settings

from sessions_app.errors import TooLarge
from sessions_app.models import JournalEntry, Run
from sessions_app.prompts import Option, RadioPrompt
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, asking, problem, running
from tests.support.workflows import probe

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # the import declares the workflow


@pytest.mark.parametrize(
    "work", ["stream(tokens=100, delay=60)", "step(count=1, seconds=3)", "ignore_stop(seconds=60)"]
)
async def test_a_run_that_works_too_long_frees_its_slot(settings: Settings, work: str) -> None:
    set_hitl(settings, MAX_RUN_SECONDS=0.5)
    async with running(Hosting("probe", max_concurrency=1), work) as (hosting, run):
        behind = await hosting.submit('echo("hello")', conversation="d")
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.FAILED
        assert "MAX_RUN_SECONDS" in problem(row)["message"]
        assert (await hosting.until_ended(behind)).status == Run.Status.COMPLETED


@pytest.mark.slow
async def test_waiting_for_people_for_a_slot_and_sleeping_is_no_work(settings: Settings) -> None:
    set_hitl(settings, MAX_RUN_SECONDS=1.5)
    async with running(Hosting("probe", max_concurrency=1), "approve(count=3)") as (hosting, run):
        for number in range(3):
            await hosting.prompts(run)
            busy = await hosting.submit("stream(tokens=1, delay=0.6)", conversation=f"d{number}")
            await hosting.until_status(busy, "running", "completed")
            await hosting.complete(busy, "continue")
        assert (await hosting.until_ended(run)).status == Run.Status.COMPLETED


@pytest.mark.slow
async def test_working_time_between_questions_is_added_up(settings: Settings) -> None:
    set_hitl(settings, MAX_RUN_SECONDS=1)
    async with running("probe", "approve(count=100, delay=0.3)") as (hosting, run):
        for _ in range(3):
            await hosting.prompts(run)
            await hosting.answer("continue")
        assert "MAX_RUN_SECONDS" in problem(await hosting.until_ended(run))["message"]


@workflow(name="t_endless", title="Never ends")
async def endless(message: Message, context: Context) -> str:
    number = 0
    while True:
        number += 1
        with suppress(Exception):
            await context.step(str, "again")
        if message.text == "ask" and number == 3:
            await context.ask(TextPrompt(text="And on?"))


async def test_a_run_that_calls_without_end_is_suspended_and_gone(settings: Settings) -> None:
    set_hitl(settings, MAX_CALLS=20)
    async with Hosting("t_endless", beside=("probe",), max_concurrency=1) as hosting:
        run = await hosting.submit()
        await hosting.until_status(run, Run.Status.SUSPENDED)
        row = await reads.read(Run.objects.get, pk=run)
        assert problem(row)["code"] == "TooManyCalls"
        assert "20 calls" in problem(row)["detail"]
        journal = JournalEntry.objects.filter(run=run, finished_at__isnull=False)
        assert await reads.read(journal.count) == 20
        other = await hosting.submit("ask", conversation="d")
        assert await hosting.prompts(other)


async def test_a_lower_limit_does_not_stop_a_replay(settings: Settings) -> None:
    async with asking("probe", "approve(count=2)") as (hosting, run, _):
        await hosting.answer("continue")
        await hosting.prompts(run)
        set_hitl(settings, MAX_CALLS=1)
        await hosting.complete(run, "continue", restart=True)


@pytest.mark.parametrize("restarted", [False, True])
async def test_output_beyond_the_limit_fails_the_run_and_stays(
    settings: Settings, *, restarted: bool
) -> None:
    """The output of earlier executions counts, too."""
    set_hitl(settings, MAX_OUTPUT=30)
    message = "stream_and_ask(tokens=10)" if restarted else "stream(tokens=1000)"
    async with running("probe", message) as (hosting, run):
        if restarted:
            await hosting.prompts(run)
            await hosting.restart()
            await hosting.answer("x")
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.FAILED
        assert "30 characters" in problem(row)["message"]
        assert "MAX_OUTPUT" in problem(row)["message"]
        assert await hosting.output(run) == "t0 t1 t2 t3 t4 t5 t6 t7 t8 t9 "


MB = 1_000_000


def make(size: int) -> str:
    return "x" * size


def make_many(count: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(count)]


@workflow(name="t_sizes", title="Sizes")
async def sizes(message: Message, context: Context) -> AsyncGenerator[str, None]:
    kind, size = message.text.split()
    number = int(size)
    match kind:
        case "text":
            yield str(len(await context.step(make, number, title="make")))
        case "rows":
            yield str(len(await context.step(make_many, number)))
        case "shown":
            context.show("s", make(number))
        case "details":
            await context.ask(TextPrompt(text="?", details={"d": make(number)}))
        case "labels":
            options = [Option(value=str(n), label=make(number)) for n in range(10)]
            await context.ask(RadioPrompt(text="?", options=options))
        case "prompts":
            await context.ask_all([TextPrompt(text="?")] * number)


@pytest.mark.parametrize(
    ("message", "subject", "setting"),
    [
        ("text 1001", "Step make failed: TooLarge: The result", "MAX_STEP_RESULT"),
        ("rows 400", "Step make_many failed: TooLarge: The result", "MAX_STEP_RESULT"),
        ("shown 1001", "What is to be shown", "MAX_SHOWN"),
        ("details 1001", "The TextPrompt '?'", "MAX_PROMPT"),
        ("labels 100", "The RadioPrompt '?'", "MAX_PROMPT"),
        ("prompts 1001", "What is asked at once", "MAX_PROMPTS_AT_ONCE"),
    ],
)
async def test_an_oversized_value_fails_the_run_with_a_reason(
    settings: Settings, message: str, subject: str, setting: str
) -> None:
    set_hitl(settings, **{setting: 1000})
    async with Hosting("t_sizes") as hosting:
        run = await hosting.until_ended(await hosting.submit(message))
        assert run.status == Run.Status.FAILED
        unit = "prompts" if message.startswith("prompts") else "characters"
        reason = f"{subject} has more than 1,000 {unit}, which is what {setting} in HITL allows."
        assert problem(run)["message"] == reason


@workflow(name="t_shorter", title="Shorter")
async def shorter(message: Message, context: Context) -> AsyncGenerator[str, None]:
    for size in (MB, 1):
        try:
            answer = await context.ask(TextPrompt(text="?", details={"d": make(size)}))
        except TooLarge:
            yield "shorter: "
        else:
            yield answer.text


async def test_a_prompt_that_was_refused_may_be_asked_shorter() -> None:
    """The run must not wait for anything that belongs to the refused prompt."""
    async with asking("t_shorter", "x") as (hosting, run, _):
        assert await hosting.complete(run, "a", restart=True) == "shorter: a"


async def test_a_step_shows_as_much_as_people_may_see_and_keeps_all() -> None:
    size = RuntimeSettings().MAX_SHOWN + 5
    async with running("t_sizes", f"text {size}") as (hosting, run):
        await hosting.until_ended(run)
        *_, step = [e for e in await hosting.events() if e.type == "step"]
        assert step.payload["payload"].endswith("x\n\n… and 5 characters more.")
        assert await hosting.output(run) == str(size)


async def test_a_large_result_is_not_copied_to_be_refused() -> None:
    async with Hosting("t_sizes") as hosting:
        tracemalloc.start()
        await hosting.until_ended(await hosting.submit(f"text {50 * MB}"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 60 * MB
