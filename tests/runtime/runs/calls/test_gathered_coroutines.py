"""Tests of an author's own concurrent coroutines, such as tools that ask, in any order."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sessions_app import runs
from sessions_app.contrib.replay.history_replay import replay_history
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.conversations import stops
from sessions_app.hosting.run_task import RunTask
from sessions_app.models import Interaction, JournalEntry, Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, TextPrompt
from tests.runtime.replay.deployed import Body, deploy, executed, host_code, other, work
from tests.support.hosting import Hosting, django_user, make_user, problem, until, until_true
from tests.support.running_form import CLUSTER

pytestmark = pytest.mark.django_db(transaction=True)

broken: list[str] = []
gates: list[asyncio.Event] = []


@pytest.fixture(autouse=True)
def _nothing_broken() -> None:
    broken.clear()


def hosting(code: Body, **config: Any) -> Hosting:
    return host_code(code, **{"park_after": 0, **config})


@asynccontextmanager
async def send_to_hosted(code: Body, **config: Any) -> AsyncIterator[tuple[Hosting, HostedRun]]:
    async with hosting(code, **config) as hosted:
        yield hosted, await hosted.send("go")


async def tool(context: Context, name: str) -> str:
    """Prepare the work, ask for permission, and do the work."""
    prepared = await context.step(work, f"{name} prepared")
    answer = await context.ask(TextPrompt(text=f"{name}?"))
    step_result = await context.step(work, f"{name} done")
    return f"{prepared}, {answer.text}, {step_result}"


async def two_tools(context: Context) -> str:
    before = await context.step(work, "before")
    results = await context.gather(tool(context, "a"), tool(context, "b"))
    return "; ".join([before, *results, await context.step(work, "after")])


SAID = "before; a prepared, yes, a done; b prepared, no, b done; after"
ALL = ["a done", "a prepared", "after", "b done", "b prepared", "before"]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("way", ["parks", "stays", "replays everywhere", "crashes"])
async def test_tools_ask_at_once_and_wait_in_any_order(order: str, way: str) -> None:
    config = {"park_after": 60 if way == "stays" else 0}
    async with send_to_hosted(two_tools, replay_everywhere=way.startswith("replays"), **config) as (
        hosted,
        run,
    ):
        assert sorted(one.text for one in await run.prompts()) == ["a?", "b?"]
        for name in order:
            if way == "crashes":
                await hosted.crash()
            await run.answer("yes" if name == "a" else "no", to=f"{name}?")
            await run.rest()
        assert await run.result() == SAID
        assert sorted(executed) == ALL


async def test_an_answered_coroutine_goes_on_while_another_waits() -> None:
    async with send_to_hosted(two_tools) as (_, run):
        await run.answer("no", to="b?")
        assert await run.status() == Run.Status.WAITING
        assert "b done" in executed
        assert "after" not in executed


async def test_a_working_coroutine_keeps_the_run_from_being_parked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gates[:], idle_times, idle_since = [asyncio.Event()], list[float | None](), RunTask.idle_since

    def look(task: RunTask) -> float | None:
        idle_times.append(idle_since(task))
        return idle_times[-1]

    async def works(context: Context) -> str:
        await gates[0].wait()  # stands for a model's answer
        return (await context.ask(TextPrompt(text="b?"))).text

    async def code(context: Context) -> str:
        return "; ".join(await context.gather(tool(context, "a"), works(context)))

    async with send_to_hosted(code) as (_, run):
        pending_prompts = Interaction.objects.filter(run_id=run.id, status="pending")
        await until(pending_prompts.exists)
        monkeypatch.setattr(RunTask, "idle_since", look)
        await until_true(lambda: len(idle_times) > 5)  # the host looks for what it may park
        assert not any(idle_times)
        gates[0].set()
        assert sorted(one.text for one in await run.prompts()) == ["a?", "b?"]


async def test_histories_of_gathered_coroutines_are_replayable(tmp_path: Path) -> None:
    async with send_to_hosted(two_tools) as (_, run):
        await run.answer("no", to="b?")
        await run.record(tmp_path / "half.json")
        await run.answer("yes", to="a?")
        await run.result()
        await run.record(tmp_path / "whole.json")
        for name in ("half", "whole"):
            assert await replay_history(tmp_path / f"{name}.json") == []


async def moves(context: Context, name: str, kinds: list[str]) -> list[Any]:
    return [await move(context, f"{name}{number}", kind) for number, kind in enumerate(kinds)]


async def move(context: Context, name: str, kind: str) -> Any:
    match kind:
        case "step":
            return await context.step(work, name)
        case "ask":
            return (await context.ask(TextPrompt(text=f"{name}?"))).text
        case "now":
            return str(context.now())
        case "sleep":
            return await context.sleep(0.001)
        case _:
            nested = moves(context, f"{name}-", ["step", "ask"])
            return await context.gather(nested, context.step(work, name))


@pytest.mark.slow
@settings(max_examples=20, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    tools=st.lists(
        st.lists(st.sampled_from(["step", "ask", "now", "sleep", "two"]), max_size=4),
        min_size=1,
        max_size=3,
    ),
    seed=st.integers(0, 2**16),
    park_after=st.sampled_from([0, 60]),
)
async def test_gathered_coroutines_run_each_step_once(
    tools: list[list[str]], seed: int, park_after: float
) -> None:
    results: list[Any] = []

    async def code(context: Context) -> str:
        calls = [moves(context, f"t{number}-", kinds) for number, kinds in enumerate(tools)]
        results.append(await context.gather(*calls))
        await context.step(work, "after")
        return "ended"

    chance = random.Random(seed)
    async with send_to_hosted(code, park_after=park_after) as (hosted, run):
        while (pending := await pending_or_over(hosted, run)) != "over":
            await run.answer("x", to=chance.choice(pending))
        assert await run.result() == "ended"
        assert sorted(executed) == sorted(set(executed))
    assert all(one == results[0] for one in results)


async def pending_or_over(hosted: Hosting, run: HostedRun) -> Any:
    def look() -> Any:
        row = Run.objects.get(pk=run.id)
        if row.status == Run.Status.COMPLETED:
            return "over"
        assert row.status not in Run.FINISHED
        return [one.prompt["text"] for one in row.interactions.filter(status="pending")]

    while not (result := await reads.read(look)):
        await hosted.settle_due()  # wakes parked runs whose sleep is over
        await asyncio.sleep(0.01)
    return result


def fail(name: str) -> str:
    executed.append(name)
    if name in broken:
        raise OSError(f"{name} is away")
    return name


@pytest.mark.parametrize(
    ("returned", "expected_text"),
    [(False, "a failed first"), (True, "a | b | c prepared, yes, c done")],
)
async def test_gather_reports_failures_after_all_coroutines_ended(
    *, returned: bool, expected_text: str
) -> None:
    """The first failure is raised, or all failures are returned at their places."""

    async def wrong(context: Context, name: str) -> str:
        await context.ask(TextPrompt(text=f"{name}?"))
        raise ValueError(name)

    async def code(context: Context) -> str:
        calls: list[Any] = [wrong(context, "a"), wrong(context, "b"), tool(context, "c")]
        try:
            outcomes = await context.gather(*calls, return_exceptions=returned)
        except ValueError as error:
            return f"{error} failed first"
        return " | ".join(map(str, outcomes))

    async with send_to_hosted(code) as (_, run):
        for name in "bac":
            await run.answer("yes", to=f"{name}?")
        assert await run.result() == expected_text
        assert "c done" in executed


@pytest.mark.parametrize("caught", [False, True])
async def test_a_resumed_run_does_again_what_failed_last_in_its_coroutine(caught: bool) -> None:
    broken[:] = ["b", "c"]

    async def may_fail(context: Context) -> str:
        await context.step(work, "a")
        try:
            return await context.step(fail, "b")
        except Exception:
            if not caught:
                raise
        return await context.step(fail, "c")

    async def code(context: Context) -> str:
        return " ".join(await context.gather(may_fail(context), tool(context, "t")))

    async with send_to_hosted(code) as (_, run):
        await run.answer("yes", to="t?")
        assert await run.status() == Run.Status.FAILED
        broken.clear()
        user = await reads.read(make_user, "ann")
        assert await runs.aresume(run.id, by=user)
        last = "c" if caught else "b"
        assert await run.result() == f"{last} t prepared, yes, t done"
        again = {"a": 1, "b": 1 + (not caught), "c": 2 * caught, "t done": 1}
        assert {name: executed.count(name) for name in again} == again


async def test_a_failure_that_the_workflow_went_on_with_stays_when_it_is_resumed() -> None:
    broken[:] = ["a", "b"]

    async def may_fail(context: Context) -> str:
        return await context.step(fail, "a")

    async def code(context: Context) -> str:
        await context.gather(may_fail(context), tool(context, "t"), return_exceptions=True)
        return await context.step(fail, "b")

    async with send_to_hosted(code) as (_, run):
        await run.answer("yes", to="t?")
        assert await run.status() == Run.Status.FAILED
        broken.clear()
        assert await runs.aresume(run.id, by=django_user("an operator"))
        assert await run.result() == "b"
        assert executed.count("a") == 1


async def test_a_fork_keeps_what_came_before_its_position_in_each_coroutine() -> None:
    async with send_to_hosted(two_tools) as (hosted, run):
        await run.answer("no", to="b?")
        await run.answer("yes", to="a?")
        await run.result()
        journal = await run.journal()
        ask_positions = [e.call.position for e in journal if e.call.kind == "ask"]
        user = await reads.read(make_user, "ann")
        forked = await runs.afork(run.id, position=max(ask_positions), by=user)
        fork = HostedRun(forked, hosted.person, 20)
        assert [one.text for one in await fork.prompts()] == ["b?"]
        await fork.answer("again", to="b?")
        assert await fork.result() == SAID.replace("no", "again")
        twice = {"a done", "b done", "after"}
        assert {name: executed.count(name) for name in ALL} == {
            name: 1 + (name in twice) for name in ALL
        }


async def calls_less(context: Context, name: str) -> str:
    return await context.step(work, f"{name} prepared")


async def calls_another(context: Context, name: str) -> str:
    return await context.step(other, f"{name} prepared")


def gathers(*tools: Callable[[Context, str], Any]) -> Body:
    async def code(context: Context) -> str:
        await context.step(work, "before")
        await context.gather(*(one(context, "ab"[n % 2]) for n, one in enumerate(tools)))
        return await context.step(work, "new")

    return code


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [gathers(tool), gathers(calls_less, tool), gathers(tool, calls_another), gathers()],
    ids=["fewer", "less", "another", "none"],
)
async def test_changed_code_is_found_out_and_goes_on_once_it_is_mended(changed: Body) -> None:
    async with send_to_hosted(two_tools) as (hosted, run):
        await run.prompts()
        deploy(changed)
        # Otherwise the run may still be in memory, and continue with the old code.
        await hosted.crash()
        await run.answer("yes", to="a?")
        assert await run.status() == Run.Status.SUSPENDED
        assert problem(await reads.read(Run.objects.get, pk=run.id))["code"] == "NonDeterminism"
        assert "new" not in executed
        deploy(two_tools)
        assert await runs.aresume(run.id, by=django_user("an operator"))
        await run.answer("no", to="b?")
        assert await run.result() == SAID
        # A step that was cut off by the end of the other coroutines is executed again.
        assert set(executed) == set(ALL)
        assert executed.count("b done") == executed.count("a prepared") == 1


async def streams(context: Context) -> str:
    return str(context.stream(work))


async def patched(context: Context) -> str:
    return str(context.patched("x"))


@pytest.mark.parametrize(
    ("wrong", "expected_problem"),
    [
        (streams, "context.stream() was called in a coroutine that"),
        (patched, "context.patched() was called in a coroutine that"),
        (None, ""),
    ],
    ids=["stream", "patched", "no coroutine"],
)
async def test_gather_refuses_what_depends_on_order_or_is_no_coroutine(
    wrong: Any, expected_problem: str
) -> None:
    async def code(context: Context) -> str:
        calls: list[Any] = [wrong(context)] if wrong else [tool(context, "a"), tool]
        return str(await context.gather(*calls))

    async with send_to_hosted(code) as (_, run):
        assert await run.status() == Run.Status.FAILED
        row = await reads.read(Run.objects.get, pk=run.id)
        assert expected_problem in problem(row)["message"]
        assert executed == []


async def hold(name: str) -> str:
    executed.append(name)
    await gates[0].wait()
    executed.append(f"{name} indeed")
    return name


holding: Callable[..., Any] = hold


async def undo(context: Context, name: str) -> None:
    await context.step(work, f"{name} undone")


async def cleans_up(context: Context, waits: Callable[[Context], Any], name: str) -> str:
    await context.step(work, f"{name} begun")
    try:
        await waits(context)
    finally:
        await undo(context, name)
        await context.step(holding, f"{name} closed")
    return "never"


async def in_ask(context: Context) -> None:
    await context.ask(TextPrompt(text="?"))


async def in_step(context: Context) -> None:
    await context.step(asyncio.sleep, 600)


async def in_sleep(context: Context) -> None:
    await context.sleep(600)


async def in_other(context: Context) -> None:
    await asyncio.sleep(600)


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("waits", [in_ask, in_step, in_sleep, in_other])
async def test_a_stop_cleans_up_every_coroutine_once(
    waits: Callable[[Context], Any], crashes: bool
) -> None:
    gates[:] = [asyncio.Event()]

    async def code(context: Context) -> str:
        try:
            await context.gather(
                cleans_up(context, waits, "a"), cleans_up(context, in_step, "b"), in_ask(context)
            )
        finally:
            await context.gather(undo(context, "all"))
        return "never"

    async with send_to_hosted(code, park_after=60) as (hosted, run):
        finished_steps = JournalEntry.objects.filter(
            run=run.id, finished_at__isnull=False, kind="step"
        )
        await until(lambda: finished_steps.count() == 2)
        await until(lambda: Run.objects.get(pk=run.id).interactions.exists())
        await stops.stop(owner=hosted.user, conversation_id=await conversation(run))
        await until_true(lambda: {"a closed", "b closed"} <= set(executed))
        if crashes:
            await hosted.crash()
            await until_true(lambda: executed.count("a closed") == executed.count("b closed") == 2)
        gates[0].set()
        assert (await hosted.until_ended(run.id)).status == Run.Status.CANCELLED
        times = {f"{one} closed": 1 + crashes for one in "ab"}
        times |= dict.fromkeys(("a closed indeed", "b closed indeed"), 1)
        for name in ("a begun", "b begun", "a undone", "b undone", "all undone"):
            times[name] = 1
        assert {name: executed.count(name) for name in set(executed)} == times


async def conversation(run: HostedRun) -> str:
    row = await reads.read(Run.objects.select_related("conversation").get, pk=run.id)
    return str(row.conversation.conversation_id)


async def test_a_working_coroutine_keeps_the_place_of_its_run() -> None:
    gates[:] = [asyncio.Event()]

    async def holds(context: Context) -> str:
        return await context.step(holding, "held")

    async def code(context: Context) -> str:
        return " ".join(await context.gather(tool(context, "a"), holds(context)))

    async with hosting(code, park_after=60, max_concurrency=1) as hosted:
        await hosted.submit("go", conversation="c1")
        await until_true(lambda: "held" in executed)
        await hosted.submit("go", conversation="c2")
        await until(Interaction.objects.exists)  # the first waits, but for the coroutine
        # The second waits for the place; of a cluster, a full worker does not fetch it.
        await until_true(lambda: CLUSTER or any(host.awaits_slots for host in hosted.hosts))
        assert executed.count("held") == 1
        gates[0].set()
        await until_true(lambda: executed.count("held") == 2)
