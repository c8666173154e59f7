"""Tests of signals: sent after the commit, at least once; no row is stored without a receiver."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from sessions_app import runs, signals
from sessions_app.models import Interaction, PendingSignal, Run
from sessions_app.signals import delivery
from sessions_app.signals.delivery import Delivery, send_due
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import Hosting, asking, make_user, until, until_true

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_signals", title="Signals")
async def asks(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield (await context.ask(TextPrompt(text="Name?"))).text


@asynccontextmanager
async def deliver_signals() -> Any:
    """Deliver signals as a hosting process does."""
    task = asyncio.create_task(Delivery(is_single_process=True).main())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def received_signals() -> list[tuple[str, Any]]:
    """Return the list of calls that receivers of all signals get."""
    received_signals: list[tuple[str, Any]] = []

    def of(name: str) -> Any:
        def receive(sender: Any, **row: Any) -> None:
            row.pop("signal")
            [value] = row.values()
            assert type(value) is sender
            assert not connection.in_atomic_block
            received_signals.append((name, value))

        return receive

    for name, signal in signals.SIGNALS.items():
        signal.connect(of(name), weak=False)
    return received_signals


async def none_pending() -> None:
    await until(lambda: not PendingSignal.objects.exists())


async def test_signals_are_sent_from_the_question_to_the_end_of_a_run(
    received_signals: list[tuple[str, Any]],
) -> None:
    async with Hosting("t_signals") as hosting, deliver_signals():
        run, prompt = await hosting.submit_until_prompt()
        await until_true(lambda: received_signals)
        assert received_signals == [("interaction_opened", prompt)]
        await hosting.answer("Eve")
        await hosting.until_ended(run)
        await none_pending()
    names, rows = zip(*received_signals, strict=True)
    assert names == ("interaction_opened", "interaction_settled", "run_finished")
    assert isinstance(rows[1], Interaction)
    assert rows[1].response == {"value": "Eve"}
    assert isinstance(rows[2], Run)
    assert (rows[2].pk, rows[2].status) == (run, "completed")


async def test_a_signal_that_this_version_does_not_know_keeps_no_other(
    received_signals: list[tuple[str, Any]],
) -> None:
    async with asking("t_signals") as (_, run, prompt):
        unknown = await PendingSignal.objects.acreate(
            name="of_another_version", run_id=run, due_at=timezone.now()
        )
        assert await send_due()
        assert received_signals == [("interaction_opened", prompt)]
        [left] = [one async for one in PendingSignal.objects.all()]
        assert (left.pk, left.error) == (unknown.pk, "'of_another_version'")


async def test_a_question_is_settled_by_its_runs_end(
    received_signals: list[tuple[str, Any]],
) -> None:
    async with asking("t_signals") as (hosting, run, _), deliver_signals():
        assert await hosting.in_thread(runs.cancel, run)
        assert (await runs.aresult(run, 10)).status == Run.Status.CANCELLED
        assert not await runs.acancel(run)
        await none_pending()
    assert [(name, row.status) for name, row in received_signals[-2:]] == [
        ("interaction_settled", "cancelled"),
        ("run_finished", "cancelled"),
    ]


async def test_nothing_is_written_where_nobody_receives() -> None:
    async with asking("t_signals") as (hosting, run, _):
        await hosting.answer("Eve")
        await hosting.until_ended(run)
        assert not await hosting.in_thread(PendingSignal.objects.count)


@pytest.mark.slow
async def test_an_answer_that_is_rolled_back_was_never_given_and_sends_no_signal(
    received_signals: list[tuple[str, Any]],
) -> None:
    async with asking("t_signals") as (hosting, run, prompt), deliver_signals():
        await none_pending()

        def undone() -> None:
            with transaction.atomic():
                runs.answer(prompt.pk, "Eve", by=make_user("ann"))
                transaction.set_rollback(True)

        await hosting.in_thread(undone)
        assert [one.id for one in await hosting.prompts(run)] == [prompt.id]
        assert not await hosting.in_thread(PendingSignal.objects.count)
    assert [name for name, _ in received_signals] == ["interaction_opened"]


@pytest.mark.slow
async def test_a_receiver_that_raises_is_called_again(
    received_signals: list[tuple[str, Any]],
) -> None:
    failures = [ValueError("on purpose"), ValueError("on purpose, again")]

    def receive(**_: Any) -> None:
        if failures:
            raise failures.pop()

    signals.run_finished.connect(receive)
    async with asking("t_signals") as (hosting, run, _), deliver_signals():
        await hosting.answer("Eve")
        await hosting.until_ended(run)
        await until_true(lambda: not failures)
        await none_pending()
    assert [name for name, _ in received_signals].count("run_finished") == 3


@pytest.mark.parametrize(("attempts", "pause"), [(0, 1), (5, 32), (30, 3600)])
async def test_a_receiver_that_raises_again_and_again_is_called_less_often(
    attempts: int, pause: int
) -> None:
    def receive(**_: Any) -> None:
        raise ValueError("on purpose")

    signals.interaction_opened.connect(receive)
    async with asking("t_signals") as (hosting, _, _):
        failed_at = timezone.now()
        await hosting.in_thread(PendingSignal.objects.update, attempts=attempts, due_at=failed_at)
        assert await send_due()
        pending = await hosting.in_thread(PendingSignal.objects.get)
    assert pending.attempts == attempts + 1
    pause_time = timedelta(seconds=pause)
    assert failed_at + pause_time <= pending.due_at <= timezone.now() + pause_time


async def test_a_signal_being_sent_is_not_sent_twice() -> None:
    """A receiver may take long, for example to send a mail."""
    began, gate = threading.Event(), threading.Event()

    def receive(**_: Any) -> None:
        began.set()
        gate.wait(5)

    signals.interaction_opened.connect(receive)
    async with asking("t_signals"):
        sending = asyncio.create_task(send_due())
        await asyncio.to_thread(began.wait, 10)
        assert not await send_due()
        gate.set()
        assert await sending


@pytest.mark.slow
async def test_signals_taken_by_a_dead_process_are_sent(
    received_signals: list[tuple[str, Any]],
) -> None:
    async with asking("t_signals") as (hosting, _, _):
        taken_fields = {"due_at": "2100-01-01T00:00:00Z", "attempts": 1}
        await hosting.in_thread(PendingSignal.objects.update, **taken_fields)
        async with deliver_signals():
            await none_pending()
    assert [name for name, _ in received_signals] == ["interaction_opened"]


async def test_a_conversation_is_deleted_with_its_signals(
    received_signals: list[tuple[str, Any]],
) -> None:
    async with asking("t_signals") as (hosting, run, _):
        await hosting.answer("Eve")
        await hosting.until_ended(run)
        deleted = await hosting.in_thread(Run.objects.get, pk=run)
        await hosting.in_thread(deleted.delete)
        async with deliver_signals():
            await none_pending()
    assert not received_signals


@pytest.mark.slow
async def test_a_receiver_that_hangs_delays_no_other_run_and_no_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "RECEIVERS_TIME", 1.0)
    gate, calls, received = threading.Event(), [], []

    def receive(interaction: Interaction, **_: Any) -> None:
        calls.append(interaction.pk)
        if interaction.pk == calls[0]:
            gate.wait()
        received.append(interaction.pk)

    signals.interaction_opened.connect(receive)
    try:
        async with asking("t_signals") as (hosting, _, hung), deliver_signals():
            await until_true(lambda: calls == [hung.pk])
            _, other = await hosting.submit_until_prompt(conversation="other")
            await until_true(lambda: received == [other.pk])
            await until_true(lambda: calls.count(hung.pk) == 2)  # abandoned, and called again
            pending = await hosting.in_thread(PendingSignal.objects.get)
            assert (pending.interaction_id, pending.error) == (hung.pk, delivery.TOO_LATE)
    finally:
        gate.set()
