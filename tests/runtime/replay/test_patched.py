"""Tests of `context.patched`, which adds calls to the code of waiting runs."""

import asyncio

import pytest

from sessions_app.models import Run
from sessions_app.workflows import Context, TextPrompt
from tests.runtime.replay.deployed import Body, deploy, executed, host_code, other, work
from tests.support.hosting import running
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
    """Do the same as `after`, without the patch check, as if no run without the patch were left."""
    await context.step(other, "new")
    await context.step(work, "a")
    await context.ask(TextPrompt(text="first"))
    await context.step(other, "later")
    await context.step(work, "b")
    return (await context.ask(TextPrompt(text="second"))).text


async def earlier(context: Context) -> str:
    """Do the same as `after`, with one of its patches at an earlier place, too."""
    if context.patched("book later"):
        await context.step(other, "earlier")
    return await after(context)


async def loops(context: Context) -> str:
    for number in range(3):
        await context.ask(TextPrompt(text=f"{number}"))
    return "done"


async def loops_with_work(context: Context) -> str:
    for number in range(3):
        if context.patched("work in each turn"):
            await context.step(work, f"{number}")
        await context.ask(TextPrompt(text=f"{number}"))
    return "done"


async def at_once(context: Context) -> str:
    async def one(number: int) -> None:
        if context.patched(f"part {number}"):
            await context.step(work, f"{number}")

    await asyncio.gather(*map(one, range(3)))
    return (await context.ask(TextPrompt(text="?"))).text


async def through(*codes: Body) -> tuple[Run, list[str]]:
    """Return a run that began with the first code, and got each further code before an answer."""
    async with running(host_code(codes[0])) as (hosting, run):
        for code in codes[1:]:
            [prompt] = await hosting.prompts(run)
            deploy(code)
            await hosting.restart()
            await hosting.answer("yes", prompt)
        return await hosting.until_ended(run), list(executed)


@pytest.mark.parametrize(
    ("codes", "ends", "steps"),
    [
        # Runs that had passed the place of the patch continue without the new call; others make the
        # call.
        ((before, after, after), "completed", ["a", "later", "b"]),
        ((after, after, after), "completed", ["new", "a", "later", "b"]),
        ((before, before, after), "completed", ["a", "b"]),
        # Once all runs have the patch, the call of `patched` can be removed; earlier removal is a
        # mismatch.
        ((after, after, cleaned_up), "completed", ["new", "a", "later", "b"]),
        ((before, after, cleaned_up), "suspended", ["a", "later", "b"]),
        # A patch at an earlier place comes too late for a run that has passed that place.
        ((before, after, earlier), "completed", ["a", "later", "b"]),
        # In a loop, a patch applies to all iterations or to none.
        ((loops, *[loops_with_work] * 3), "completed", []),
        ((*[loops_with_work] * 4,), "completed", ["0", "1", "2"]),
        ((at_once, at_once), "completed", ["0", "1", "2"]),
    ],
)
async def test_a_run_takes_patches_it_had_not_passed(
    codes: tuple[Body, ...], ends: str, steps: list[str]
) -> None:
    run, done_steps = await through(*codes)
    assert (run.status, done_steps) == (ends, steps)


async def test_a_script_takes_every_patch() -> None:
    deploy(after)
    executed.clear()

    async def answer(_: object) -> str:
        return "yes"

    assert await in_script("t_deployed", "go", user_input_callback=answer) == "yes"
    assert executed == ["new", "a", "later", "b"]
