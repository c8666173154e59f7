"""Tests of clean-up code in workflows when a run is parked, or stopped by a person."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from sessions_app import runs
from sessions_app.contrib.replay.history_replay import replay_history
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.conversations import stops
from sessions_app.errors import Invalid, NotReplayable
from sessions_app.hosting import host as host_module
from sessions_app.hosting.lease import Lease
from sessions_app.hosting.run_selection import DrivenRuns, Selection, select_runs
from sessions_app.models import Interaction, JournalEntry, Run
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, asking, output, running, until, until_true

pytestmark = pytest.mark.django_db(transaction=True)

Body = Callable[[Context], AsyncGenerator[str, None]]
Waits = Callable[[Context, list[str]], Any]
body: list[Body] = []
done: list[str] = []
gates: list[asyncio.Event] = []


def do(name: str) -> str:
    done.append(name)
    return name


@workflow(name="t_stopping", title="Cleans up")
async def stopping(message: Message, context: Context) -> AsyncGenerator[str, None]:
    async for chunk in body[0](context):
        yield chunk


def hosting_of(code: Body, **config: Any) -> Hosting:
    body[:], done[:], gates[:] = [code], [], [asyncio.Event()]
    return Hosting("t_stopping", **config)


@workflow(name="t_stopping_whole", title="Cleans up, and returns")
async def whole(message: Message, context: Context) -> str:
    return "".join([chunk async for chunk in asks(context)])


async def asks(context: Context) -> AsyncGenerator[str, None]:
    await context.step(do, "charge")
    yield "charged "
    try:
        yield (await context.ask(TextPrompt(text="Go on?"))).text
    except asyncio.CancelledError:
        context.show("stopped")
        await context.step(do, "refund")
        yield "refunded"
        raise
    finally:
        await context.step(do, "close")


async def talks(context: Context) -> AsyncGenerator[str, None]:
    await context.step(do, "charge")
    try:
        while True:
            yield "bla "
            await asyncio.sleep(0.001)
    except asyncio.CancelledError:
        await context.step(do, "refund")
        yield "refunded"


async def waits(context: Context) -> AsyncGenerator[str, None]:
    await context.step(do, "charge")
    try:
        await asyncio.sleep(600)
        yield "never"
    finally:
        await context.step(do, "refund")


async def hangs(context: Context) -> AsyncGenerator[str, None]:
    await context.step(do, "charge")
    try:
        yield (await context.ask(TextPrompt(text="Go on?"))).text
    finally:
        await context.step(asyncio.sleep, 600)
        await context.step(do, "never")


async def until_recorded(run: UUID) -> None:
    """Wait until the first step is recorded, so that the run is in the call after it."""
    await until(JournalEntry.objects.filter(run=run, finished_at__isnull=False).exists)


async def stop(hosting: Hosting, run: UUID) -> None:
    await stops.stop(owner=hosting.user, conversation_id="c")
    assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED


async def test_a_stop_in_the_moment_in_which_its_run_is_taken_up_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_and_stop(tx: Transaction, lease: Lease, driven_runs: DrivenRuns) -> Selection:
        selection = select_runs(tx, lease, driven_runs)
        for one in selection.started:
            stops.stop_run(tx, one.run.id)
        return selection

    monkeypatch.setattr(host_module, "select_runs", look_and_stop)
    async with hosting_of(waits) as hosting:
        run = await hosting.submit()
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED


@pytest.mark.cluster_only("one process sends itself no messages")
@pytest.mark.usefixtures("_lost_messages")
async def test_a_run_at_work_is_stopped_though_the_message_of_it_is_lost() -> None:
    async with hosting_of(waits) as hosting:
        run = await hosting.submit()
        await until_recorded(run)
        await stop(hosting, run)
    assert done == ["charge", "refund"]


@pytest.mark.parametrize("name", ["t_stopping", "t_stopping_whole"])
async def test_parking_runs_no_clean_up_code(name: str) -> None:
    body[:], done[:] = [asks], []
    async with asking(Hosting(name, park_after=0)) as (hosting, run, _):
        await until_true(lambda: not hosting.hosts.run(str(run)))
        assert done == ["charge"]
        assert [entry.name for entry in await hosting.journal(run)] == ["do"]
        assert await hosting.complete(run, "yes") == "charged yes"
    assert done == ["charge", "close"]


@pytest.mark.parametrize("park_after", [60, 0])
@pytest.mark.parametrize("name", ["t_stopping", "t_stopping_whole"])
async def test_a_stopped_run_cleans_up_also_where_parked(name: str, park_after: float) -> None:
    body[:], done[:] = [asks], []
    async with asking(Hosting(name, park_after=park_after)) as (hosting, run, prompt):
        if not park_after:
            await until_true(lambda: not hosting.hosts.run(str(run)))
        await stop(hosting, run)
        kinds = [entry.kind for entry in await hosting.journal(run)]
        assert kinds == ["step", "show", "step", "step"]
        assert (await hosting.answer("late", prompt)).outcome != "accepted"
        if name == "t_stopping":
            assert await hosting.output(run) == "charged refunded"
    assert done == ["charge", "refund", "close"]


@pytest.mark.parametrize("form", [talks, waits])
async def test_a_run_that_does_not_ask_is_stopped_where_it_is(form: Body) -> None:
    async with running(hosting_of(form)) as (hosting, run):
        await until_recorded(run)
        await stop(hosting, run)
        text: Any = await hosting.output(run)
        assert text.replace("bla ", "") == ("refunded" if form is talks else "")
    assert done == ["charge", "refund"]


async def test_clean_up_has_its_time(settings: Settings) -> None:
    set_hitl(settings, MAX_STOPPING=0.1)
    async with asking(hosting_of(hangs)) as (hosting, run, _):
        await stop(hosting, run)
    assert done == ["charge"]


async def test_a_stop_in_good_order_goes_on_with_clean_up_at_the_next_start() -> None:
    held, going = asyncio.Event(), asyncio.Event()

    async def hold() -> str:
        held.set()
        await going.wait()
        return "held"

    holding: Callable[..., Any] = hold

    async def slow(context: Context) -> AsyncGenerator[str, None]:
        try:
            yield (await context.ask(TextPrompt(text="Go on?"))).text
        finally:
            await context.step(do, "refund")
            await context.step(holding)
            await context.step(do, "close")

    async with asking(hosting_of(slow)) as (hosting, run, _):
        await stops.stop(owner=hosting.user, conversation_id="c")
        await held.wait()
        ending = asyncio.create_task(hosting.stop())
        await asyncio.sleep(0)
        going.set()
        await ending
        assert done == ["refund"]
        await hosting.start()
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED
    assert done == ["refund", "close"]


async def held(name: str) -> Any:
    done.append(name)
    await gates[0].wait()
    return name


async def words() -> AsyncIterator[str]:
    yield "a "
    yield "b "
    await asyncio.Event().wait()


async def in_ask(context: Context, pieces: list[str]) -> None:
    await context.ask_all([TextPrompt(text="Go on?"), TextPrompt(text="Sure?")])


async def in_sleep(context: Context, pieces: list[str]) -> None:
    await context.sleep(600)


async def in_wait(context: Context, pieces: list[str]) -> None:
    await context.wait_for("payment")


async def in_step(context: Context, pieces: list[str]) -> None:
    await context.step(asyncio.sleep, 600)


async def in_stream(context: Context, pieces: list[str]) -> None:
    async for piece in context.stream(words):
        pieces += piece


async def in_other(context: Context, pieces: list[str]) -> None:
    await asyncio.sleep(600)


def cleans_up_after(waits: Waits) -> Body:
    async def cleans_up(context: Context) -> AsyncGenerator[str, None]:
        pieces: list[str] = []
        yield "begun "
        try:
            await context.step(do, "charge")
            await waits(context, pieces)
            await context.step(do, "never")
        finally:
            await context.step(do, "refund" + "".join(pieces))
            await context.step(held, "close")

    return cleans_up


async def stands(hosting: Hosting, run: UUID, waits: Waits, text: str = "begun ") -> None:
    """Wait until the run has reached its wait."""
    if waits is in_stream:
        text += "a b "
    await until_recorded(run)
    await until(lambda: output(run) == text)
    if waits in (in_ask, in_sleep, in_wait):
        await hosting.until_status(run, Run.Status.WAITING)


@pytest.mark.slow
@pytest.mark.parametrize("waits", [in_ask, in_sleep, in_wait, in_step, in_stream, in_other])
async def test_clean_up_that_was_cut_by_a_crash_goes_on_where_it_was(waits: Waits) -> None:
    async with running(hosting_of(cleans_up_after(waits))) as (hosting, run):
        await stands(hosting, run, waits)
        await stops.stop(owner=hosting.user, conversation_id="c")
        await until_true(lambda: "close" in done)
        await hosting.crash()
        gates[0].set()
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED
    refund = "refunda b " if waits is in_stream else "refund"
    assert done == ["charge", refund, "close", "close"]


def asks_in_clean_up(waits: Waits) -> Body:
    async def cleans_up(context: Context) -> AsyncGenerator[str, None]:
        yield "begun "
        try:
            await context.step(do, "charge")
            await waits(context, [])
        finally:
            paid = await context.wait_for("payment")
            answer = await context.ask(TextPrompt(text="Really?"))
            await context.sleep(0.01)
            await context.step(do, f"{paid} {answer.text}")

    return cleans_up


@pytest.mark.slow
@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("waits", [in_ask, in_sleep, in_wait, in_step])
async def test_clean_up_may_ask_and_wait(waits: Waits, crashes: bool) -> None:
    """A new wait may have the name of the interrupted one. Earlier questions are closed.

    A second stop changes nothing.
    """
    async with running(hosting_of(asks_in_clean_up(waits))) as (hosting, run):
        await stands(hosting, run, waits)
        cut = await reads.read(lambda: list(Interaction.objects.filter(run=run)))
        await stops.stop(owner=hosting.user, conversation_id="c")
        open_wait = JournalEntry.objects.filter(run=run, kind="wait", finished_at=None)
        cleans_up = Run.objects.filter(pk=run, stop_point__isnull=False)
        await until(lambda: cleans_up.exists() and open_wait.exists())
        await stops.stop(owner=hosting.user, conversation_id="c")
        if crashes:
            await hosting.crash()
        assert await runs.asend(run, "payment", 5, id="a") == "accepted"
        [prompt] = await hosting.prompts(run)
        assert prompt.prompt["text"] == "Really?"
        for late in cut:
            assert (await hosting.answer("late", late)).outcome != "accepted"
        await hosting.answer("yes", prompt)
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED
        reasons = [event.payload.get("reason") for event in await hosting.events()]
        assert reasons.count("stopping") == 1
    assert done == ["charge", "5 yes"]


@pytest.mark.parametrize("waits", [in_ask, in_sleep, in_wait])
async def test_a_stopped_run_waits_for_nothing_of_before(waits: Waits, tmp_path: Path) -> None:
    async with hosting_of(cleans_up_after(waits), park_after=0) as hosting:
        gates[0].set()
        run = await hosting.submit()
        await stands(hosting, run, waits)
        await until_true(lambda: not hosting.hosts.run(str(run)))
        await stop(hosting, run)
        assert done == ["charge", "refund", "close"]

        with pytest.raises(Invalid):
            await runs.afork(run, position=5, by=await reads.read(User.objects.get))
        file = tmp_path / "run.json"
        await HostedRun(run, hosting.person).record(file)
        assert await replay_history(file) == []
        body[:] = [asks]
        with pytest.raises(NotReplayable):
            await replay_history(file)


@pytest.mark.slow
@pytest.mark.parametrize("waits", [in_ask, in_wait])
async def test_results_that_arrive_after_a_stop_are_not_replayed(waits: Waits) -> None:
    stopped, going = asyncio.Event(), asyncio.Event()

    async def late(context: Context) -> AsyncGenerator[str, None]:
        try:
            await context.step(do, "charge")
            await waits(context, [])
        except asyncio.CancelledError:
            stopped.set()
            await going.wait()
            await context.step(do, "refund")
            await context.step(held, "close")
        else:
            await context.step(do, "deliver")
        yield "over"

    async with running(hosting_of(late)) as (hosting, run):
        await stands(hosting, run, waits, text="")
        await stops.stop(owner=hosting.user, conversation_id="c")
        await stopped.wait()
        if waits is in_ask:
            for prompt in await hosting.prompts(run, 2):
                assert (await hosting.answer("yes", prompt)).outcome == "accepted"
        else:
            assert await runs.asend(run, "payment", 5, id=uuid4().hex) == "accepted"
        going.set()
        await until_true(lambda: "close" in done)
        await hosting.crash()
        gates[0].set()
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED
    assert done == ["charge", "refund", "close", "close"]


async def test_nothing_that_code_calls_while_it_is_parked_is_recorded() -> None:
    async def stubborn(context: Context) -> AsyncGenerator[str, None]:
        while True:
            try:
                answer = await context.ask(TextPrompt(text="Go on?"))
            except asyncio.CancelledError:
                done.append("parked")
                with pytest.raises(asyncio.CancelledError):
                    context.patched("new")
                with pytest.raises(asyncio.CancelledError):
                    context.show("parked")
                yield "nobody sees this"
            else:
                yield answer.text
                return

    async with asking(hosting_of(stubborn, park_after=0)) as (hosting, run, _):
        await until_true(lambda: not hosting.hosts.run(str(run)))
        assert done
        await hosting.answer("yes")
        row = await hosting.until_ended(run)
        assert (row.status, row.patches) == (Run.Status.COMPLETED, None)
        assert await hosting.output(run) == "yes"
        assert await hosting.journal(run) == []
