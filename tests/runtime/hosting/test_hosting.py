"""Tests of when a run is executed: policies, limits, builders, runs that kill their process."""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.utils import timezone
from pydantic import BaseModel

from sessions_app import runs
from sessions_app.conversations import stops
from sessions_app.errors import Busy, Fenced, StorageUnavailable
from sessions_app.hosting import host as host_module
from sessions_app.hosting import run_selection, run_writes
from sessions_app.hosting.host import HostingOptions
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.lease import Lease, LeaseFreshness, release_lease, take_lease
from sessions_app.hosting.run_selection import MAX_CRASHES, Selection
from sessions_app.hosting.run_writes import LeasedRun
from sessions_app.journal.journal import Call
from sessions_app.models import Conversation, Event, HostLease, Interaction, JournalEntry, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.storage import reads, sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer
from sessions_app.workflows import Context, Message, Person, TextPrompt, workflow
from tests.support.database.outage import database_away
from tests.support.database.stored_log import log_record
from tests.support.hosting import (
    Hosting,
    asking,
    django_user,
    make_user,
    output,
    problem,
    running,
    until,
    until_true,
)
from tests.support.sessions import turns

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_ask", title="Ask")
async def ask(message: Message, context: Context) -> AsyncGenerator[str, None]:
    if message.text.startswith("echo"):
        yield message.text
        return
    answer = await context.ask(TextPrompt(text=message.text))
    yield f"{message.text}={answer.text}"


async def test_reject_a_second_message_is_refused_and_not_stored_but_not_the_first_again() -> None:
    async with running(Hosting("t_ask", second_message="reject"), "one") as (hosting, first):
        with pytest.raises(Busy):
            await hosting.submit("two")
        message_id = (await hosting.until_status(first, "waiting")).message_id
        # A repetition of the first message.
        assert await hosting.submit("one", message_id=message_id) == first
        await hosting.answer("x")
        await hosting.until_ended(first)
        await hosting.until_ended(await hosting.submit("echo"))


async def test_interrupt_a_second_message_stops_the_first() -> None:
    async with asking(Hosting("t_ask", second_message="interrupt"), "one") as (hosting, first, _):
        second = await hosting.submit("echo")
        assert (await hosting.until_ended(second)).status == Run.Status.COMPLETED
        assert (await hosting.until_ended(first)).status == Run.Status.CANCELLED


async def test_parallel_runs_go_side_by_side() -> None:
    async with Hosting("t_ask", second_message="parallel") as hosting:
        first, second = await hosting.submit("one"), await hosting.submit("two")
        [one], [two] = await hosting.prompts(first), await hosting.prompts(second)
        await hosting.answer("2", two)
        await hosting.until_ended(second)
        assert await hosting.complete(first, "1", one) == "one=1"


async def test_run_selection_reads_few_of_many_queued_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_selection, "AT_ONCE", 2)
    read, look, queued = run_selection._read, run_selection.select_runs, list[int]()

    def read_and_count(*row: Any) -> run_selection.UnfinishedRun:
        run = read(*row)
        queued[-1] += run.status == Run.Status.QUEUED
        return run

    def select(tx: Transaction, lease: Lease, driven_runs: run_selection.DrivenRuns) -> Selection:
        queued.append(0)
        return look(tx, lease, driven_runs)

    monkeypatch.setattr(run_selection, "_read", read_and_count)
    monkeypatch.setattr(host_module, "select_runs", select)
    async with asking("t_ask", "one") as (hosting, _, _):
        echoes = [await hosting.submit("echo") for _ in range(7)]
        await hosting.answer("x")
        for run in echoes:
            await hosting.until_ended(run)
    assert max(queued) == 2


async def test_parallel_runs_all_start_though_few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_selection, "AT_ONCE", 2)
    async with Hosting("t_ask", second_message="parallel") as hosting:
        await hosting.stop()
        runs = [await hosting.submit(f"{number}") for number in range(7)]
        await hosting.start()
        for run in runs:
            await hosting.prompts(run)


