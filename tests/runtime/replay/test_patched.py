"""`context.patched`: new calls in the code of runs that wait."""

import asyncio

import pytest

from sessions_app.models import Run
from sessions_app.workflows import Context, TextPrompt
from tests.runtime.replay.deployed import Body, deploy, deployed, executed, other, work
from tests.support.hosting import asking, running
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)


async def before(context: Context) -> str:
    await context.step(work, "a")
    await context.ask(TextPrompt(text="first"))
    await context.step(work, "b")
    return (await context.ask(TextPrompt(text="second"))).text


async def after(context: Context) -> str:
    if context.patched("book first"):
        await context.step(other, "new")
    await context.step(work, "a")
    await context.ask(TextPrompt(text="first"))
    if context.patched("book later"):
        await context.step(other, "later")
    await context.step(work, "b")
    return (await context.ask(TextPrompt(text="second"))).text


async def cleaned_up(context: Context) -> str:
    """As `after`, with no run left that went by before it."""
    await context.step(other, "new")
    await context.step(work, "a")
    await context.ask(TextPrompt(text="first"))
    await context.step(other, "later")
    await context.step(work, "b")
    return (await context.ask(TextPrompt(text="second"))).text


async def through(*codes: Body) -> tuple[Run, list[str]]:
    """A run of the first code; the others are deployed before an answer each."""
    async with running(deployed(codes[0])) as (hosting, run):
        for code in codes[1:]:
            [prompt] = await hosting.prompts(run)
            deploy(code)
            await hosting.restart()
            await hosting.answer("yes", prompt)
        return await hosting.ended(run), list(executed)


async def test_runs_that_went_by_before_go_on_without_it_and_others_have_it() -> None:
    run, steps = await through(before, after, after)
    assert (run.status, steps) == (Run.Status.COMPLETED, ["a", "later", "b"])
    run, steps = await through(after, after, after)
    assert (run.status, steps) == (Run.Status.COMPLETED, ["new", "a", "later", "b"])


async def test_a_run_that_waits_behind_both_has_neither() -> None:
    async with asking(deployed(before)) as (hosting, run, first):
        await hosting.answer("yes", first)
        [second] = await hosting.prompts(run)
        deploy(after)
        await hosting.answered(run, "yes", second, restart=True)
        assert executed == ["a", "b"]


async def test_once_all_runs_have_it_the_question_goes_without_harm() -> None:
    run, steps = await through(after, after, cleaned_up)
    assert (run.status, steps) == (Run.Status.COMPLETED, ["new", "a", "later", "b"])
    run, steps = await through(before, after, cleaned_up)
    assert (run.status, steps) == (Run.Status.SUSPENDED, ["a", "later", "b"])


async def test_in_a_loop_a_run_has_it_in_each_turn_or_in_none() -> None:
    async def old(context: Context) -> str:
        for number in range(3):
            await context.ask(TextPrompt(text=f"{number}"))
        return "done"

    async def new(context: Context) -> str:
        for number in range(3):
            if context.patched("work in each turn"):
                await context.step(work, f"{number}")
            await context.ask(TextPrompt(text=f"{number}"))
        return "done"

    run, steps = await through(old, new, new, new)
    assert (run.status, steps) == (Run.Status.COMPLETED, [])
    run, steps = await through(new, new, new, new)
    assert (run.status, steps) == (Run.Status.COMPLETED, ["0", "1", "2"])


async def test_the_same_change_at_an_earlier_place_comes_too_late_for_a_run() -> None:
    async def earlier(context: Context) -> str:
        if context.patched("book later"):
            await context.step(other, "earlier")
        return await after(context)

    run, steps = await through(before, after, earlier)
    assert (run.status, steps) == (Run.Status.COMPLETED, ["a", "later", "b"])


async def test_calls_at_once_are_no_obstacle() -> None:
    async def many(context: Context) -> str:
        async def one(number: int) -> None:
            if context.patched(f"part {number}"):
                await context.step(work, f"{number}")

        await asyncio.gather(*map(one, range(3)))
        return (await context.ask(TextPrompt(text="?"))).text

    run, steps = await through(many, many)
    assert (run.status, sorted(steps)) == (Run.Status.COMPLETED, ["0", "1", "2"])


async def test_a_script_has_every_change() -> None:
    deploy(after)
    executed.clear()

    async def answer(_: object) -> str:
        return "yes"

    assert await in_script("t_deployed", "go", user_input_callback=answer) == "yes"
    assert executed == ["new", "a", "later", "b"]
