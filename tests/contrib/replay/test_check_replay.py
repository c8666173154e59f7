"""Replays of recorded runs against the code as it is, without any effect.

By an operator's command, of a file, and after a start: who looks learns before anybody answers.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from django.core.management import CommandError, call_command
from django.utils import timezone

from sessions_app.contrib.replay import history_replay, waiting_runs_check
from sessions_app.contrib.replay.history_replay import replay_history
from sessions_app.contrib.replay.waiting_runs_check import check_waiting_runs
from sessions_app.errors import NotReplayable
from sessions_app.hosting.lease import this_process
from sessions_app.models import Conversation, Event, Interaction, JournalEntry, Process, Run
from sessions_app.storage import reads
from sessions_app.workflows import (
    Context,
    Message,
    NothingCame,
    Person,
    PromptExpired,
    RadioPrompt,
    StepFailed,
    TextPrompt,
    registry,
    workflow,
)
from tests.runtime.replay.deployed import deploy, executed, host_code, other, work
from tests.support.hosting import Hosting, asking, running, until, until_true

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_runs_check, "PAUSE_FACTOR", 0)


async def command(hosting: Hosting, name: str, *args: str) -> tuple[int, str]:
    """Return its exit code, and what it prints."""

    def call() -> tuple[int, str]:
        printed = StringIO()
        try:
            call_command(name, *args, stdout=printed)
        except SystemExit as end:
            return int(str(end.code)), printed.getvalue()
        return 0, printed.getvalue()

    exit_code, printed = await hosting.in_thread(call)
    return exit_code, printed


def all_rows() -> list[Any]:
    """Return all that runs have in the database."""
    models = (Conversation, Run, Event, JournalEntry, Interaction)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


async def asks(context: Context) -> str:
    await context.step(work, "a")
    answer = await context.ask(RadioPrompt(text="Where?", options=["red", "blue"]))
    await context.step(work, answer.value)
    return (await context.ask(TextPrompt(text="Sure?"))).text


async def asks_otherwise(context: Context) -> str:
    await context.step(work, "a")
    answer = await context.ask(RadioPrompt(text="In which room?", options=["red", "green"]))
    await context.step(work, answer.value)
    return (await context.ask(TextPrompt(text="Sure?"))).text


async def books_first(context: Context) -> str:
    await context.step(other, "new")
    return await asks(context)


async def raises(context: Context) -> str:
    await context.step(work, "a")
    raise ValueError("no such room")


async def waits_for_something_else(context: Context) -> str:
    await context.step(work, "a")
    await asyncio.Event().wait()
    return ""


async def test_check_replay_reports_matching_runs_without_effects() -> None:
    async with host_code(asks, park_after=0) as hosting:
        first, second = [await hosting.submit(conversation=name) for name in ("one", "two")]
        [prompt] = await hosting.prompts(first)
        await hosting.prompts(second)
        await hosting.answer_any("blue", prompt)
        await hosting.prompts(first)
        await until_true(lambda: not any(host.runs for host in hosting.hosts))
        before = await reads.read(all_rows)
        summary = "2 runs replayed: 0 could not continue, 0 differ harmlessly.\n"
        assert await command(hosting, "check_replay") == (0, summary)
        deploy(asks_otherwise)
        exit_code, printed = await command(hosting, "check_replay", "--differences")
        assert exit_code == 0
        assert 'text: "Where?" became "In which room?"' in printed
        assert "0 could not continue, 2 differ harmlessly." in printed
        assert await reads.read(all_rows) == before
        assert executed == ["a", "a", "blue"]


async def check() -> list[dict[str, Any]]:
    """Do what is done after a start; return what it logs as errors."""
    with structlog.testing.capture_logs() as logs:
        await check_waiting_runs()
    return [dict(line) for line in logs if line["log_level"] == "error"]


async def problem_of(run: UUID) -> str:
    """Return what is stored of a run that waits."""
    row = await reads.read(Run.objects.get, pk=run)
    assert row.status == Run.Status.WAITING
    return row.replay_problem


async def test_a_run_that_the_code_no_longer_matches_is_found_while_it_waits() -> None:
    async with asking(host_code(asks)) as (hosting, run, prompt):
        assert await check() == []
        assert await problem_of(run) == ""
        deploy(books_first)
        await hosting.restart()
        [line] = await check()
        assert (line["event"], line["run"]) == ("run.mismatch_waits", str(run))
        assert "the name was 'work' and is 'other' now" in await problem_of(run)

        deploy(asks)
        await hosting.restart()
        assert await check() == []
        assert await problem_of(run) == ""
        await hosting.answer("blue", prompt)
        await hosting.prompts(run)
        assert executed == ["a", "blue"]


async def test_check_replay_reads_suspended_runs_too() -> None:
    async with asking(host_code(asks, park_after=0)) as (hosting, run, prompt):
        await until_true(lambda: not any(host.runs for host in hosting.hosts))
        deploy(books_first)
        await hosting.answer("blue", prompt)
        await hosting.until_status(run, Run.Status.SUSPENDED)
        exit_code, printed = await command(hosting, "check_replay")
        assert (exit_code, f"✗ {run} (t_deployed 1, suspended): " in printed) == (1, True)
        assert 'Put calls that were added behind `if context.patched("what was' in printed
        deploy(asks)
        summary = "1 runs replayed: 0 could not continue, 0 differ harmlessly.\n"
        assert await command(hosting, "check_replay") == (0, summary)


async def test_check_replay_does_not_execute_what_took_its_process_along() -> None:
    async with asking(host_code(asks, park_after=0)) as (hosting, _, _):
        await until_true(lambda: not any(host.runs for host in hosting.hosts))
        for code in ("blocked", "crashed"):
            suspended = {"status": Run.Status.SUSPENDED, "error": {"code": code}}
            await hosting.in_thread(Run.objects.update, **suspended)
            assert (await command(hosting, "check_replay"))[1].startswith("0 runs replayed")


async def test_a_run_that_ended_has_no_replay_problem() -> None:
    async with asking(host_code(asks)) as (hosting, run, prompt):
        deploy(books_first)
        await hosting.restart()
        await check()
        assert await problem_of(run)
        deploy(asks)  # the code is back, without another look
        await hosting.answer("blue", prompt)
        [sure] = await hosting.prompts(run)
        await hosting.answer("yes", sure)
        assert (await hosting.until_ended(run)).replay_problem == ""


async def test_check_replay_prints_a_shared_cause_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting_runs_check, "RUNS_AT_ONCE", 2)
    async with host_code(asks, park_after=0) as hosting:
        waiting = [await hosting.submit(conversation=f"c{number}") for number in range(5)]
        for run in waiting:
            await hosting.prompts(run)
        deploy(books_first)
        _, printed = await command(hosting, "check_replay")
        assert printed.count("no longer matches its journal") == 1
        assert all(f"{run} (t_deployed 1, waiting)" in printed for run in waiting)
        assert "5 runs replayed: 5 could not continue" in printed
        first, *others = await check()
        assert {first["run"], *(line["run"] for line in others)} == {str(run) for run in waiting}
        assert "the name was 'work' and is 'other' now" in first["error"]
        assert all(line["same_as"] == first["run"] and "error" not in line for line in others)


async def test_only_the_newest_process_checks_replays() -> None:
    def process(name: str, age: int) -> None:
        now = timezone.now()
        started = now - timedelta(seconds=age)
        Process.objects.create(name=name, kind=Process.Kind.BOTH, started_at=started, last_seen=now)

    async with asking(host_code(asks)) as (hosting, _, _):
        deploy(books_first)
        await hosting.restart()
        await reads.read(process, this_process(), 0)
        await reads.read(process, "worker:newer", -1)
        assert await check() == []
        await reads.read(Process.objects.filter(name="worker:newer").delete)
        await reads.read(process, "worker:older", 3600)
        assert len(await check()) == 1


@pytest.mark.parametrize(
    ("code", "expected_texts"),
    [
        (
            books_first,
            [
                "at position 1: the name was 'work' and is 'other' now",
                " in books_first().",
            ],
        ),
        (raises, ["The workflow raises ValueError: no such room. At tests.contrib.replay"]),
        (waits_for_something_else, ["Put what waits for something else into a step."]),
    ],
)
async def test_check_replay_prints_why_a_run_could_not_continue(
    code: Any, expected_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_replay, "RUN_TIMEOUT", 0.2)
    async with asking(host_code(asks, park_after=0)) as (hosting, run, _):
        await until_true(lambda: not any(host.runs for host in hosting.hosts))
        before = await reads.read(all_rows)
        deploy(code)
        exit_code, printed = await command(hosting, "check_replay")
        assert exit_code == 1
        assert f"✗ {run} (t_deployed 1, waiting): " in printed
        assert all(words in printed for words in expected_texts)
        assert "1 runs replayed: 1 could not continue" in printed
        assert await command(hosting, "check_replay", str(run)) == (1, printed)
        assert await reads.read(all_rows) == before
        deploy(asks)
        assert (await command(hosting, "check_replay"))[0] == 0


async def test_a_run_that_no_workflow_is_declared_for_is_one_that_could_not_go_on() -> None:
    async with asking(host_code(asks, park_after=0)) as (hosting, _, _):
        await until_true(lambda: not any(host.runs for host in hosting.hosts))
        await hosting.in_thread(Run.objects.update, version=7)
        exit_code, printed = await command(hosting, "check_replay")
        assert (exit_code, "Version 7 of the workflow" in printed) == (1, True)
        hosting.workflow = "t_check_all"
        hosting.offer()
        exit_code, printed = await command(hosting, "check_replay")
        assert (exit_code, "no workflow 't_deployed'" in printed) == (1, True)


class Rooms:
    """A builder's product."""

    def find(self, name: str) -> Person:
        """Return a value that is read back by its annotation."""
        return Person(5, work(name))


