"""Tests of waiting for other systems: each value arrives once, in order, whenever it is sent."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from pytest_django import Settings

from sessions_app import runs
from sessions_app.conversations import arrivals
from sessions_app.errors import Invalid, NoPerson, NotFound
from sessions_app.journal.journal import Call, CallResult
from sessions_app.models import Arrival, JournalEntry, Run
from sessions_app.storage.records import RunRecord
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import Context, Message, NothingCame, TextPrompt, workflow
from sessions_app.workflows.callbacks import callback_url
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, asking, django_user, running, until
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)

ACCEPTED, DUPLICATE, STALE = runs.Outcome.ACCEPTED, runs.Outcome.DUPLICATE, runs.Outcome.STALE


@workflow(name="t_waits", title="Waits")
async def waits(message: Message, context: Context) -> AsyncGenerator[str, None]:
    match message.text.split():
        case ["times", count]:
            for _ in range(int(count)):
                yield f"{await context.wait_for('payment')} "
        case ["at", "once"]:
            both = [context.wait_for("payment") for _ in range(2)]
            yield " ".join(map(str, await context.gather(*both)))
        case ["after", "asking"]:
            name = await context.ask(TextPrompt(text="Name?"))
            yield f"{name.text} {await context.wait_for('payment')}"
        case ["until", seconds]:
            try:
                yield str(await context.wait_for("payment", timeout=float(seconds)))
            except NothingCame as error:
                yield f"no {error.name}"
            yield f" {(await context.ask(TextPrompt(text='Name?'))).text}"


async def until_waiting(hosting: Hosting, run: UUID, count: int = 1) -> None:
    """Wait until the run has so many open waits."""
    open_waits = JournalEntry.objects.filter(run=run, kind="wait", finished_at=None)
    await until(lambda: open_waits.count() == count)


async def send(run: UUID, payload: Any, name: str = "payment", **fields: Any) -> runs.Outcome:
    return await runs.asend(run, name, payload, id=fields.pop("id", uuid4().hex))


@pytest.mark.parametrize("park_after", [0, 60])
async def test_messages_to_a_run_are_delivered_once_and_in_order(park_after: float) -> None:
    async with running(Hosting("t_waits", park_after=park_after), "times 3") as (hosting, run):
        await until_waiting(hosting, run)
        assert await send(run, {"eur": 5}, id="a") == ACCEPTED
        assert await send(run, {"eur": 5}, id="a") == DUPLICATE
        assert await send(run, "else", name="parcel") == ACCEPTED
        assert await send(run, 2) == ACCEPTED
        assert await send(run, None) == ACCEPTED
        assert await hosting.result(run) == "{'eur': 5} 2 None "
        assert await send(run, {"eur": 5}, id="a") == DUPLICATE
        assert await send(run, 4) == STALE


async def test_callbacks_whose_names_have_colons_are_told_apart(settings: Settings) -> None:
    set_hitl(settings, CALLBACKS_URL="https://site.example/callbacks/")
    async with running("t_waits", "times 1") as (_, run):
        urls = [callback_url(str(run), *names) for names in (("a:b", "c"), ("a", "b:c"))]
        tokens = [url.rpartition("/")[2] for url in [*urls, *urls]]
        outcomes = [await runs.acall_back(token, 1) for token in tokens]
    assert outcomes == [ACCEPTED, ACCEPTED, DUPLICATE, DUPLICATE]


async def test_of_messages_sent_before_the_wait_the_first_is_taken() -> None:
    async with asking("t_waits", "after asking") as (hosting, run, _):
        assert await send(run, 7) == ACCEPTED
        assert await send(run, 8) == ACCEPTED
        assert await hosting.complete(run, "Eve") == "Eve 7"


async def test_of_waits_at_once_the_first_gets_what_comes_first() -> None:
    async with running("t_waits", "at once") as (hosting, run):
        await until_waiting(hosting, run, 2)
        await send(run, 1)
        await send(run, 2)
        assert await hosting.result(run) == "1 2"


async def test_a_message_to_a_suspended_run_is_kept_for_its_resumption(
    settings: Settings,
) -> None:
    set_hitl(settings, MAX_CALLS=1)
    async with running("t_waits", "times 2") as (hosting, run):
        await send(run, 1)
        await hosting.until_status(run, Run.Status.SUSPENDED)
        assert await send(run, 2) == ACCEPTED
        set_hitl(settings, MAX_CALLS=9)
        assert await runs.aresume(run, by=django_user("an operator"))
        assert await hosting.result(run) == "1 2 "


@pytest.mark.parametrize("park_after", [0, 60])
async def test_a_wait_that_times_out_continues_without_a_message(park_after: float) -> None:
    async with running(Hosting("t_waits", park_after=park_after), "until 0.2") as (hosting, run):
        ended_waits = JournalEntry.objects.filter(run=run, kind="wait").exclude(finished_at=None)
        while not await hosting.in_thread(ended_waits.exists):
            await hosting.settle_due()
        await hosting.prompts(run)
        assert await send(run, "late") == ACCEPTED
        assert await hosting.complete(run, "Eve", restart=True) == "no payment Eve"


@pytest.mark.slow
@pytest.mark.local_only(reason="of many processes another host takes it up, and knows the time")
async def test_a_wait_times_out_after_a_crash_too() -> None:
    async with running("t_waits", "until 3600") as (hosting, run):
        await until_waiting(hosting, run)
        await hosting.crash()
        await hosting.advance(hours=2)
        await hosting.prompts(run)


async def test_a_message_just_sent_wins_over_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is stored after the timeout, but before the run is told of the timeout."""
    expire = arrivals.expire

    def too_late(tx: Transaction, run: RunRecord, call: Call) -> CallResult:
        assert arrivals.send(tx, run.id, "payment", "paid", "a") == ACCEPTED
        return expire(tx, run, call)

    monkeypatch.setattr(arrivals, "expire", too_late)
    async with asking("t_waits", "until 0.01") as (hosting, run, _):
        [waited, *_] = await hosting.journal(run)
        assert (waited.result, waited.error) == ("paid", None)
        assert await hosting.complete(run, "Eve", restart=True) == "paid Eve"