async def test_the_same_message_again_starts_nothing_new() -> None:
    async with running("t_ask", "echo", message_id="m") as (hosting, first):
        await hosting.until_ended(first)
        assert await hosting.submit("echo", message_id="m") == first
        assert await hosting.submit("echo", message_id="m", conversation="other") != first


async def test_a_conversation_is_named_after_the_beginning_of_its_first_message() -> None:
    async with running("t_ask", "echo\n" + "word " * 100):
        title = await reads.read(lambda: Conversation.objects.get().title)
    assert title == ("echo " + "word " * 100)[:80]


async def test_ten_wait_and_an_eleventh_gets_its_answer_under_a_limit_of_eight() -> None:
    async with Hosting("t_ask", max_concurrency=8) as hosting:
        waiting = [await hosting.submit("q", conversation=f"c{n}") for n in range(10)]
        for run in waiting:
            await hosting.prompts(run)
        last = await hosting.submit("echo", conversation="eleventh")
        assert (await hosting.until_ended(last)).status == Run.Status.COMPLETED


at_once = [0, 0]
busy_gates: list[asyncio.Semaphore] = []


@workflow(name="t_busy", title="Busy")
async def busy(message: Message, context: Context) -> AsyncGenerator[str, None]:
    at_once[0] += 1
    at_once[1] = max(at_once)
    await busy_gates[0].acquire()
    at_once[0] -= 1
    yield "done"


async def test_working_runs_keep_the_limit() -> None:
    at_once[:] = [0, 0]
    busy_gates[:] = [asyncio.Semaphore(0)]
    async with Hosting("t_busy", max_concurrency=3, max_concurrency_per_user=3) as hosting:
        runs = [await hosting.submit(conversation=f"c{n}") for n in range(9)]
        for most in (3, 3, 3, 3, 3, 3, 3, 2, 1):
            await until_true(lambda most=most: at_once[0] >= most)  # type: ignore[misc]
            busy_gates[0].release()
        for run in runs:
            await hosting.until_ended(run)
        assert at_once[1] == 3


built: list[str] = []


@asynccontextmanager
async def make_builder(user: Person, options: BaseModel) -> AsyncIterator[dict[str, int]]:
    if user.username == "nobody":
        raise OSError("secret address")
    built.append(f"+{user.username}")
    yield {"count": 0}
    built.append(f"-{user.username}")


@workflow(name="t_built", title="Built", per_user_builder=make_builder)
async def with_builder(message: Message, context: Context) -> AsyncGenerator[str, None]:
    context.builder["count"] += 1
    if message.text == "ask":
        yield (await context.ask(TextPrompt(text="?"))).text
    else:
        yield str(context.builder["count"])


async def test_a_users_runs_share_one_builder_which_is_closed_at_the_end() -> None:
    built.clear()
    async with Hosting("t_built") as hosting:
        runs = [await hosting.submit(conversation=f"c{n}") for n in range(3)]
        assert sorted([await hosting.result(run) for run in runs]) == ["1", "2", "3"]
        info = hosting.hosts._pools["t_built"].user_builders.infos[str(hosting.user)]
        assert (info.total_requests, info.error_count, info.ref_count) == (3, 0, 0)
        assert built == ["+ann"]
    assert built == ["+ann", "-ann"]


@pytest.mark.parametrize("idle", [0, 0.05])
async def test_an_idle_builder_is_closed_and_built_anew(idle: float) -> None:
    built.clear()
    async with Hosting("t_built", per_user_idle=idle) as hosting:
        await hosting.until_ended(await hosting.submit())
        await until_true(lambda: built == ["+ann", "-ann"])
        assert await hosting.reply_to() == "1"


loading: dict[str, asyncio.Event] = {}


async def load_model(options: BaseModel) -> str:
    loading["begun"].set()
    await loading["end"].wait()
    return "loaded"


@workflow(name="t_slow_builder", title="Loads a model", shared_builder=load_model)
async def with_model(message: Message, context: Context) -> str:
    return str(context.builder)


