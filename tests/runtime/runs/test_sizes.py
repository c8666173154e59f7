"""What a workflow hands over has limits: one that is passed is an error that names it."""

import tracemalloc
from collections.abc import AsyncGenerator

import pytest
from pytest_django import Settings

from sessions_app.errors import TooLarge
from sessions_app.models import Run
from sessions_app.prompts import Option, RadioPrompt
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, asking, problem, running

pytestmark = pytest.mark.django_db(transaction=True)

MB = 1_000_000


def make(size: int) -> str:
    return "x" * size


def make_many(count: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(count)]


@workflow(name="t_sizes", title="Sizes")
async def sizes(message: Message, context: Context) -> AsyncGenerator[str, None]:
    what, size = message.text.split()
    number = int(size)
    match what:
        case "text":
            made = await context.step(make, number, title="make")
            yield str(len(made))
        case "rows":
            rows = await context.step(make_many, number)
            yield str(len(rows))
        case "shown":
            context.show("s", make(number))
        case "details":
            yield (await context.ask(TextPrompt(text="?", details={"d": make(number)}))).text
        case "labels":
            options = [Option(value=str(n), label=make(number)) for n in range(10)]
            yield (await context.ask(RadioPrompt(text="?", options=options))).value
        case "prompts":
            answers = await context.ask_all([TextPrompt(text="?")] * number)
            yield str(len(answers))


@pytest.mark.parametrize(
    ("message", "what", "setting"),
    [
        ("text 1001", "Step make failed: TooLarge: The result", "MAX_STEP_RESULT"),
        ("rows 400", "Step make_many failed: TooLarge: The result", "MAX_STEP_RESULT"),
        ("shown 1001", "What is to be shown", "MAX_SHOWN"),
        ("details 1001", "The TextPrompt '?'", "MAX_PROMPT"),
        ("labels 100", "The RadioPrompt '?'", "MAX_PROMPT"),
        ("prompts 1001", "What is asked at once", "MAX_PROMPTS_AT_ONCE"),
    ],
)
async def test_what_is_too_large_fails_the_run_with_a_reason(
    settings: Settings, message: str, what: str, setting: str
) -> None:
    set_hitl(settings, **{setting: 1000})
    async with Hosting("t_sizes") as hosting:
        run = await hosting.ended(await hosting.submit(message))
        assert run.status == Run.Status.FAILED
        unit = "prompts" if message.startswith("prompts") else "characters"
        reason = f"{what} has more than 1,000 {unit}, which is what {setting} in HITL allows."
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
    """Nothing of the refused one is left for the run to wait for."""
    async with asking("t_shorter", "x") as (hosting, run, _):
        assert await hosting.answered(run, "a", restart=True) == "shorter: a"


async def test_a_step_shows_as_much_as_people_may_see_and_keeps_all() -> None:
    size = RuntimeSettings().MAX_SHOWN + 5
    async with running("t_sizes", f"text {size}") as (hosting, run):
        await hosting.ended(run)
        *_, step = [e for e in await hosting.events() if e.type == "step"]
        assert step.payload["payload"].endswith("x\n\n… and 5 characters more.")
        assert await hosting.output(run) == str(size)


async def test_a_large_result_is_not_copied_to_be_refused() -> None:
    async with Hosting("t_sizes") as hosting:
        tracemalloc.start()
        await hosting.ended(await hosting.submit(f"text {50 * MB}"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 60 * MB