async def test_concurrent_sends_with_one_id_deliver_one_message() -> None:
    async with running("t_waits", "times 2") as (hosting, run):
        await until_waiting(hosting, run)
        outcomes = await asyncio.gather(*(send(run, 1, id="a") for _ in range(20)))
        assert sorted(outcomes) == [ACCEPTED, *[DUPLICATE] * 19]
        await until_waiting(hosting, run)
        await runs.acancel(run)
        assert (await runs.aresult(run, timeout=30)).text == "1 "


async def test_a_rolled_back_message_never_arrives() -> None:
    def undone(run: UUID) -> None:
        with transaction.atomic():
            runs.send(run, "payment", 1, id="a")
            transaction.set_rollback(True)

    async with running("t_waits", "times 1") as (hosting, run):
        await until_waiting(hosting, run)
        await hosting.in_thread(undone, run)
        assert not await hosting.in_thread(Arrival.objects.count)
        assert await hosting.in_thread(lambda: runs.send(run, "payment", 2, id="a")) == ACCEPTED
        assert await hosting.result(run) == "2 "


async def test_invalid_messages_to_a_run_are_refused() -> None:
    async with running("t_waits", "times 1") as (_, run):
        for name, payload, sent_id in (
            ("", 1, "a"),
            ("payment", 1, ""),
            ("payment", "\0", "a"),
            ("payment", object(), "a"),
            ("n" * 201, 1, "a"),
        ):
            with pytest.raises(Invalid):
                await runs.asend(run, name, payload, id=sent_id)
        with pytest.raises(NotFound):
            await send(uuid4(), 1)


async def test_a_script_has_nobody_who_sends() -> None:
    with pytest.raises(NoPerson, match="script"):
        await in_script("t_waits", "times 1")
