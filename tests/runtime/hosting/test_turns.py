"""Tests that a conversation's runs take turns in the order of its log, whatever the clock shows."""

from collections.abc import AsyncGenerator

import pytest

from sessions_app import runs
from sessions_app.conversations import stops
from sessions_app.hosting import run_selection
from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from sessions_app.workflows.history import ended_runs
from tests.support.clock import an_hour_back
from tests.support.hosting import Hosting, asking, django_user, running

pytestmark = pytest.mark.django_db(transaction=True)

broken = {"now": False}


@workflow(name="t_turn", title="Asks, or fails")
async def turn(message: Message, context: Context) -> AsyncGenerator[str, None]:
    if message.text == "fail" and broken["now"]:
        raise KeyError("room")
    if message.text == "child":
        yield await context.run("t_turn", "echo")
    if message.text != "echo":
        yield (await context.ask(TextPrompt(text=message.text))).text


async def test_a_message_waits_behind_an_earlier_one_though_the_clock_was_set_back() -> None:
    async with asking("t_turn", "one") as (hosting, first, _):
        with an_hour_back():
            second = await hosting.submit("two")
            third = await hosting.submit("echo")
            await hosting.restart()
            [prompt] = await hosting.prompts(first)
            assert await statuses(second, third) == ["queued", "queued"]
            await hosting.answer("1", prompt)
            [prompt] = await hosting.prompts(second)
            assert await statuses(third) == ["queued"]
            await hosting.answer("2", prompt)
            await hosting.until_ended(third)


@pytest.mark.parametrize("at_once", [1, 16])
async def test_turns_are_in_the_order_sent(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_selection, "AT_ONCE", at_once)
    async with asking("t_turn", "one") as (hosting, _, _):
        second = await hosting.submit("two")
        with an_hour_back():
            third = await hosting.submit("echo")
        await hosting.answer("1")
        await hosting.prompts(second)
        assert await statuses(third) == ["queued"]


async def test_the_past_of_a_conversation_is_in_the_order_of_its_log() -> None:
    async with running("t_turn", "echo") as (hosting, first):
        await hosting.until_ended(first)
        with an_hour_back():
            second = await hosting.submit("echo")
            await hosting.until_ended(second)
            asks = await hosting.submit("one")
        [prompt] = await hosting.prompts(asks)
        past = await reads.read(ended_runs, asks, prompt.conversation_id, 10)
        assert past == [str(second), str(first)]
        assert await stops.stop(owner=hosting.user, conversation_id="c") == [asks]


async def test_a_stop_takes_waiting_and_queued_runs_in_the_order_of_the_log() -> None:
    async with asking("t_turn", "one") as (hosting, first, _):
        with an_hour_back():
            second = await hosting.submit("two")
        stopped_ids = await stops.stop(owner=hosting.user, conversation_id="c")
        assert stopped_ids == [first, second]
        for run in stopped_ids:
            assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED


async def test_a_resumed_run_waits_for_the_active_one_and_comes_before_those_behind_it() -> None:
    broken["now"] = True
    async with running(Hosting("t_turn", park_after=0.01), "fail") as (hosting, failed_run):
        await hosting.until_ended(failed_run)
        broken["now"] = False
        active, _ = await hosting.submit_until_prompt("one")
        queued = await hosting.submit("echo")
        assert await runs.aresume(failed_run, by=django_user("op"))
        await hosting.restart()
        echo = await hosting.submit("echo", conversation="other")
        await hosting.until_ended(echo)  # by then, the host has selected runs again
        assert await statuses(failed_run, active, queued) == ["queued", "waiting", "queued"]
        await hosting.answer("1")
        await hosting.prompts(failed_run)
        assert await statuses(queued) == ["queued"]
        await hosting.complete(queued, "2")


async def test_a_child_has_its_turn_before_queued_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_selection, "AT_ONCE", 2)
    async with running(Hosting("t_turn", park_after=0.01), "one") as (hosting, first):
        parent = await hosting.submit("child")
        await hosting.prompts(first)
        behind = [await hosting.submit("echo") for _ in range(3)]
        await hosting.answer("1")
        await hosting.prompts(parent)  # the child run has ended
        await hosting.answer("2")
        await hosting.until_ended(behind[-1])


async def statuses(*ids: object) -> list[str]:
    runs_by_id = await reads.read(Run.objects.in_bulk, ids)
    return [runs_by_id[one].status for one in ids]
