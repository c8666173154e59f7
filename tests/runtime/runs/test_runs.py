"""Tests of a run from its message to its end: output, steps, prompts, replay."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from django.utils import timezone

from sessions_app.models import Event, Interaction
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Message,
    PromptExpired,
    Retry,
    StepFailed,
    TextPrompt,
    WorkflowError,
    workflow,
)
from tests.support.hosting import Hosting, asking, output, problem, running, until

pytestmark = pytest.mark.django_db(transaction=True)

executed: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_executed() -> None:
    executed.clear()


def note(text: str) -> str:
    executed.append(text)
    return text.upper()


@workflow(name="t_story", title="Story")
async def story(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield "one "
    first = await context.step(note, "a")
    yield f"{first} "
    answer = await context.ask(TextPrompt(text="Name?"))
    yield f"{answer.text} by {answer.by} "
    last = await context.step(note, "b", title="Work")
    yield last


async def test_text_steps_and_answers_come_in_order_and_the_log_has_no_gap() -> None:
    async with asking("t_story") as (hosting, run, _):
        assert (await hosting.answer("Eve")).outcome == "accepted"
        assert await hosting.result(run) == "one A Eve by ann B"
        events = await hosting.events()
        at = 1
        for event in events:
            assert event.first_sequence == at
            at = event.sequence + 1
        assert events[-1].payload["status"] == "completed"
        assert [e.kind for e in await hosting.journal(run)] == ["step", "step"]


async def test_a_waiting_run_comes_back_after_a_restart_and_repeats_nothing() -> None:
    async with asking("t_story") as (hosting, run, _):
        await hosting.restart()
        assert executed == ["a"]
        assert await hosting.complete(run, "Eve") == "one A Eve by ann B"
        assert executed == ["a", "b"]
        resumed = [e.payload for e in await hosting.events() if "replayed" in e.payload]
        assert [payload["replayed"] for payload in resumed] == [2]


def fail_with_notes() -> None:
    error = ValueError("No room")
    for where in ("in the hall", "at the desk"):
        error.add_note(f"asked {where}")
    raise error


def fail_for_people() -> None:
    raise WorkflowError("The room is taken.")


@workflow(name="t_noted", title="Fails with notes")
async def noted(message: Message, context: Context) -> None:
    step = fail_for_people if message.text == "taken" else fail_with_notes
    await context.step(step, title="Find a room")


async def test_people_read_the_message_of_a_workflow_error_in_a_step() -> None:
    async with running("t_noted", "taken") as (hosting, run):
        error = problem(await hosting.until_ended(run))
        said = "Step fail_for_people failed: WorkflowError: The room is taken."
        assert error["message"] == said
        payloads = [event.payload for event in await hosting.events()]
        [step] = [one for one in payloads if one.get("state") == "failed"]
        assert step["payload"] == "The room is taken."


async def test_the_message_and_notes_of_an_exception_are_for_operators_alone() -> None:
    async with running("t_noted") as (hosting, run):
        error = problem(await hosting.until_ended(run))
        assert error["message"] == "Step fail_with_notes failed: ValueError."
        assert "ValueError: No room asked in the hall asked at the desk" in error["detail"]
        [notes] = [one.error["notes"] for one in await hosting.journal(run) if one.error]
        assert notes == ["asked in the hall", "asked at the desk"]
        payloads = [event.payload for event in await hosting.events()]
        [step] = [one for one in payloads if one.get("state") == "failed"]
        assert (step["name"], step["payload"]) == ("Find a room", "It raised ValueError.")
        assert "No room" not in str(payloads)
        assert "asked" not in str(payloads)


@workflow(name="t_cut", title="Cut")
async def cut(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield "before "
    await context.step(note, "a")
    for n in range(100):
        yield f"{message.text}{n} "
        if n == 50 and not executed[1:]:
            executed.append("stuck")
            await asyncio.Event().wait()


async def test_text_cut_by_a_restart_goes_on_where_it_was_cut() -> None:
    async with running("t_cut", "w") as (hosting, run):
        whole = "before " + "".join(f"w{n} " for n in range(100))
        half = whole[: whole.index("w51")]
        await until(lambda: executed[1:] == ["stuck"])
        await until(lambda: output(run) == half)
        await hosting.restart()
        assert await hosting.result(run) == whole
        assert not [e for e in await hosting.events() if e.type == "restart"]
        assert executed == ["a", "stuck"]


@workflow(name="t_many", title="Many")
async def many(message: Message, context: Context) -> AsyncGenerator[str, None]:
    answers = await context.ask_all([TextPrompt(text=f"q{n}") for n in range(3)])
    yield ",".join(answer.text for answer in answers)


async def test_several_prompts_are_answered_in_any_order_before_and_after_a_restart() -> None:
    async with running("t_many") as (hosting, run):
        first, second, third = await hosting.prompts(run, 3)
        await hosting.answer("a2", third)
        await hosting.restart()
        await hosting.answer("a1", second)
        # The run is in memory with one or two answers, and waits there for the remaining one.
        await until(Event.objects.filter(run=run, payload__replayed__gte=1).exists)
        await hosting.answer("a0", first)
        assert await hosting.result(run) == "a0,a1,a2"


tries: list[int] = []


def flaky(limit: int) -> int:
    tries.append(1)
    if len(tries) < limit:
        raise OSError("not yet")
    return len(tries)


@workflow(name="t_retry", title="Retry")
async def retrying(message: Message, context: Context) -> AsyncGenerator[str, None]:
    on = (ValueError,) if message.text.endswith("refused") else (OSError,)
    retry = Retry(attempts=3, wait=0, on=on)
    try:
        count = await context.step(flaky, int(message.text.split()[0]), retry=retry)
    except StepFailed as error:
        yield f"failed {error.error_type}"
    else:
        yield f"took {count}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("message_text", "text", "attempts"),
    [("3", "took 3", 3), ("4", "failed OSError", 3), ("3 refused", "failed OSError", 1)],
)
async def test_a_step_is_retried_and_its_failure_is_its_own_error(
    message_text: str, text: str, attempts: int
) -> None:
    """Retries follow only errors named by `Retry.on`: a refused payment is not repeated."""
    tries.clear()
    async with Hosting("t_retry") as hosting:
        assert await hosting.reply_to(message_text) == text
    assert len(tries) == attempts


@workflow(name="t_deadline", title="Deadline")
async def deadline(message: Message, context: Context) -> AsyncGenerator[str, None]:
    default = "no" if message.text == "default" else None
    prompt = BinaryPrompt(text="Go?", options=["yes", "no"], timeout=0.05, default=default)
    try:
        answer = await context.ask(prompt)
        yield f"{answer.value} {answer.is_default}"
    except PromptExpired:
        yield "expired"


@pytest.mark.parametrize(("text", "expected_text"), [("default", "no True"), ("none", "expired")])
@pytest.mark.parametrize("down", [False, True])
async def test_a_deadline_settles_with_the_default(
    text: str, expected_text: str, down: bool
) -> None:
    async with asking("t_deadline", text) as (hosting, run, prompt):
        if down:
            await hosting.stop()
        mine = Interaction.objects.filter(pk=prompt.pk)
        await until(lambda: mine.filter(expires_at__lt=timezone.now()).exists())
        if down:
            await hosting.start()
        await hosting.settle_due()
        assert await hosting.result(run) == expected_text
        prompt = await until(mine.get)
        assert (prompt.status, prompt.answered_via) == ("expired", "deadline")
        assert (await hosting.answer("yes", prompt)).outcome == "expired"


@workflow(name="t_sleep", title="Sleep")
async def sleeper(message: Message, context: Context) -> AsyncGenerator[str, None]:
    began = context.now()
    number = context.random()
    await context.sleep(0.3)
    answer = await context.ask(TextPrompt(text="?"))
    yield f"{answer.text} {(context.now() - began).total_seconds() >= 0.3} {number}"


async def test_a_durable_sleep_time_and_chance_replay_the_same() -> None:
    async with running(Hosting("t_sleep", park_after=0.05)) as (hosting, run):
        await hosting.until_status(run, "waiting")
        await hosting.restart()
        async with asyncio.timeout(10):
            while not await hosting.count_prompts(run):
                await hosting.settle_due()
        await hosting.answer("x")
        await hosting.until_ended(run)
        number = next(e.result for e in await hosting.journal(run) if e.kind == "random")
        assert await hosting.output(run) == f"x True {number}"