async def test_a_shared_builder_that_takes_long_keeps_no_other_workflow_waiting() -> None:
    loading.update(begun=asyncio.Event(), end=asyncio.Event())
    async with Hosting("t_slow_builder", beside=("t_ask",)) as hosting:
        run = await hosting.submit()
        try:
            assert await hosting.reply_to("echo", conversation="d", workflow="t_ask") == "echo"
        finally:
            loading["end"].set()
        assert await hosting.result(run) == "loaded"


async def test_a_process_stops_though_a_shared_builder_hangs() -> None:
    loading.update(begun=asyncio.Event(), end=asyncio.Event())
    async with Hosting("t_slow_builder") as hosting:
        run = await hosting.submit()
        await loading["begun"].wait()
        async with asyncio.timeout(20):
            await hosting.stop()
        loading["end"].set()
        await hosting.start()
        assert await hosting.result(run) == "loaded"


async def test_a_failing_builder_is_reported_without_internals() -> None:
    async with Hosting("t_built") as hosting:
        hosting.person = Person.of(await until(lambda: make_user("nobody")))
        row = await hosting.until_ended(await hosting.submit())
        assert row.status == Run.Status.FAILED
        messages = [
            e.payload["error"]["message"] for e in await hosting.events() if "error" in e.payload
        ]
        assert messages == ["What the workflow needs could not be built. Try again later."]
        assert "secret address" in problem(row)["detail"]