@asynccontextmanager
async def open_rooms(user: Person, options: Any) -> AsyncIterator[Rooms]:
    """Yield a builder."""
    yield Rooms()


def fail() -> None:
    raise OSError("away")


def written() -> None:
    executed.append("written")


async def pieces() -> AsyncIterator[str]:
    for piece in ("x", "y"):
        yield piece


never = asyncio.Event()


async def never_ends() -> str:
    executed.append("never ends")
    await never.wait()
    return "unless it is let"


@workflow(name="t_check_child", title="Is run by another")
async def check_child(message: Message, context: Context) -> str:
    return message.text if message.text == "go" else await asks(context)


@workflow(name="t_check_all", title="All that can be called", per_user_builder=open_rooms)
async def check_all(message: Message, context: Context) -> AsyncGenerator[str, None]:
    room = await context.step(context.builder.find, "room", title="Find a room")
    yield f"{room.username} {context.now()} {context.random()}"
    try:
        await context.step(fail)
    except StepFailed:
        context.show("It is away")
    async for piece in context.stream(pieces):
        yield piece
    for past in await context.history(3):
        await context.step(work, past.text)
    if context.patched("a change"):
        context.add_usage(prompt_tokens=1, completion_tokens=1)
    await context.transactional_step(written)
    yield await context.run("t_check_child", "go")
    with suppress(NothingCame):
        await context.wait_for("payment", timeout=0.01)
    await context.sleep(0.01)
    try:
        await context.ask(TextPrompt(text="in time?", timeout=0.01))
    except PromptExpired:
        at_once: list[Awaitable[object]] = [
            context.step(never_ends),
            context.step(work, "beside"),
            context.ask(TextPrompt(text="?")),
            context.wait_for("parcel"),
            context.run("t_check_child", "ask"),
        ]
        await asyncio.gather(*at_once)


