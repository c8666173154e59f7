"""Runs that begin one another end with a sentence: chains, trees and circles of each kind."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from sessions_app import runs
from sessions_app.conversations.listing import delete
from sessions_app.conversations.messages import IncomingMessage, submit
from sessions_app.conversations.stops import stop
from sessions_app.journal.stop_point import StopPoint
from sessions_app.lifecycle.due import settle_due
from sessions_app.models import Conversation, PendingSignal, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.signals import run_finished
from sessions_app.storage.branches import ancestors
from sessions_app.storage.lineage import MAX_DEPTH
from sessions_app.workflows import ChildFailed, Context, Message, workflow
from tests.runtime.from_django.test_signals import deliver_signals
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, until
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)

LONG_LINE = f"{MAX_DEPTH} runs have begun one another"


@workflow(name="t_line", title="Line")
async def line(message: Message, context: Context) -> str:
    match message.text.split():
        case ["child", name]:
            return str(await context.run(name, message.text))
        case ["two"]:
            both = (context.run("t_line", "two") for _ in range(2))
            return str(await context.gather(*both))
        case ["many", count]:
            for _ in range(int(count)):
                await context.run("t_line", "nothing")
        case ["transaction"]:
            await context.transactional_step(partial(start, "transaction", context.user_id))
        case ["step", name]:
            return str(await context.step(partial(STEPS[name], context.run_id, context.user_id)))
        case ["callback"]:
            while True:
                await context.step(partial(send, context.run_id))
                await context.wait_for("n")
    return "done"


@workflow(name="t_line_back", title="Back")
async def line_back(message: Message, context: Context) -> str:
    return str(await context.run("t_line", message.text))


@workflow(name="t_line_refused", title="Refused")
async def refused(message: Message, context: Context) -> str:
    try:
        await context.run("t_line", "nothing")
    except ChildFailed as error:
        await context.sleep(0.01)
        return f"{error.workflow} {error.status}"
    return "not refused"


def start(text: str, user: str) -> str:
    return str(runs.start("t_line", text, user=User.objects.get(pk=user)))


def start_here(run: str, user: str) -> str:
    return start("step start_here", user)


def start_twice(run: str, user: str) -> bool:
    owner = User.objects.get(pk=user)
    first, second = (runs.start("t_line", "nothing", user=owner, key="a") for _ in range(2))
    return first == second


async def start_in_task(run: str, user: str) -> str:
    owner = await User.objects.aget(pk=user)
    return str(await asyncio.create_task(runs.astart("t_line", "step start_in_task", user=owner)))


def fork(run: str, user: str) -> str:
    return str(runs.fork(run, position=1, by=User.objects.get(pk=user)))


async def request(run: str, user: str) -> str:
    """Send a message as a request of another program does, which names its caller."""
    metadata = {"headers": {"workflow-parent-id": run}}
    message = IncomingMessage(uuid4().hex, "step request", workflow="t_line", metadata=metadata)
    submitted = await submit(owner=int(user), conversation_id=uuid4().hex, message=message)
    return str(submitted.run)


STEPS: dict[str, Callable[[str, str], Any]] = {
    step.__name__: step for step in (start_here, start_twice, start_in_task, fork, request)
}


async def send(run: str) -> None:
    await runs.asend(run, "n", id=uuid4().hex)


@pytest.fixture
def receivers() -> Iterator[list[Any]]:
    receivers: list[Any] = []
    yield receivers
    for receiver in receivers:
        run_finished.disconnect(receiver)


def message_of(row: Run) -> str:
    return str((row.error or {}).get("message"))


async def all_ended() -> list[Run]:
    """Wait until no run is unfinished; return all runs in their order in the line."""

    def ended() -> list[Run] | None:
        rows = list(Run.objects.order_by("depth", "created_at"))
        return rows if all(row.status in Run.FINISHED for row in rows) else None

    rows: list[Run] = await until(ended)
    return rows


@pytest.mark.parametrize("text", ["child t_line", "child t_line_back"])
async def test_chain_of_children_ends_with_a_sentence(text: str) -> None:
    async with Hosting("t_line", beside=("t_line_back",)) as hosting:
        run = await hosting.submit(text)
        row = await hosting.until_ended(run)
        rows = await all_ended()
    assert (row.status, len(rows)) == (Run.Status.FAILED, MAX_DEPTH + 1)
    assert LONG_LINE in message_of(row)
    assert message_of(row).count("came to no result") == 1
    assert {other.origin for other in rows[1:]} == {run}


@pytest.mark.parametrize(
    "text", ["step start_here", "transaction", "step start_in_task", "step fork", "step request"]
)
async def test_chain_of_started_runs_ends_with_a_sentence(text: str) -> None:
    async with Hosting("t_line", second_message="parallel") as hosting:
        await hosting.submit(text)
        *before, last = await all_ended()
    assert [row.status for row in before] == [Run.Status.COMPLETED] * MAX_DEPTH
    assert last.status == Run.Status.FAILED
    assert LONG_LINE in message_of(last)


async def test_receiver_of_signals_that_starts_runs_comes_to_an_end(receivers: list[Any]) -> None:
    def start_another(run: Run, **_: object) -> None:
        start("nothing", str(run.conversation.owner_id))

    receivers.append(start_another)
    run_finished.connect(start_another)
    async with Hosting("t_line") as hosting, deliver_signals():
        await hosting.submit("nothing")
        [signal] = await until(lambda: list(PendingSignal.objects.exclude(error="")))
        rows = await all_ended()
    assert [row.status for row in rows] == [Run.Status.COMPLETED] * (MAX_DEPTH + 1)
    assert LONG_LINE in signal.error


async def test_run_that_calls_itself_back_without_end_is_suspended(settings: Settings) -> None:
    set_hitl(settings, MAX_CALLS=40)
    async with Hosting("t_line") as hosting:
        row = await hosting.until_ended(await hosting.submit("callback"))
    assert (row.status, (row.error or {})["code"]) == ("suspended", "TooManyCalls")


@pytest.mark.parametrize("text", ["two", "many 31"])
async def test_message_leads_to_so_many_runs(settings: Settings, text: str) -> None:
    set_hitl(settings, RUNS_PER_MESSAGE=30)
    async with Hosting("t_line") as hosting:
        row = await hosting.until_ended(await hosting.submit(text))
        rows = await all_ended()
    assert (row.status, len(rows)) == (Run.Status.FAILED, 31)
    assert "led to 30 further runs, as many as RUNS_PER_MESSAGE" in message_of(row)


async def test_children_count_for_their_user(settings: Settings) -> None:
    set_hitl(settings, RUNS_PER_USER=5)
    async with Hosting("t_line") as hosting:
        row = await hosting.until_ended(await hosting.submit("child t_line"))
        rows = await all_ended()
    assert (row.status, len(rows)) == (Run.Status.FAILED, 5)
    assert "One user has 5 unfinished runs, as many as RUNS_PER_USER" in message_of(row)


async def test_refusal_of_a_child_is_the_same_in_a_replay(settings: Settings) -> None:
    set_hitl(settings, RUNS_PER_USER=1)
    async with Hosting("t_line_refused", beside=("t_line",), replay_everywhere=True) as hosting:
        run = await hosting.submit()
        assert await hosting.result(run) == "t_line refused"


async def test_repeated_start_is_not_refused(settings: Settings) -> None:
    set_hitl(settings, RUNS_PER_MESSAGE=1)
    async with Hosting("t_line") as hosting:
        assert await hosting.result(await hosting.submit("step start_twice")) == "True"


async def test_script_ends_a_chain_likewise() -> None:
    with pytest.raises(ChildFailed, match=LONG_LINE):
        await in_script("t_line", "child t_line")


def add_old_chain(levels: int) -> Conversation:
    """Store a chain of waiting runs that is longer than may be, as version 0.1.0 allowed."""
    owner, now = User.objects.create_user("ann"), timezone.now()
    moments = dict.fromkeys(("created_at", "updated_at", "listed_at"), now)
    conversation = Conversation.objects.create(
        owner=owner, conversation_id="c", workflow="t_line", last_sequence=0, **moments
    )
    parent: Run | None = None
    for level in range(levels):
        parent = Run.objects.create(
            conversation=conversation,
            parent=parent,
            parent_position=1 if level else None,
            key=HostKey.of_conversation(conversation.id, "t_line"),
            workflow="t_line",
            message_id=str(level),
            status=Run.Status.WAITING,
            created_at=now,
        )
    return conversation


@pytest.mark.parametrize("door", [stop, delete], ids=["stop", "deletion"])
async def test_old_chain_of_any_length_is_stopped_and_deleted(door: Any) -> None:
    levels = 600
    conversation = await asyncio.to_thread(add_old_chain, levels)
    await door(owner=conversation.owner_id, conversation_id="c")
    await settle_due()
    assert await Run.objects.filter(stop_requested_at=None).acount() == 0
    last = await Run.objects.aget(message_id=str(levels - 1))
    assert len(await asyncio.to_thread(ancestors, last.id)) == levels
    await Run.objects.aupdate(status=Run.Status.CANCELLED)
    await asyncio.to_thread(conversation.delete)
    assert not await Run.objects.aexists()


async def test_children_that_clean_up_are_not_stopped() -> None:
    conversation = await asyncio.to_thread(add_old_chain, 3)
    parents = Run.objects.filter(message_id="0")
    point = StopPoint(position=1).model_dump(mode="json")
    await parents.aupdate(stop_requested_at=timezone.now(), stop_point=point)
    await Run.objects.filter(message_id="1").aupdate(parent_position=2)
    await settle_due()
    assert await Run.objects.filter(stop_requested_at=None).acount() == 2
    await parents.aupdate(status=Run.Status.CANCELLED)
    await settle_due()
    assert await conversation.runs.filter(stop_requested_at=None).acount() == 0
