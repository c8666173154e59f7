"""Tests that the transaction that stores a message also takes it up, if its host is here."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model

from sessions_app import runs
from sessions_app.hosting import host, run_selection
from sessions_app.hosting.lease import Lease
from sessions_app.hosting.run_selection import DrivenRuns, Selection, select_runs
from sessions_app.interactions.answers import IncomingAnswer, answer, answer_together
from sessions_app.models import Run
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.runtime.assignment.asking import answer_to
from tests.support.hosting import Hosting, until_true

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.local_only("several processes")]

executed: Counter[str] = Counter()
running = asyncio.Event()


@workflow(name="t_taken", title="Taken", description="Says what it is told.")
async def taken(message: Message, context: Context) -> str:
    executed[context.run_id] += 1
    if message.text == "pause":
        await asyncio.sleep(0.01)
    if message.text == "long":
        await running.wait()
    return message.text


@pytest.mark.slow
async def test_each_message_is_executed_once_in_any_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host may be selecting runs, executing another run, or releasing its key."""
    monkeypatch.setattr(host, "LINGER", 0.002)
    chance = random.Random(1)
    async with Hosting("t_taken") as hosting:
        runs = []
        for number in range(150):
            text = "pause" if chance.random() < 0.3 else "go"
            runs.append(await hosting.submit(text, conversation=f"c{number % 2}"))
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.002, 0.003, 0.006]))
        for run in runs:
            assert (await hosting.until_ended(run)).status == Run.Status.COMPLETED
        assert {str(run): executed[str(run)] for run in runs} == {str(run): 1 for run in runs}
        for name in ("c0", "c1"):
            events = await hosting.events(name)
            begun_ids = [event.run for event in events if event.payload.get("status") == "running"]
            assert len(begun_ids) == len(set(begun_ids)), "a run was taken up twice"


async def test_a_burst_of_messages_in_one_transaction_is_executed_in_order() -> None:
    async with Hosting("t_taken") as hosting:
        await hosting.until_ended(await hosting.submit())
        runs = await asyncio.gather(*(hosting.submit(f"say {number}") for number in range(30)))
        for run in runs:
            await hosting.until_ended(run)
        texts = [e.payload["text"] for e in await hosting.events() if e.type == "message"]
        assert texts == ["go", *(f"say {number}" for number in range(30))]


@workflow(name="t_card", title="Asks two on one card")
async def card(message: Message, context: Context) -> str:
    answers = await context.ask_all([TextPrompt(text="a"), TextPrompt(text="b")], together="Two")
    return " ".join(answer.text for answer in answers)


@asynccontextmanager
async def parked_card() -> AsyncIterator[tuple[Hosting, UUID, list[IncomingAnswer]]]:
    """Yield a run out of memory with two open prompts, while its host is up."""
    async with Hosting("t_card", second_message="parallel") as hosting:
        run = await hosting.submit()
        prompts = await hosting.prompts(run, 2)
        await hosting.restart()
        await hosting.prompts(await hosting.submit(), 2)
        yield hosting, run, [answer_to(prompt) for prompt in prompts]


async def test_a_parked_run_goes_on_with_answers_of_one_transaction() -> None:
    async with parked_card() as (hosting, run, both):
        await answer_together(by=hosting.person, conversation_id="c", answers=both)
        assert await hosting.result(run) == "yes yes"


async def test_an_answer_is_kept_for_a_run_whose_look_is_on_its_way() -> None:
    """An answer and a message are stored while the host is selecting runs."""
    async with parked_card() as (hosting, run, [one, two]):
        [host] = hosting.hosts
        gate = threading.Event()

        def hold() -> None:  # all writes that are queued until then share one transaction
            gate.wait(10)

        held = writer.write(lambda tx: tx.after_commit.append(hold))
        by = await get_user_model().objects.aget(pk=hosting.user)
        await hosting.in_thread(runs.answer, UUID(one.interaction or ""), "yes", by=by)
        await until_true(lambda: not host.woken)
        answering = answer(by=hosting.person, conversation_id="c", answer=two)
        work = asyncio.gather(held, answering, hosting.submit())
        await asyncio.sleep(0)
        gate.set()
        await work
        assert await hosting.result(run) == "yes yes"


async def test_a_run_taken_up_during_shutdown_continues_after_the_next_start() -> None:
    async with Hosting("t_taken") as hosting:
        await hosting.until_ended(await hosting.submit())
        submitting = [asyncio.create_task(hosting.submit("pause")) for _ in range(10)]
        await until_true(lambda: any(task.done() for task in submitting))
        await hosting.stop()
        runs = await asyncio.gather(*submitting)
        await hosting.start()
        for run in runs:
            assert (await hosting.until_ended(run)).status == Run.Status.COMPLETED


async def test_a_message_in_the_transaction_in_which_its_host_lets_go_is_executed() -> None:
    held, gate = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        held.set()
        gate.wait(10)

    async def queued_messages(count: int) -> None:
        await until_true(lambda: writer._threads[0].queue.qsize() == count)

    async with Hosting("t_taken") as hosting:
        await hosting.until_ended(await hosting.submit())
        [host] = hosting.hosts
        holding = writer.write(hold)
        await asyncio.to_thread(held.wait, 10)
        host.evict_waiting_runs()
        await queued_messages(1)
        submitting = asyncio.create_task(hosting.submit())
        await queued_messages(2)
        gate.set()
        await holding
        assert await hosting.result(await submitting) == "go"


async def test_work_that_comes_as_a_host_begins_or_ends_has_another_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, going = list[str](), asyncio.Event()

    async def serve(key: str, **_: bool) -> None:
        served.append(key)
        await going.wait()

    async with Hosting("t_taken") as hosting:
        monkeypatch.setattr(hosting.hosts, "serve", serve)
        await hosting.announce("key")
        await until_true(lambda: served)
        await hosting.announce("key")
        going.set()
        await until_true(lambda: served == ["key", "key"])


@pytest.mark.slow
async def test_a_message_behind_many_others_reads_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = []

    def select(tx: Transaction, lease: Lease, driven: DrivenRuns) -> Selection:
        selected = select_runs(tx, lease, driven)
        looks.append(len(selected.seen))
        return selected

    async with Hosting("t_taken") as hosting:
        await hosting.until_ended(await hosting.submit())
        await hosting.until_status(await hosting.submit("long"), Run.Status.RUNNING)
        monkeypatch.setattr(run_selection, "select_runs", select)
        async with asyncio.TaskGroup() as submitting:
            tasks = [submitting.create_task(hosting.submit(f"say {n}")) for n in range(100)]
        assert len(looks) < 10, "each message looked at those before it"
        running.set()
        for task in tasks:
            assert (await hosting.until_ended(task.result())).status == Run.Status.COMPLETED