@workflow(name="t_wrong", title="Wrong")
async def wrong(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield "so far "
    raise ValueError("secret")


async def test_a_workflow_that_raises_fails_with_what_it_said_kept() -> None:
    async with running("t_wrong") as (hosting, run):
        row = await hosting.until_ended(run)
        assert await hosting.output(run) == "so far "
        [error] = [e.payload["error"] for e in await hosting.events() if "error" in e.payload]
        assert error == {"code": "workflow_error", "message": "The workflow raised ValueError."}
        assert "secret" in problem(row)["detail"]


def writes(leased_run: LeasedRun) -> dict[str, Work[Any]]:
    """Return all writes of a host for a run. Each write must check the lease first."""
    call = Call(1, JournalEntry.Kind.STEP, "late")
    prompt = run_writes.NewPrompt(call, {"timeout": None}, "{}", uuid4(), None)
    facts = {"call": call, "prompts": [prompt], "status": Run.Status.FAILED}
    arguments: dict[str, Any] = {"leased_run": leased_run, **facts}
    functions = dict(inspect.getmembers(run_writes, inspect.isfunction))
    parameters = {name: inspect.signature(one).parameters for name, one in functions.items()}
    return {
        name: partial(
            functions[name],
            **{
                one: arguments.get(one)
                for one in [*names][1:]
                if names[one].default is names[one].empty
            },
        )
        for name, names in parameters.items()
        if "leased_run" in names
    }


@pytest.mark.slow
async def test_a_replaced_host_writes_nothing_more() -> None:
    async with asking("t_ask", "one") as (hosting, run, prompt):
        row = await hosting.until_status(run, "waiting")
        before = await hosting.events()
        await writer.write(
            lambda tx: HostLease.objects.filter(key=row.key).update(generation=99, worker="other")
        )
        late = writes(LeasedRun(Lease(HostKey(row.key), 1), log_record(row)))
        outcomes = await asyncio.gather(*map(writer.write, late.values()), return_exceptions=True)
        accepted_names = [
            name for name, one in zip(late, outcomes, strict=True) if type(one) is not Fenced
        ]
        assert len(late) > 10
        assert not accepted_names
        assert await hosting.events() == before
        await hosting.answer("x", prompt)
        # The host with the lost lease gives up; the next host of the key continues from the
        # journal.
        await hosting.without_hosts()
        await hosting.announce(row.key)
        assert await hosting.result(run) == "one=x"


@pytest.mark.cluster_only("one process has no queue")
async def test_a_host_that_lets_go_queues_what_came_to_it_meanwhile() -> None:
    async with asking("t_ask", "one") as (hosting, run, prompt):
        key = HostKey((await hosting.until_status(run, "waiting")).key)
        await hosting.stop()
        lease = await writer.write(lambda tx: take_lease(tx, key))
        await hosting.answer("x", prompt)
        assert not await reads.read(sql.fetch, QUEUED, (key,))
        await writer.write(lambda tx: release_lease(tx, lease))
        assert await reads.read(sql.fetch, QUEUED, (key,))
        await hosting.start()
        assert await hosting.result(run) == "one=x"


QUEUED = "SELECT 1 FROM procrastinate_jobs WHERE lock = %s AND status = 'todo'"


steps: list[str] = []
going = asyncio.Event()


async def begin(step: str) -> str:
    steps.append(step)
    await going.wait()
    return step


@workflow(name="t_two_steps", title="Two steps")
async def two_steps(message: Message, context: Context) -> str:
    first: str = await context.step(begin, "first")
    second: str = await context.step(begin, "second")
    return f"{first} {second}"


async def test_no_step_begins_in_a_process_that_stood_still_before_it_has_looked() -> None:
    """The key may belong to another worker by then, which executes the step, too."""
    freshness = LeaseFreshness(silence=3600)
    async with Hosting("t_two_steps") as hosting:
        await hosting.stop()
        run = await hosting.submit()
        key = (await hosting.until_status(run, Run.Status.QUEUED)).key
        registry = HostRegistry(HostingOptions(park_after=60, drain=10, freshness=freshness))
        serving = asyncio.create_task(registry.serve(key))
        await until_true(lambda: steps)
        freshness.confirm(float("-inf"))
        going.set()
        await until(JournalEntry.objects.filter(run=run, finished_at__isnull=False).exists)
        await turns()
        steps.append("looked")
        freshness.confirm(time.monotonic())
        assert await hosting.result(run) == "first second"
        registry.stop()
        await serving
    assert steps == ["first", "looked", "second"]


async def test_a_host_that_ended_holds_its_key_no_more_until_it_is_back() -> None:
    async with asking("t_ask", "one") as (hosting, run, _):
        key = (await hosting.until_status(run, "waiting")).key
        lease = await until(lambda: HostLease.objects.get(key=key))
        assert lease.released_at is None
        await hosting.stop()
        lease = await until(lambda: HostLease.objects.get(key=key))
        assert lease.released_at is not None
        await hosting.start()
        await hosting.complete(run, "Eve")
        lease = await until(lambda: HostLease.objects.get(key=key))
        assert lease.released_at is None


@pytest.mark.local_only(reason="of many processes each knows only its own hosts")
async def test_a_start_releases_what_a_process_of_its_name_held_before() -> None:
    async with asking("t_ask", "one") as (hosting, _, _prompt):
        await hosting.stop()
        await HostLease.objects.aupdate(released_at=None, metrics={"ref_count": 1})
        await hosting.start()
        assert await HostLease.objects.filter(released_at__isnull=False, metrics={}).aexists()


async def test_a_run_whose_process_died_again_and_again_is_set_aside() -> None:
    async with Hosting("t_ask") as hosting:
        await hosting.stop()
        run = await hosting.submit("echo")
        row = Run.objects.filter(pk=run)
        await writer.write(
            lambda tx: row.update(crashes=MAX_CRASHES, status="running", started_at=timezone.now())
        )
        other = await hosting.submit("echo", conversation="other")
        await hosting.start()
        suspended = await hosting.until_ended(run)
        assert suspended.status == Run.Status.SUSPENDED
        assert "paused" in problem(suspended)["message"]
        assert "process died" in problem(suspended)["detail"]
        assert (await hosting.until_ended(other)).status == Run.Status.COMPLETED
        await runs.acancel(run)
        await hosting.until_status(run, Run.Status.CANCELLED)


executions: list[int] = []


@workflow(name="t_gets_nowhere", title="Gets nowhere")
async def gets_nowhere(message: Message, context: Context) -> str:
    executions.append(1)
    await asyncio.sleep(3600)
    return "never"


async def executed(times: int) -> None:
    await until_true(lambda: len(executions) >= times)


async def test_a_stop_in_good_order_is_no_crash_however_often_it_comes() -> None:
    executions.clear()
    async with running("t_gets_nowhere") as (hosting, run):
        await executed(1)
        for number in range(MAX_CRASHES + 1):
            await hosting.restart()
            await executed(number + 2)
        await hosting.stop()
        row = await reads.read(Run.objects.get, pk=run)
        assert (row.status, row.crashes) == (Run.Status.RUNNING, 0)


@workflow(name="t_gets_on", title="Gets on")
async def gets_on(message: Message, context: Context) -> str:
    for number in range(min(len(executions), MAX_CRASHES) + 1):
        if message.text == "asks":
            await context.ask(TextPrompt(text=f"{number}"))
        else:
            await context.step(str, number)
    executions.append(1)
    if len(executions) <= MAX_CRASHES + 1:
        await asyncio.sleep(3600)
    return "there"


def written(text: str) -> str:
    """Return the text that the run writes in its latest execution."""
    count = len(executions)
    return {"more": "x" * count, "other": f"{count}", "same": "x"}[text]


@workflow(name="t_writes_on", title="Writes on")
async def writes_on(message: Message, context: Context) -> AsyncGenerator[str, None]:
    executions.append(1)
    yield written(message.text)
    if len(executions) <= MAX_CRASHES + 1:
        await asyncio.sleep(3600)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "expected_text"),
    [
        ("t_gets_on", "asks", "there"),
        ("t_gets_on", "steps", "there"),
        ("t_writes_on", "more", "x" * (MAX_CRASHES + 2)),
        ("t_writes_on", "other", None),
        ("t_writes_on", "same", None),
    ],
)
async def test_a_run_is_set_aside_only_where_it_does_not_get_on_between_its_crashes(
    name: str, text: str, expected_text: str | None
) -> None:
    executions.clear()
    async with running(name, text) as (hosting, run):
        for number in range(MAX_CRASHES + 1):
            if text == "asks":
                await hosting.answer("on", *await hosting.prompts(run))
            await executed(number + 1)
            if name == "t_writes_on":
                await until(lambda: output(run) == written(text))
            await hosting.crash()
        if expected_text:
            assert await hosting.result(run) == expected_text
        else:
            suspended = await hosting.until_ended(run)
            assert (suspended.status, len(executions)) == (Run.Status.SUSPENDED, MAX_CRASHES + 1)


