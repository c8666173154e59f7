"""Tests of steps: timeouts, threads after a timeout, and steps that nobody awaits."""

import asyncio
import gc
import subprocess
import sys
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from sessions_app.models import JournalEntry, Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Retry, StepFailed, TextPrompt
from tests.runtime.replay.deployed import Body, host_code
from tests.support.hosting import asking, problem, running, until, until_true
from tests.support.processes.environment import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

tries: list[str] = []


async def waits(seconds: float) -> str:
    tries.append("waits")
    await asyncio.sleep(seconds)
    return "there"


def blocks(seconds: float) -> str:
    tries.append("blocks")
    time.sleep(seconds)
    return "there"


async def stutters() -> AsyncIterator[str]:
    tries.append("stutters")
    yield "so "
    await asyncio.sleep(600)


@pytest.mark.slow
@pytest.mark.parametrize("step", [waits, blocks])
async def test_a_step_that_takes_long_is_tried_again(step: Callable[..., Any]) -> None:
    async def impatient(context: Context) -> str:
        try:
            # Time enough for a thread to begin the step, even on a busy machine.
            return await context.step(step, 5, timeout=0.5, retry=Retry(attempts=2, wait=0))
        except StepFailed as error:
            return f"{error} {(await context.ask(TextPrompt(text='?'))).text}"

    tries.clear()
    async with asking(host_code(impatient)) as (hosting, run, _):
        await hosting.complete(run, "yes", restart=True)
        why = "TimeoutError: it took longer than its timeout of 0.5 s"
        assert await hosting.output(run) == f"Step {step.__name__} failed: {why} yes"
        recorded_step = await reads.read(lambda: JournalEntry.objects.get(run=run, kind="step"))
    assert len(tries) == recorded_step.attempts == 2


def slow_elsewhere() -> str:
    raise TimeoutError("the shop does not answer")


async def test_a_timeout_of_the_steps_own_keeps_its_words() -> None:
    async def patient(context: Context) -> str:
        try:
            return await context.step(slow_elsewhere, timeout=60)
        except StepFailed as error:
            return str(error)

    async with host_code(patient) as hosting:
        assert (await hosting.reply_to()).endswith("TimeoutError: the shop does not answer")


async def test_a_stream_that_takes_too_long_fails_with_what_it_gave() -> None:
    async def impatient(context: Context) -> str:
        try:
            return "".join([piece async for piece in context.stream(stutters, timeout=0.1)])
        except StepFailed as error:
            return f"far: {error.error_type}"

    tries.clear()
    async with host_code(impatient) as hosting:
        assert await hosting.reply_to() == "so far: TimeoutError"


async def test_threads_that_nobody_waits_for_take_no_place_from_others() -> None:
    async def many(context: Context) -> str:
        hung = [context.step(blocks, 3, timeout=0.05) for _ in range(64)]
        errors = await asyncio.gather(*hung, return_exceptions=True)
        return f"{len(errors)} {await context.step(blocks, 0)}"

    async with host_code(many) as hosting:
        assert await hosting.reply_to() == "64 there"


def count(numbers: Iterator[int], *, words: Iterator[str]) -> str:
    return f"{sum(numbers)} {' '.join(words)}"


async def test_a_step_gets_all_of_what_can_be_read_only_once() -> None:
    async def counts(context: Context) -> str:
        doubled_numbers = (2 * number for number in range(3))
        return await context.step(count, doubled_numbers, words=map(str.upper, "ab"))

    async with host_code(counts) as hosting:
        assert await hosting.reply_to() == "6 A B"


def exits() -> str:
    raise SystemExit("usage: exits")  # as argument parsers do


async def exits_itself() -> str:
    return exits()


@pytest.mark.parametrize("step", [exits, exits_itself])
async def test_a_step_that_would_end_the_process_fails(step: Callable[..., Any]) -> None:
    async def tries_both(context: Context) -> str:
        calls = context.step(step), context.step(str, 1)
        return str(await context.gather(*calls, return_exceptions=True))

    async with host_code(tries_both) as hosting:
        expected_error = f"StepFailed('Step {step.__name__} failed: SystemExit: usage: exits')"
        assert await hosting.reply_to() == f"[{expected_error}, '1']"


