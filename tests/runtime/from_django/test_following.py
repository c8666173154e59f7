"""Tests of following runs from Python: results and events."""

import time
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from sessions_app import runs
from sessions_app.errors import NotFound
from sessions_app.models import Event, Run
from sessions_app.runs.following import EVENTS_PER_READ
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.database.stored_log import StoredLog
from tests.support.hosting import asking, running

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_told", title="Told")
async def asks_for_a_name(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield "one "
    answer = await context.ask(TextPrompt(text="Name?"))
    yield "two "
    if answer.text == "fail":
        raise ValueError("on purpose")
    yield answer.text


def types(events: list[Any]) -> list[str]:
    return [event.type for event in events]


def text(events: list[Any]) -> str:
    return "".join(event.payload["text"] for event in events if event.type == "text")


def all_events(run: UUID, after: int = 0) -> list[Any]:
    return list(runs.events(run, after=after, timeout=30))


async def test_events_come_as_they_are_stored_up_to_the_end_of_the_run() -> None:
    async with running("t_told") as (hosting, run):
        events = []
        async for event in runs.aevents(run, timeout=30):
            events.append(event)
            if event.type == "interaction":
                await hosting.answer("Eve")
        assert types(events)[0] == "user_message"
        assert types(events)[-1] == "run"
        assert text(events) == "one two Eve"
        again = await hosting.in_thread(all_events, run)
    assert text(again) == "one two Eve"
    assert again[-1] == events[-1]


async def test_events_after_a_sequence_are_the_rest() -> None:
    async with asking("t_told") as (hosting, run, _):
        first = await _until(run, "interaction")
        await hosting.answer("Eve")
        await hosting.until_ended(run)
        rest = await hosting.in_thread(all_events, run, first[-1].sequence)
        assert text(first) + text(rest) == "one two Eve"
        assert not await hosting.in_thread(all_events, run, rest[-1].sequence)


async def _until(run: UUID, type_: str) -> list[Any]:
    events = []
    async for event in runs.aevents(run, timeout=30):
        events.append(event)
        if event.type == type_:
            break
    return events


def test_a_failure_from_which_the_run_went_on_is_not_its_end() -> None:
    log = StoredLog(User.objects.create(username="ann"))
    run = log.message()
    log.text(run, *["."] * (EVENTS_PER_READ - log.last - 1))
    for status in ("failed", "queued", "running", "completed"):
        log.append(run, Event.Type.RUN, {"status": status})
    Run.objects.filter(pk=run.pk).update(status=Run.Status.COMPLETED)
    assert [event.sequence for event in all_events(run.pk)] == list(range(1, log.last + 1))


async def test_the_result_of_a_failed_run_has_status_failed() -> None:
    async with asking("t_told") as (hosting, run, _):
        await hosting.answer("fail")
        result = await runs.aresult(run, timeout=30)
    assert (result.status, result.text) == (Run.Status.FAILED, "one two ")
    assert result.error is not None
    assert result.error.keys() == {"code", "message"}


async def test_waiting_for_a_result_or_events_can_time_out() -> None:
    async with asking("t_told") as (hosting, run, _):
        for gives_up in (
            runs.aresult(run, timeout=0),
            hosting.in_thread(runs.result, run, timeout=0.01),
            hosting.in_thread(lambda: list(runs.events(run, timeout=0))),
        ):
            with pytest.raises(TimeoutError):
                await gives_up
        for unknown in (runs.aresult(uuid4()), hosting.in_thread(all_events, uuid4())):
            with pytest.raises(NotFound):
                await unknown


async def test_each_event_has_its_own_time_to_come() -> None:
    def seconds_until_timeout(run: UUID) -> float:
        events = runs.events(run, timeout=0.3)
        while next(events).type != "interaction":
            pass
        time.sleep(0.3)  # time that the caller spends between two events
        began_at = time.monotonic()
        with pytest.raises(TimeoutError):
            list(events)
        return time.monotonic() - began_at

    async with asking("t_told") as (hosting, run, _):
        assert await hosting.in_thread(seconds_until_timeout, run) >= 0.3


async def test_nobody_waits_in_a_transaction() -> None:
    def in_transaction(run: UUID) -> None:
        for waits in (runs.result, all_events):
            with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
                waits(run)

    async with asking("t_told") as (hosting, run, _):
        await hosting.in_thread(in_transaction, run)