async def test_a_workflow_that_is_not_offered_any_more_suspends_its_runs() -> None:
    # Runs of the same host that wait for people, in other conversations, continue to wait.
    async with asking("t_built", "ask") as (hosting, asks, prompt):
        await hosting.stop()
        run = await hosting.submit(conversation="other")
        other = Hosting("t_busy")
        other.offer()
        await hosting.start()
        row = await hosting.until_ended(run)
        assert (row.status, problem(row)["code"]) == (Run.Status.SUSPENDED, "workflow_unavailable")
        released = HostLease.objects.filter(key=row.key, released_at__isnull=False)
        await until(released.exists)
        hosting.offer()
        assert await hosting.complete(asks, "yes", prompt, restart=True) == "yes"


async def test_a_message_behind_a_question_whose_workflow_is_gone_is_suspended() -> None:
    async with asking("t_ask", "ask") as (hosting, asks, prompt):
        await hosting.stop()
        behind = await hosting.submit("echo")
        Hosting("t_busy").offer()
        await hosting.start()
        assert (await hosting.until_ended(behind)).status == Run.Status.SUSPENDED
        hosting.offer()
        await hosting.restart()
        assert await runs.aresume(behind, by=django_user("boss"))
        assert await hosting.complete(asks, "yes", prompt) == "ask=yes"
        assert (await hosting.until_ended(behind)).status == Run.Status.COMPLETED


