"""Tests of the fixture `host_workflow`."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from sessions_app.contrib.testing import hosting
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.contrib.testing.polling import until_true
from sessions_app.errors import Invalid
from sessions_app.models import Interaction
from sessions_app.storage import reads
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Message,
    Option,
    RadioPrompt,
    TextPrompt,
    group,
    workflow,
)
from tests.support.hosting import make_members

executed: list[str] = []
calls = count()
gates: list[asyncio.Event] = []
DAY = 86400


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    executed.clear()
    gates.clear()


async def work(name: str) -> str:
    executed.append(name)
    return name


async def other(name: str) -> str:
    return await work(name)


async def held(name: str) -> str:
    executed.append(name)
    await gates[len(executed) - 1].wait()
    return name


@workflow(name="t_kit_sound", title="Sound")
async def sound(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield await context.step(work, "a")
    steps: list[Any] = [context.step(work, "b"), context.step(work, "c")]
    yield "".join(await asyncio.gather(*steps))
    yield (await context.ask(TextPrompt(text="d?"))).text
    yield str(context.now() <= context.now())


@workflow(name="t_kit_chance", title="Chance in the middle")
async def chance(message: Message, context: Context) -> str:
    function = work if next(calls) % 2 else other
    return await context.step(function, "done")


@workflow(name="t_kit_end", title="Chance at the end")
async def chance_at_the_end(message: Message, context: Context) -> str:
    executed: str = await context.step(work, "done")
    (context.now, context.random)[next(calls) % 2]()
    return executed


@workflow(name="t_kit_held", title="A step that waits")
async def holding(message: Message, context: Context) -> str:
    kept: str = await context.step(held, "a")
    return kept


@workflow(name="t_kit_days", title="Days")
async def days(message: Message, context: Context) -> AsyncGenerator[str, None]:
    began = context.now()
    for _ in range(3):
        await context.sleep(DAY)
        yield f"{(context.now() - began) // timedelta(days=1)} "
    answer = await context.ask(TextPrompt(text="Still there?", timeout=DAY, default="no"))
    yield f"{answer.text} {(context.now() - began) // timedelta(days=1)}"


@workflow(name="t_kit_ask", title="Ask")
async def ask(message: Message, context: Context) -> str:
    options = [Option(value=1, label="One"), Option(value=True, label="Yes")]
    prompts: list[Any] = [RadioPrompt(text=f"{name}?", options=options) for name in ("x", "y")]
    answers = await context.ask_all(prompts)
    if message.text == "fail":
        raise ValueError("no such thing")
    return repr([answer.value for answer in answers])


@workflow(name="t_kit_votes", title="Votes")
async def votes(message: Message, context: Context) -> str:
    prompt = BinaryPrompt(text="Both?", options=["yes", "no"])
    return str((await context.ask(prompt, to=group("two"), votes=2)).value)


async def test_replaying_everywhere_does_each_step_once(host_workflow: NewHosting) -> None:
    async with host_workflow("t_kit_sound", replay_everywhere=True) as hosting:
        run = await hosting.send("go")
        await run.answer("d")
        assert await run.result() == "abcdTrue"
        replays = [entry.call.kind for entry in await run.journal()]
        assert replays == ["step", "step", "step", "ask", "now", "now"]
    assert sorted(executed) == ["a", "b", "c"]


async def test_script_of_one_person_ends_at_a_question_of_several(
    host_workflow: NewHosting,
) -> None:
    sue, _ = await reads.read(make_members, "two", "sue", "tom")
    async with host_workflow("t_kit_votes") as hosting:
        run = await hosting.send("go")
        with pytest.raises(AssertionError, match=r"'Both\?' waits for more votes"):
            await run.answer_all({"Both": "yes"}, by=sue)


@pytest.mark.parametrize("name", ["t_kit_chance", "t_kit_end"])
async def test_replaying_everywhere_finds_chance(name: str, host_workflow: NewHosting) -> None:
    async with host_workflow(name, replay_everywhere=False) as hosting:
        assert await hosting.converse("go") == "done"
    async with host_workflow(name, replay_everywhere=True) as hosting:
        run = await hosting.send("go", conversation="another")
        assert await run.status() == "suspended"
        with pytest.raises(AssertionError, match=r"(?s)it is suspended, .*At \S+:\d+ in"):
            await run.result()


@pytest.mark.slow
async def test_a_crash_in_a_step_has_it_done_again(host_workflow: NewHosting) -> None:
    gates.extend([asyncio.Event(), asyncio.Event()])
    async with host_workflow("t_kit_held") as hosting:
        run = await hosting.send("go")
        await until_true(lambda: executed)
        await hosting.crash()
        gates[1].set()
        assert await run.result() == "a"
    assert executed == ["a", "a"]


async def test_a_restart_lets_a_step_end_first(host_workflow: NewHosting) -> None:
    gates.append(asyncio.Event())
    async with host_workflow("t_kit_held") as hosting:
        run = await hosting.send("go")
        await until_true(lambda: executed)
        asyncio.get_running_loop().call_soon(gates[0].set)
        await hosting.restart()
        assert await run.result() == "a"
    assert executed == ["a"]


@pytest.mark.slow
async def test_the_clock_brings_what_falls_due_in_its_order(host_workflow: NewHosting) -> None:
    async with host_workflow("t_kit_days") as hosting:
        run = await hosting.send("go")
        with pytest.raises(AssertionError, match=r"it sleeps until .* move the clock"):
            await run.result()
        await hosting.advance(days=1)
        assert await run.output() == "1 "
        await hosting.crash()
        await hosting.advance(days=10)
        assert await run.result() == "1 2 3 no 4"


@pytest.mark.slow
async def test_clock_names_a_deadline_that_cannot_be_settled(host_workflow: NewHosting) -> None:
    async with host_workflow("t_kit_days") as hosting:
        run = await hosting.send("go")
        await hosting.advance(days=3, hours=1)
        row = await Interaction.objects.aget(run=run.id)
        row.prompt["input_type"] = "gone"  # a prompt type whose application was uninstalled
        await row.asave()
        async with asyncio.timeout(10):
            with pytest.raises(AssertionError, match=r"'Still there\?' falls due .* the log"):
                await hosting.advance(days=2)


async def test_prompts_are_answered_by_a_word_of_their_text(host_workflow: NewHosting) -> None:
    async with host_workflow("t_kit_ask") as hosting:
        run = await hosting.send("go")
        assert [prompt.text for prompt in await run.prompts()] == ["x?", "y?"]
        with pytest.raises(AssertionError, match=r"which prompt is 1 for.*'x\?', 'y\?'"):
            await run.answer(1)
        with pytest.raises(Invalid):
            await run.answer("neither", to="y")
        await run.answer(True, to="y")
        await run.answer(1, to="x")
        assert await run.result() == "[1, True]"
        with pytest.raises(AssertionError, match="it is completed"):
            await run.answer(1)


async def test_a_script_has_to_know_each_prompt(host_workflow: NewHosting) -> None:
    async with host_workflow("t_kit_ask") as hosting:
        with pytest.raises(AssertionError, match=r"no answer to 'y\?'"):
            await hosting.converse("go", {"x": 1})


async def test_a_run_that_failed_says_where(host_workflow: NewHosting) -> None:
    async with host_workflow("t_kit_ask") as hosting:
        with pytest.raises(AssertionError, match=r"(?s)it is failed.*ValueError: no such thing"):
            await hosting.converse("fail", {"?": 1})


@pytest.mark.formless
async def test_a_database_in_memory_is_refused_with_what_to_write(
    host_workflow: NewHosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = SimpleNamespace(vendor="sqlite", settings_dict={"NAME": "file:m?mode=memory"})
    monkeypatch.setattr(hosting, "connection", database)
    with pytest.raises(AssertionError, match="give it a file"):
        async with host_workflow("t_kit_ask"):
            pass


@workflow(name="t_kit_assigned", title="Asks the managers")
async def assigned(message: Message, context: Context) -> str:
    prompt = RadioPrompt(text="Pay?", options=["yes", "no"])
    answer = await context.ask(prompt, to=group("managers"), votes=2)
    return f"{answer.value} by {answer.by}"


async def test_an_assigned_prompt_is_answered_by_who_may(host_workflow: NewHosting) -> None:
    boss, cara = await reads.read(make_members, "managers", "boss", "cara")
    async with host_workflow("t_kit_assigned") as hosted:
        run = await hosted.send("go")
        with pytest.raises(AssertionError, match=r"is for managers.*answer\(value, by=user\)"):
            await run.answer("yes")
        await run.answer("yes", by=boss)
        assert await run.status() == "waiting"
        await run.answer("yes", by=cara)
        assert await run.result() == "yes by cara"
