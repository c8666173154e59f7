"""Tests of child runs: each runs once, in the same conversation, and its parent gets the result."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from sessions_app import runs
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.contrib.testing.polling import until
from sessions_app.conversations import child_runs, workflow_access
from sessions_app.conversations.child_runs import ReturnValue
from sessions_app.errors import Invalid
from sessions_app.hosting.run_states import RunEvent
from sessions_app.hosting.run_task import RunTask
from sessions_app.journal.journal import Call, CallResult
from sessions_app.models import Event, HostLease, Run
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.storage.records import ParentCall, RunRecord
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import (
    ChildFailed,
    Context,
    Message,
    TextPrompt,
    registry,
    workflow,
)
from sessions_app.workflows.config import RuntimeConfig
from sessions_app.workflows.registry import NoOptions
from tests.support import polling
from tests.support.database.stored_log import log_record
from tests.support.hosting import Hosting, make_user, problem
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)

executed: list[str] = []
AT_ONCE, WITH_CHILD = "at once", "once there is a child"
CALLS_CONTEXT = "by a call of the context in a step"
broken: list[str] = []


@dataclass
class Quote:
    title: str
    eur: int


def work(text: str) -> str:
    executed.append(text)
    return text.upper()


def fail() -> None:
    raise ValueError("no luck")


def fail_while_broken() -> object:
    if WITH_CHILD in broken:
        until_there(parent__isnull=False)
    if CALLS_CONTEXT in broken:
        Context.get().now()
    if broken:
        fail()
    return None


def until_there(**run: object) -> None:
    """Wait in a thread until such a run exists."""
    polling.until(Run.objects.filter(**run).exists, every=0.01)


@workflow(name="t_child", title="Child")
async def child(message: Message, context: Context) -> AsyncGenerator[str, None]:
    match message.text.split():
        case ["ask", *_]:
            yield "Tell me. "
            name = await context.ask(TextPrompt(text=f"Name for {message.text[4:]}?"))
            yield await context.step(work, name.text)
        case ["fail"]:
            await context.step(fail)
        case ["mend"]:
            await context.step(fail_while_broken)
        case _:
            yield await context.step(work, message.text)


@workflow(name="t_quote", title="Quote")
async def quote(message: Message, context: Context) -> Quote:
    return Quote(message.text, 9)


@asynccontextmanager
async def open_builder(user: Person, options: NoOptions) -> AsyncIterator[str]:
    yield f"built for {user.username}"
    executed.append("closed")


@workflow(name="t_child_built", title="Built", per_user_builder=open_builder)
async def built(message: Message, context: Context) -> str:
    return f"{context.builder}, called by {context.workflow_parent_name}"


@workflow(name="t_parent", title="Parent")
async def parent(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield "Well. "
    match message.text.split():
        case ["quote"]:
            book = await context.run("t_quote", "book")
            yield f"{book.title} {book.eur}"
        case ["deep", levels] if int(levels):
            yield await context.run("t_parent", f"deep {int(levels) - 1}")
        case ["within", seconds]:
            try:
                yield await context.run("t_child", "ask me", timeout=float(seconds))
            except ChildFailed as error:
                yield f"{error.workflow} {error.status}"
        case ["both"]:
            outcomes = await context.gather(
                context.step(work, "a"),
                context.ask(TextPrompt(text="Which?")),
                context.wait_for("parcel"),
                context.wait_for("payment"),
                context.run("t_child", "ask one"),
                context.run("t_child", "ask two"),
            )
            yield " ".join(str(getattr(one, "value", one)) for one in outcomes)
        case ["apply"]:
            await context.gather(context.step(fail), context.run("t_child", "ask me"))
        case ["race"]:
            _, child_text = await asyncio.gather(
                context.step(fail_while_broken), context.run("t_child", "ask me")
            )
            yield child_text
        case ["other", name, *words]:
            yield await context.run(name, " ".join(words) or "hi")
        case _:
            try:
                child_text = await context.run("t_child", message.text)
                yield f"It said: {child_text}"
            except ChildFailed as error:
                yield f"{error.workflow} {error.status}: {error.reason}"


@workflow(name="t_tidy_parent", title="Tidy parent")
async def tidy_parent(message: Message, context: Context) -> AsyncGenerator[str, None]:
    try:
        await context.run("t_child", message.text)
    finally:
        yield str(await context.run("t_child", "tidied"))


@workflow(name="t_hurried_parent", title="Hurried parent")
async def hurried_parent(message: Message, context: Context) -> str:
    try:
        outcome = await context.run("t_child", "ask me", timeout=60)
    except ChildFailed as error:
        outcome = error.status
    await context.ask(TextPrompt(text="Sure?"))
    return str(outcome)


def hosting(workflow: str = "t_parent", **config: Any) -> Hosting:
    executed.clear()
    other_workflows = ("t_child", "t_quote", "t_child_built")
    return Hosting(workflow, beside=other_workflows, **{"park_after": 0, **config})


@asynccontextmanager
async def send_to_hosted(
    text: str, workflow: str = "t_parent", **config: Any
) -> AsyncIterator[tuple[Hosting, HostedRun]]:
    async with hosting(workflow, **config) as hosted:
        yield hosted, await hosted.send(text)


@pytest.mark.parametrize("park_after", [0, 60])
async def test_a_child_asks_in_the_conversation_and_gives_its_text(park_after: float) -> None:
    async with send_to_hosted("ask me", park_after=park_after) as (hosted, run):
        await run.answer("Eve", to="Name for me?")
        assert await run.result() == "Well. It said: Tell me. EVE"
        [one] = await run.children()
        assert await one.output() == "Tell me. EVE"
        assert executed == ["Eve"]
        assert await run.shown() == ["Child"]
        events = await hosted.events()
    assert {event.run for event in events} == {run.id, one.id}
    assert sum(event.type == Event.Type.USER_MESSAGE for event in events) == 1


@pytest.mark.parametrize(
    ("text", "expected_text", "child_text", "step_titles"),
    [
        ("go", "It said: GO", "GO", ["Child"]),
        ("quote", "book 9", "", ["Quote"]),  # the result is read by the step's annotation
        ("deep 3", "Well. Well. Well. It said: DEEP 0", None, ["Parent"]),
        ("fail", "t_child failed: Step fail failed: ValueError.", "", []),
    ],
)
async def test_the_result_of_a_child_is_the_same_in_each_replay(
    text: str, expected_text: str, child_text: str | None, step_titles: list[str]
) -> None:
    """The child run gets a turn, although the conversation runs only one at a time: the parent."""
    async with send_to_hosted(text, replay_everywhere=True, max_concurrency=1) as (_, run):
        assert (await run.result()).startswith(f"Well. {expected_text}")
        assert len(executed) <= 1
        [one] = await run.children()
        assert await one.output() == (expected_text if child_text is None else child_text)
        assert await run.shown() == step_titles


async def test_a_child_runs_in_the_host_of_the_users_builder() -> None:
    async with hosting() as hosted:
        assert (
            await hosted.converse("other t_child_built")
            == "Well. built for ann, called by t_parent"
        )
        key = f"user:{hosted.user}:t_child_built"
        assert await reads.read(HostLease.objects.filter(pk=key).exists)


@pytest.mark.parametrize("is_former_boss", [False, True])
@pytest.mark.parametrize(("text", "name"), [("go", "t_child"), ("other t_nowhere", "t_nowhere")])
async def test_a_forbidden_workflow_cannot_be_run_as_a_child(
    text: str, name: str, is_former_boss: bool
) -> None:
    """The call fails the run, just as for an unknown workflow."""
    async with hosting() as hosted:
        if is_former_boss:
            await (await Group.objects.acreate(name="boss")).user_set.aadd(hosted.user)
            await User.objects.filter(pk=hosted.user).aupdate(is_active=False)
        limited = {"t_parent": {}, "t_child": {"groups": ["boss"]}}
        config = {"default": "t_parent", "workflows": limited}
        registry.offer(RuntimeConfig.model_validate(config))
        run = await hosted.send(text)
        failed_run = await hosted.until_ended(run.id)
        assert failed_run.status == Run.Status.FAILED
        assert f"'{name}'" in problem(failed_run)["message"]
        assert await run.children() == []


async def test_a_child_is_forked_with_its_parent_only() -> None:
    async with send_to_hosted("go") as (_, run):
        [one] = await run.children()
        user = await reads.read(make_user, "ann")
        with pytest.raises(Invalid):
            await runs.afork(one.id, position=1, by=user)
        fork = await runs.afork(run.id, position=2, by=user)
        result = await runs.aresult(fork, timeout=30)
        assert result.text == "Well. It said: GO"
        assert executed == ["go"]


@pytest.mark.parametrize("park_after", [0, 60])
@pytest.mark.parametrize(
    ("name", "expected_text"), [("t_parent", "Well. "), ("t_tidy_parent", "TIDIED")]
)
async def test_a_stop_of_the_parent_stops_the_child_but_for_that_of_clean_up(
    name: str, expected_text: str, park_after: float
) -> None:
    async with send_to_hosted("ask me", name, park_after=park_after) as (hosted, run):
        await run.prompts()
        assert await runs.acancel(run.id)
        assert (await hosted.until_ended(run.id)).status == Run.Status.CANCELLED
        first, *_ = await run.children()
        assert await first.status() == Run.Status.CANCELLED
        assert await run.prompts() == []
        assert await run.output() == expected_text


@pytest.mark.parametrize("park_after", [0, 60])
async def test_a_parent_that_learns_late_of_its_stop_is_still_stopped(
    park_after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, children = RunTask.apply, Run.objects.filter(parent__isnull=False)

    def learn_last(self: RunTask, why: RunEvent) -> None:
        async def once_the_child_is_stopped() -> None:
            await until(children.filter(status=Run.Status.CANCELLED).exists)
            apply(self, why)

        if why is RunEvent.STOP and self.workflow == "t_parent":
            late.append(asyncio.create_task(once_the_child_is_stopped()))
        else:
            apply(self, why)

    monkeypatch.setattr(RunTask, "apply", learn_last)
    late: list[asyncio.Task[None]] = []
    async with send_to_hosted("ask me", park_after=park_after) as (hosted, run):
        await run.prompts()
        assert await runs.acancel(run.id)
        assert (await hosted.until_ended(run.id)).status == Run.Status.CANCELLED
        assert await run.output() == "Well. "
        await asyncio.gather(*late)


async def test_a_child_that_is_stopped_by_itself_is_a_failure_for_the_parent() -> None:
    async with send_to_hosted("ask me") as (_, run):
        [one] = await run.children()
        assert await runs.acancel(one.id)
        assert await run.result() == "Well. t_child cancelled: "


@pytest.mark.cluster_only("one process sends itself no messages")
@pytest.mark.usefixtures("_lost_messages")
async def test_a_child_fails_its_parent_though_the_message_of_it_is_lost() -> None:
    async with send_to_hosted("fail", park_after=60) as (hosted, run):
        assert "t_child failed: " in await hosted.result(run.id)


async def test_a_child_that_takes_too_long_is_stopped() -> None:
    async with send_to_hosted("within 0.3", park_after=60) as (hosted, run):
        await hosted.until_status(run.id, Run.Status.COMPLETED)
        assert await run.result() == "Well. t_child timeout"
        [one] = await run.children()
        assert await one.status() == Run.Status.CANCELLED


@pytest.mark.slow
async def test_a_child_that_ends_once_its_time_is_over_changes_nothing_of_the_timeout() -> None:
    async with send_to_hosted("go", "t_hurried_parent") as (hosted, run):
        await hosted.advance(seconds=61)
        [one] = await run.children()
        assert await one.status() == Run.Status.CANCELLED
        # The run is replayed by the journal, which has the timeout.
        await run.answer("yes", to="Sure?")
        assert await run.result() == "timeout"


async def resume(run: HostedRun) -> None:
    """Resume the run after the problem is fixed."""
    broken.clear()
    assert await runs.aresume(run.id, by=await reads.read(make_user, "ann"))


@pytest.mark.slow
async def test_a_parent_that_fails_stops_its_children_and_runs_them_anew_when_resumed() -> None:
    async with hosting(park_after=0.5) as hosted:
        broken.append(WITH_CHILD)
        run = await hosted.send("race")
        await hosted.until_status(run.id, Run.Status.FAILED)
        [first] = await run.children()
        await hosted.until_status(first.id, Run.Status.CANCELLED)
        await resume(run)
        assert len(await run.children()) == 2
        # The late end of a replaced child run does not end the wait for its replacement.
        late = await reads.read(lambda: Run.objects.get(pk=first.id))
        parent_call = ParentCall(run.id, late.parent_position or 0)
        end = partial(child_runs.end, return_value=None, reason="")
        await writer.write(lambda tx: end(tx, log_record(late), parent_call, Run.Status.CANCELLED))
        await run.answer("Eve")
        assert await run.result() == "Well. Tell me. EVE"


@pytest.mark.parametrize(
    ("text", "how", "status", "result", "count"),
    [
        # A parent run that was suspended keeps the same child run.
        ("race", [WITH_CHILD, CALLS_CONTEXT], Run.Status.SUSPENDED, "Tell me. EVE", 1),
        # A parent run that failed because of its child starts a new child run.
        ("other t_child mend", [AT_ONCE], Run.Status.FAILED, "", 2),
    ],
)
async def test_a_resumed_parent_has_its_child_or_runs_it_anew(
    text: str, how: list[str], status: str, result: str, count: int
) -> None:
    async with hosting(park_after=0.5) as hosted:
        broken.extend(how)
        run = await hosted.send(text)
        await hosted.until_status(run.id, status)
        if status == Run.Status.FAILED:
            [failed] = await run.children()
            assert not await runs.aresume(failed.id, by=await reads.read(make_user, "ann"))
        await resume(run)
        if status == Run.Status.SUSPENDED:
            await run.answer("Eve")
        assert await run.result() == f"Well. {result}"
        assert len(await run.children()) == count


async def test_a_child_about_to_begin_leaves_its_parent_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find, child_was_found = workflow_access.find, threading.Event()

    def find_late(user: Any, name: str | None) -> Any:
        if name == "t_child" and not child_was_found.is_set():
            until_there(status=Run.Status.FAILED)
            child_was_found.set()
        return find(user, name)

    monkeypatch.setattr(workflow_access, "find", find_late)
    async with hosting() as hosted:
        broken.append(AT_ONCE)
        run = await hosted.send("race")
        await hosted.until_status(run.id, Run.Status.FAILED)
        assert await asyncio.to_thread(child_was_found.wait, 20)
        for _ in range(5):  # time for the write of a run that is about to begin
            await writer.write(lambda tx: None)
        await hosted.until_status(run.id, Run.Status.FAILED)
        await resume(run)
        await run.answer("Eve")
        assert await run.result() == "Well. Tell me. EVE"
        assert len(await run.children()) == 1


async def test_gathered_calls_come_to_the_same_whatever_ends_first() -> None:
    async with send_to_hosted("both", replay_everywhere=True) as (_, run):
        await run.answer("second", to="two")
        await runs.asend(run.id, "payment", 5, id="a")
        await runs.asend(run.id, "parcel", "box", id="b")
        await run.answer("first", to="one")
        await run.answer("this", to="Which")
        joined = "A this box 5 Tell me. FIRST Tell me. SECOND"
        assert await run.result() == f"Well. {joined}"
        assert sorted(executed) == ["a", "first", "second"]


async def test_a_child_that_just_ended_wins_over_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    expire = child_runs.expire

    def too_late(tx: Transaction, parent: RunRecord, call: Call) -> CallResult:
        child = Run.objects.get(parent=parent.id)
        record = RunRecord(child.id, child.conversation_id, child.message_id, child.client_format)
        parent_call = ParentCall(parent.id, call.position)
        child_runs.end(tx, record, parent_call, Run.Status.COMPLETED, ReturnValue("just so"), "")
        return expire(tx, parent, call)

    monkeypatch.setattr(child_runs, "expire", too_late)
    async with send_to_hosted("within 0.01", park_after=60) as (hosted, run):
        await hosted.until_status(run.id, Run.Status.COMPLETED)
        assert await run.result() == "Well. just so"


@workflow(name="t_parent_of_all", title="Parent")
async def parent_of_all(message: Message, context: Context) -> str:
    results = await context.gather(
        context.step(fail),
        context.wait_for("parcel", timeout=0.001),
        context.run("t_child", "fail"),
        context.step(work, "a"),
        return_exceptions=True,
    )
    return " ".join(one if isinstance(one, str) else type(one).__name__ for one in results)


async def test_failures_among_gathered_calls_stand_in_their_places() -> None:
    async with send_to_hosted("go", "t_parent_of_all", replay_everywhere=True) as (hosted, run):
        await hosted.until_status(run.id, Run.Status.COMPLETED)
        assert await run.result() == "StepFailed NothingCame ChildFailed A"


async def test_a_failure_among_gathered_calls_waits_for_the_others() -> None:
    async with send_to_hosted("apply") as (_, run):
        assert await run.status() == Run.Status.WAITING
        await run.answer("Eve")
        assert await run.status() == Run.Status.FAILED


@pytest.mark.slow
async def test_a_crash_of_both_loses_and_doubles_nothing() -> None:
    async with hosting() as hosted:  # taking over a dead worker's keys takes seconds each
        run = await hosted.send("ask me")
        await run.rest()
        await hosted.crash()
        await run.answer("Eve")
        await hosted.crash()
        assert await run.result() == "Well. It said: Tell me. EVE"
        assert len(await run.children()) == 1


async def test_the_next_message_waits_for_the_parent_and_not_for_a_child() -> None:
    async with hosting() as hosted:
        first = await hosted.send("ask me")
        second = await hosted.send("go")
        assert await second.status() == Run.Status.QUEUED
        await first.answer("Eve")
        await first.result()
        assert await second.result() == "Well. It said: GO"


async def test_in_a_script_a_child_is_run_with_the_same_callback() -> None:
    async def answer(prompt: Any) -> str:
        return "Eve"

    executed.clear()
    output = await in_script("t_parent", "ask me", user_input_callback=answer)
    assert output == "Well. It said: Tell me. EVE"
    failure_output = await in_script("t_parent", "fail")
    assert failure_output.startswith("Well. t_child failed: Step fail failed")


async def test_in_a_script_the_builder_of_a_child_is_closed_behind_it() -> None:
    executed.clear()
    output = await in_script("t_parent", "other t_child_built", user_id="ann")
    assert output.startswith("Well. built for ann")
    assert executed == ["closed"]