async def test_a_run_that_is_to_stop_ends_though_its_workflow_is_not_offered_any_more() -> None:
    async with Hosting("t_ask") as hosting:
        await hosting.stop()
        run = await hosting.submit("echo")
        await stops.stop(owner=hosting.user, conversation_id="c")
        Hosting("t_busy").offer()
        await hosting.start()
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED


@pytest.mark.parametrize("status", [Run.Status.WAITING, Run.Status.SUSPENDED])
async def test_a_stop_ends_what_rests_of_a_workflow_that_is_not_offered_any_more(
    status: Run.Status,
) -> None:
    async with Hosting("t_ask") as hosting:
        run, _ = await hosting.submit_until_prompt()
        await hosting.stop()
        await reads.read(Run.objects.filter(pk=run).update, status=status)
        Hosting("t_busy").offer()
        await hosting.start()
        await stops.stop(owner=hosting.user, conversation_id="c")
        await hosting.until_status(run, Run.Status.CANCELLED)


@workflow(name="t_paced", title="Paced")
async def paced(message: Message, context: Context) -> AsyncGenerator[str, None]:
    for number in range(10_000 if message.text == "long" else 40):
        yield f"{number} "
        await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_database_that_is_away_for_a_while_costs_no_run_and_no_text() -> None:
    async with running("t_paced") as (hosting, run):
        await until(lambda: output(run).startswith("0 1 2 "))
        async with database_away():
            with pytest.raises(StorageUnavailable):
                await hosting.submit("refused", conversation="other")
        assert await hosting.result(run) == "".join(f"{number} " for number in range(40))


@pytest.mark.slow
async def test_an_outage_is_no_crash_of_the_runs_that_it_interrupts() -> None:
    def begun() -> int:
        return Event.objects.filter(run=run, type="run", payload__status="running").count()

    async with running("t_paced", "long") as (hosting, run):
        await until(lambda: output(run))
        async with database_away():
            await until_true(lambda: not hosting.hosts.run(str(run)))
        await until(lambda: begun() == 2)
        assert (await reads.read(Run.objects.get, pk=run)).crashes == 1


@workflow(name="t_default", title="Has a default")
async def has_default(message: Message, context: Context) -> str:
    return (await context.ask(TextPrompt(text="Name?", timeout=3600, default="nobody"))).text


@pytest.mark.cluster_only("one process sends itself no messages")
@pytest.mark.usefixtures("_lost_messages")
@pytest.mark.parametrize("answer", ["Eve", None])
async def test_a_run_goes_on_though_the_message_of_its_answer_or_deadline_is_lost(
    answer: str | None,
) -> None:
    async with asking("t_default") as (hosting, run, prompt):
        if answer is None:
            pending = Interaction.objects.filter(pk=prompt.pk)
            await reads.read(lambda: pending.update(expires_at=F("created_at")))
            await hosting.settle_due()
        else:
            await hosting.answer(answer)
        assert await hosting.result(run) == (answer or "nobody")


@pytest.mark.slow
async def test_a_key_that_comes_back_before_its_host_has_let_go_is_served() -> None:
    """A second worker took the job over during a standstill; then this worker got it again."""
    taken_over = False

    def claim(tx: Transaction) -> None:
        if taken_over:
            raise Fenced(key, 0, 0)

    async with Hosting("t_ask") as hosting:
        await hosting.stop()
        run = await hosting.submit()
        key = (await hosting.until_status(run, Run.Status.QUEUED)).key
        registry = HostRegistry(HostingOptions(park_after=60, drain=10))
        first = asyncio.create_task(registry.serve(key, claim))
        await hosting.prompts(run)
        host = registry.get(key)
        assert host is not None
        taken_over = True
        host.abandon()
        second = asyncio.create_task(registry.serve(key))
        await first
        await until_true(lambda: (again := registry.get(key)) and again.generation == 2)
        await hosting.answer("yes")
        assert registry.wake(key), "its host is not to be found"
        assert (await hosting.until_ended(run)).status == Run.Status.COMPLETED
        registry.stop()
        await second
