"""Tests of failed runs that continue from their journal after the code is fixed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.utils import timezone
from pytest_django import Settings

from sessions_app import runs
from sessions_app.errors import NotFound
from sessions_app.models import Event, Interaction, Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, StepFailed, TextPrompt, workflow
from tests.runtime.replay.deployed import Body, deploy, executed, host_code, work
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, asking, django_user

pytestmark = pytest.mark.django_db(transaction=True)

broken = {"now": True}


def charge() -> str:
    executed.append("charge")
    if broken["now"]:
        raise OSError("no such account")
    return "paid"


async def asks(context: Context, then: Body) -> str:
    await context.step(work, "a")
    answer = await context.ask(TextPrompt(text="?"))
    return f"{answer.text} {await then(context)}"


async def wrong(context: Context) -> str:
    raise KeyError("room")


async def right(context: Context) -> str:
    return await context.step(work, "b")


async def failed_after_an_answer(hosting: Hosting, then: Body) -> Run:
    executed.clear()
    deploy(lambda context: asks(context, then))
    run, prompt = await hosting.submit_until_prompt()
    await hosting.answer("yes", prompt)
    row = await hosting.until_ended(run)
    assert row.status == Run.Status.FAILED
    return row


async def resume_to_end(hosting: Hosting, run: Run) -> Run:
    assert await runs.aresume(run.id, by=django_user("an operator"))
    return await hosting.until_ended(run.id)


async def test_an_error_of_the_code_is_mended_and_the_answers_stay() -> None:
    async with Hosting("t_deployed") as hosting:
        run = await failed_after_an_answer(hosting, wrong)
        # An old stop request, which came too late, does not stop the resumed run.
        await Run.objects.filter(pk=run.id).aupdate(stop_requested_at=timezone.now())
        deploy(lambda context: asks(context, right))
        by = await reads.read(get_user_model().objects.get, pk=hosting.user)
        assert await runs.aresume(run.id, by=by)
        row = await hosting.until_ended(run.id)
        assert (row.status, row.error) == (Run.Status.COMPLETED, None)
        assert await hosting.output(run.id) == "yes b"
        assert executed == ["a", "b"]
        reasons = [event.payload.get("reason") for event in await hosting.events()]
        assert f"resumed by {by}" in reasons
        # A completed run cannot be resumed.
        assert not await runs.aresume(run.id, by=by)
        assert not await hosting.in_thread(runs.resume, run.id, by=by)
        with pytest.raises(NotFound):
            await runs.aresume(uuid4(), by=by)


@pytest.mark.slow
async def test_a_stopped_run_whose_clean_up_failed_goes_on_with_it() -> None:
    async def cleans_up(context: Context) -> str:
        try:
            return (await context.ask(TextPrompt(text="?"))).text
        finally:
            await context.step(work, "cleaned")

    async with asking(host_code(cleans_up)) as (hosting, run, _):
        executed.clear()
        await runs.acancel(run)
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED
        rows = Run.objects.filter(pk=run)
        await rows.aupdate(status=Run.Status.FAILED)  # as if the database had not stored the end
        assert (await resume_to_end(hosting, await rows.aget())).status == Run.Status.CANCELLED
        assert executed == ["cleaned"]
        assert not await Interaction.objects.filter(status="pending").aexists()


@pytest.mark.slow
async def test_the_step_that_failed_last_is_done_again_and_no_other() -> None:
    async def caught_and_not(context: Context) -> str:
        try:
            await context.step(charge, name="caught")
        except StepFailed:
            context.show("It is tried elsewhere")
        return await context.step(charge, title="Charge")

    broken["now"] = True
    async with Hosting("t_deployed") as hosting:
        run = await failed_after_an_answer(hosting, caught_and_not)
        assert (await resume_to_end(hosting, run)).status == Run.Status.FAILED
        broken["now"] = False
        assert (await resume_to_end(hosting, run)).status == Run.Status.COMPLETED
        assert await hosting.output(run.id) == "yes paid"
        assert executed == ["a", "charge", "charge", "charge", "charge"]
        journal = [(entry.name, entry.error is None) for entry in await hosting.journal(run.id)]
        assert journal == [("work", True), ("caught", False), ("show", True), ("charge", True)]


async def test_a_failure_that_a_person_was_asked_about_stays() -> None:
    async def asks_about_it(context: Context) -> str:
        with suppress(StepFailed):
            await context.step(charge)
        await context.ask(TextPrompt(text="It was refused. Go on?"))
        return await wrong(context)

    broken["now"] = True
    async with asking(host_code(asks_about_it)) as (hosting, run, prompt):
        await hosting.answer("yes", prompt)
        await resume_to_end(hosting, await hosting.until_ended(run))
        assert executed == ["charge"]


async def test_a_resumed_run_asks_its_open_prompt_again() -> None:
    async def asks_and_charges(context: Context) -> str:
        answer, paid = await asyncio.gather(
            context.ask(TextPrompt(text="beside?")), context.step(charge)
        )
        return f"{answer.text} {paid}"

    broken["now"] = True
    async with Hosting("t_deployed") as hosting:
        run = await failed_after_an_answer(hosting, asks_and_charges)
        broken["now"] = False
        assert await runs.aresume(run.id, by=django_user("an operator"))
        [anew] = await hosting.prompts(run.id)
        assert await hosting.complete(run.id, "no", anew, restart=True) == "yes no paid"
        rows = Interaction.objects.filter(run=run, prompt__text="beside?").order_by("sequence")
        prompts = await reads.read(lambda: list(rows.values_list("status", "position")))
        assert prompts == [("cancelled", None), ("answered", 4)]


async def test_a_suspended_run_keeps_its_open_prompt(settings: Settings) -> None:
    async def asks_beside_steps(context: Context) -> str:
        answer, *_ = await asyncio.gather(
            context.ask(TextPrompt(text="beside?")), asks(context, right)
        )
        return answer.text

    set_hitl(settings, MAX_CALLS=3)
    async with Hosting("t_deployed") as hosting:
        executed.clear()
        deploy(asks_beside_steps)
        run = await hosting.submit()
        beside, first = await hosting.prompts(run, 2)
        await hosting.answer("go on", first)
        await hosting.until_status(run, Run.Status.SUSPENDED)
        set_hitl(settings, MAX_CALLS=9)
        assert await runs.aresume(run, by=django_user("an operator"))
        assert await hosting.complete(run, "yes", beside) == "yes"


async def test_a_step_that_failed_beside_others_before_a_clock_set_back_is_done_again() -> None:
    step_failed = asyncio.Event()

    async def refused() -> str:
        clock.shift(timedelta(hours=-1))
        try:
            return charge()
        finally:
            step_failed.set()

    async def later() -> str:
        await step_failed.wait()
        return work("later")

    async def code(context: Context) -> str:
        return " ".join(await context.gather(context.step(refused), context.step(later)))

    broken["now"] = True
    with time_machine.travel(timezone.now(), tick=True) as clock:
        async with Hosting("t_deployed") as hosting:
            run = await failed_after_an_answer(hosting, code)
            broken["now"] = False
            assert (await resume_to_end(hosting, run)).status == Run.Status.COMPLETED
            assert executed == ["a", "charge", "later", "charge"]


pieces: list[str] = []


@workflow(name="t_resumed_text", title="Says what it is told, and fails")
async def says(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield "Hello. "
    await context.step(work, "a")
    for piece in pieces:
        yield piece
        await asyncio.sleep(0.01)
    if broken["now"]:
        raise ValueError("no such word")
    yield "Done."


@pytest.mark.parametrize(
    ("then", "restarts"), [(["one ", "two "], 0), (["one ", "three "], 1), (["one "], 1)]
)
async def test_text_goes_on_where_it_failed(then: list[str], restarts: int) -> None:
    broken["now"] = True
    pieces[:] = ["one ", "two "]
    async with Hosting("t_resumed_text") as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert await hosting.output(run.id) == "Hello. one two "
        broken["now"], pieces[:] = False, then
        assert (await resume_to_end(hosting, run)).status == Run.Status.COMPLETED
        assert await hosting.output(run.id) == f"Hello. {''.join(then)}Done."
        events = await hosting.events()
        types = [event.type for event in events]
        assert types.count(Event.Type.RESTART) == restarts
        assert Event.Type.TEXT not in types
        # Clients that read the log after the end, and ignore restarts, get no text twice.
        texts = [one.payload["text"] for one in events if one.type == Event.Type.MESSAGE]
        assert "".join(texts) == f"Hello. {''.join(then)}Done."


@pytest.mark.slow
async def test_withdrawn_text_stays_withdrawn_through_resumptions() -> None:
    def gone() -> list[str]:
        folded = Event.objects.filter(run=run.id, payload__has_key="taken_back")
        return [event.payload["taken_back"] for event in folded.order_by("sequence")]

    broken["now"] = True
    pieces[:] = ["one ", "two "]
    async with Hosting("t_resumed_text") as hosting:
        run = await hosting.until_ended(await hosting.submit())
        for again, restarts in (["one ", "three "], 1), (["one ", "three "], 1), (["four "], 2):
            pieces[:] = again
            assert (await resume_to_end(hosting, run)).status == Run.Status.FAILED
            assert await hosting.output(run.id) == f"Hello. {''.join(again)}"
            types = [event.type for event in await hosting.events()]
            assert types.count(Event.Type.RESTART) == restarts
        broken["now"] = False
        assert (await resume_to_end(hosting, run)).status == Run.Status.COMPLETED
        assert await hosting.output(run.id) == "Hello. four Done."
        # Discarded text is still readable for operators.
        assert await reads.read(gone) == ["one two ", "one three "]


async def test_what_a_resumed_run_says_is_not_in_a_history_that_was_read_before() -> None:
    async def code(context: Context) -> str:
        if context.input_message == "first":
            return await context.step(charge)
        past = await context.history()
        await context.ask(TextPrompt(text="?"))
        return str([one.text for one in past])

    broken["now"] = True
    async with host_code(code, second_message="parallel") as hosting:
        first = await hosting.submit("first")
        await hosting.until_ended(first)
        run, prompt = await hosting.submit_until_prompt("second")
        broken["now"] = False
        await runs.aresume(first, by=django_user("ann"))
        assert await hosting.result(first) == "paid"
        await hosting.restart()
        await hosting.answer("yes", prompt)
        assert await hosting.result(run) == "['first']"