async def test_a_workflow_that_would_end_the_process_fails() -> None:
    async def gathers(context: Context) -> str:
        return str(await context.gather(exits_itself()))

    async with host_code(gathers) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert problem(run)["message"] == "The workflow raised SystemExit."


@pytest.mark.slow
async def test_a_run_that_is_over_is_not_kept_by_its_own_functions() -> None:
    kept: list[weakref.ref[Any]] = []

    async def uses(context: Context) -> str:
        data = asyncio.Event()  # stands for any object that the run holds in memory
        kept.append(weakref.ref(data))

        def is_set() -> bool:
            return data.is_set()

        return str(await context.step(is_set, title="Look"))

    async with host_code(uses) as hosting:
        assert await hosting.reply_to() == "False"
        await until_true(lambda: gc.collect() is not None and kept[0]() is None)


async def test_steps_side_by_side_all_end_before_their_process_stops() -> None:
    begun: list[str] = []
    may_end = {"first": asyncio.Event(), "second": asyncio.Event()}

    async def begin(name: str) -> str:
        begun.append(name)
        await may_end[name].wait()
        return name

    async def both(context: Context) -> str:
        step: Callable[..., Any] = begin
        return " ".join(await context.gather(*(context.step(step, name) for name in may_end)))

    async with running(host_code(both)) as (hosting, run):
        await until_true(lambda: len(begun) == 2)
        hosts = hosting.hosts
        restarting = asyncio.create_task(hosting.restart())
        await until_true(lambda: hosts.stopping)
        may_end["first"].set()
        await until(JournalEntry.objects.filter(run=run, finished_at__isnull=False).exists)
        may_end["second"].set()
        await restarting
        assert await hosting.result(run) == "first second"
    assert begun == ["first", "second"]


@pytest.mark.slow
async def test_the_time_of_a_step_begins_when_it_has_a_thread() -> None:
    # Sixteen steps run at the same time: the last begin after 1.5 s, and end after 2 s.
    async def many(context: Context) -> str:
        results = await context.gather(*(context.step(blocks, 0.5, timeout=1.9) for _ in range(64)))
        return str(len(results))

    async with host_code(many) as hosting:
        assert await hosting.reply_to() == "64"


HANGS = """
import asyncio, time, django
django.setup()
from sessions_app.workflows.steps import execute
async def main():
    try:
        await execute(lambda: time.sleep(600), None, 0.1)
    except TimeoutError:
        print("gave up")
asyncio.run(main())
"""


@pytest.mark.slow
def test_a_thread_that_outlives_its_step_does_not_keep_the_process() -> None:
    process = subprocess.run(
        [sys.executable, "-c", HANGS], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert process.stdout.strip() == b"gave up"


async def forgets_a_step(context: Context) -> str:
    context.step(str, 0)  # type: ignore[unused-coroutine]  # the mistake that is made here
    return "done"


async def forgets_to_ask(context: Context) -> str:
    answer: Any = context.ask(TextPrompt(text="Really?"))
    return str(answer.text)


async def forgets_to_sleep(context: Context) -> str:
    context.sleep(3)  # type: ignore[unused-coroutine]  # as above
    return "done"


@pytest.mark.parametrize(
    ("forgets", "expected_error"),
    [
        (forgets_a_step, "Step str was never awaited"),
        (forgets_to_ask, "The question 'Really?' was never awaited"),
        (forgets_to_sleep, "The sleep of 3 s was never awaited"),
    ],
)
async def test_a_call_that_nobody_awaits_is_an_error_of_the_run(
    forgets: Body, expected_error: str
) -> None:
    async with host_code(forgets) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert run.status == Run.Status.FAILED
        assert problem(run)["message"].startswith(expected_error)