# The steps of a run, and of one that it began, before they wait.
LAST = ("never ends", "beside", "a")


async def replayable(hosting: Hosting) -> UUID:
    """Return a run that has called all there is, and waits."""
    executed.clear()
    never.clear()

    async def due() -> None:
        while any(executed.count(one) < 2 for one in LAST):  # the run before has the same steps
            await hosting.settle_due()
            await asyncio.sleep(0.01)

    before = await hosting.submit("hello")
    run = await hosting.submit("go")
    assert before != run
    await due()
    await until(lambda: JournalEntry.objects.filter(run=run, name="work").count() == 1)
    return run


async def test_all_that_can_be_called_is_replayed(tmp_path: Path) -> None:
    other_workflows = ("t_check_child",)
    async with Hosting("t_check_all", beside=other_workflows, second_message="parallel") as hosting:
        run = await replayable(hosting)
        child = await until(lambda: Run.objects.filter(parent=run, status="waiting").first())
        await hosting.prompts(child.id)
        executed_before = list(executed)
        summary = "1 runs replayed: 0 could not continue, 0 differ harmlessly.\n"
        assert await command(hosting, "check_replay", str(run), "--differences") == (0, summary)
        assert await command(hosting, "check_replay", str(child.id)) == (0, summary)
        file = tmp_path / "history.json"
        await command(hosting, "export_history", str(run), "--output", str(file))
        assert await replay_history(file) == []
        assert executed == executed_before
        never.set()
        calls = [entry["call"]["name"] for entry in json.loads(file.read_text())["journal"]]
        assert {"find", "now", "fail", "pieces", "history", "usage", "text"} <= set(calls)
        assert {"written", "payment", "parcel", "t_check_child"} <= set(calls)


async def test_a_file_is_replayed_without_the_database_that_it_is_from(tmp_path: Path) -> None:
    async with asking(host_code(asks)) as (hosting, run, prompt):
        await hosting.answer("blue", prompt)
        await hosting.prompts(run)
        _, printed = await command(hosting, "export_history", str(run))
        await hosting.in_thread(Conversation.objects.all().delete)
        for name in ("export_history", "check_replay"):
            with pytest.raises(CommandError, match="There is no run"):
                await command(hosting, name, str(uuid4()))
    file = tmp_path / "history.json"
    await asyncio.to_thread(file.write_text, printed)
    assert await replay_history(file) == []
    deploy(asks_otherwise)
    [room] = await replay_history(file)
    assert room.startswith("position 2, ask choice: ")
    deploy(books_first)
    with pytest.raises(NotReplayable, match="the name was 'work' and is 'other' now"):
        await replay_history(file)


async def test_a_file_of_a_run_that_ended_is_replayed_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "history.json"

    async def ends(context: Context) -> str:
        return await context.step(work, "a")

    for code in (ends, raises):
        async with running(host_code(code)) as (hosting, run):
            await hosting.until_ended(run)
            await command(hosting, "export_history", str(run), "--output", str(file))
        assert await replay_history(file) == []

    async def ends_early(context: Context) -> str:
        return "at once"

    async def raises_early(context: Context) -> str:
        raise ValueError("no such person")

    for code, why in (
        (ends_early, "the workflow comes to its end before it"),
        (raises_early, "no such person"),
    ):
        deploy(code)
        with pytest.raises(NotReplayable, match=why):
            await replay_history(file)
    assert "t_deployed" in registry.declared_workflows()
