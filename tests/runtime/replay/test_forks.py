"""Tests of forks: the calls before a position are kept, the rest is executed anew."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from sessions_app import runs
from sessions_app.conversations import forks
from sessions_app.conversations.listing import lock_kept
from sessions_app.errors import Busy, Invalid, NotFound
from sessions_app.models import Arrival, Conversation, Event, Interaction, Run
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import Context, Message, TextPrompt, user, workflow
from tests.runtime.replay.deployed import deploy, executed, host_code, other, work
from tests.support.hosting import Hosting, asking, make_user, running

pytestmark = pytest.mark.django_db(transaction=True)


async def pieces(name: str) -> AsyncGenerator[str, None]:
    executed.append(f"stream {name}")
    yield f"{name}1 "
    yield f"{name}2 "


def transact(name: str) -> str:
    executed.append(f"transact {name}")
    return name


@workflow(name="t_forked", title="Does something of everything")
async def everything(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Make calls 1 step, 2 ask, 3 stream, 4 transactional step, 5 wait, 6 ask, 7 step."""
    yield "Hello. "
    await context.step(work, "a", title="Look")
    first = (await context.ask(TextPrompt(text="first?"))).text
    yield f"You said {first}. "
    async for _ in context.stream(pieces, "s"):
        pass
    await context.transactional_step(transact, "t")
    came = await context.wait_for("payment")
    yield f"Paid {came}. "
    second = (await context.ask(TextPrompt(text="second?"))).text
    yield f"Then {second}, {await context.step(work, 'b')}."


TOLD = "Hello. You said one. s1 s2 Paid 5. Then two, b."


async def boss(hosting: Hosting) -> Any:
    return await reads.read(get_user_model().objects.get, pk=hosting.user)


async def fork(hosting: Hosting, run: UUID, position: int, **more: Any) -> UUID:
    return await runs.afork(run, position=position, by=await boss(hosting), **more)


async def whole(hosting: Hosting) -> UUID:
    """Return a completed run of `everything`."""
    executed.clear()
    run, first = await hosting.submit_until_prompt()
    await hosting.answer("one", first)
    await runs.asend(run, "payment", 5, id="p1")
    [second] = await hosting.prompts(run)
    assert await hosting.complete(run, "two", second) == TOLD
    executed.clear()
    return run


def shown(events: list[Any], run: UUID) -> list[tuple[str, Any]]:
    """Return the events that a run showed, without its ids and its text."""
    fields = ("name", "state", "status", "response", "by")
    return [
        (event.type, {name: event.payload.get(name) for name in fields})
        for event in events
        if event.run == run and event.type in ("step", "interaction", "interaction_update")
    ]


@pytest.mark.slow
async def test_a_fork_keeps_and_shows_what_precedes_its_position() -> None:
    async with Hosting("t_forked") as hosting:
        source = await whole(hosting)
        run = await fork(hosting, source, 6)
        [prompt] = await hosting.prompts(run)
        assert prompt.prompt["text"] == "second?"
        await hosting.crash()
        await hosting.answer("three", prompt)
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.COMPLETED
        assert (row.forked_from_id, row.fork_position) == (source, 6)
        assert await hosting.output(run) == "Hello. You said one. s1 s2 Paid 5. Then three, b."
        assert executed == ["b"]
        events = await hosting.events()
        sequences = [event.first_sequence for event in events]
        assert sequences == sorted(set(sequences))
        were, are = shown(events, source), shown(events, run)
        assert were[:-1] == are[:-1]
        assert were[-1] != are[-1]
        mine = [event.payload for event in events if event.run == run]
        by = (await boss(hosting)).get_username()
        assert mine[0]["text"] == "go"
        assert mine[0]["fork"] == {"run": str(source), "position": 6, "by": by}
        taken_up = next(payload for payload in mine if "replayed" in payload)
        assert taken_up["replayed"] == 5
        assert taken_up["trace_id"]
        # The steps of the fork have the fork's id, so their events are never taken for the source
        # run's.
        steps = [payload["step_id"] for payload in mine if "step_id" in payload]
        assert steps
        assert all(step.startswith(f"{run}:") for step in steps)
        assert await hosting.output(source) == TOLD


async def test_a_name_in_the_place_of_a_user_is_refused_with_a_sentence() -> None:
    nobody: Any = "ann"
    for call in (
        lambda: runs.astart("t_forked", "hello", user=nobody),
        lambda: runs.afork(uuid4(), position=1, by=nobody),
        lambda: runs.aresume(uuid4(), by=nobody),
        lambda: runs.aanswer(uuid4(), "yes", by=nobody),
        lambda: runs.aclaim(uuid4(), by=nobody),
    ):
        with pytest.raises(TypeError, match=r"needs a user, such as .* not a str: 'ann'"):
            await call()


@pytest.mark.parametrize("position", range(1, 9))
async def test_from_each_position_it_comes_to_the_same_end(position: int) -> None:
    async with Hosting("t_forked") as hosting:
        source = await whole(hosting)
        run = await fork(hosting, source, position)
        if position <= 2:
            [first] = await hosting.prompts(run)
            await hosting.answer("one", first)
        if position <= 5:
            await runs.asend(run, "payment", 5, id="p1")
        if position <= 6:
            [second] = await hosting.prompts(run)
            await hosting.restart()
            await hosting.answer("two", second)
        assert await hosting.result(run) == TOLD
        step_names = ["a", "", "stream s", "transact t", "", "", "b", ""]
        assert executed == [name for name in step_names[position - 1 :] if name]
        types = [event.type for event in await hosting.events()]
        assert Event.Type.TEXT not in types
        assert Event.Type.RESTART not in types


async def test_a_fork_waits_anew_for_a_pending_call() -> None:
    async with asking("t_forked") as (hosting, source, first):
        await hosting.answer("one", first)
        await hosting.until_status(source, Run.Status.WAITING)
        run = await fork(hosting, source, 5)
        # The fork has to wait for the end of the source run, as any message would.
        await runs.asend(source, "payment", 5, id="p1")
        [second] = await hosting.prompts(source)
        await hosting.answer("two", second)
        await hosting.until_ended(source)
        await hosting.until_status(run, Run.Status.WAITING)
        assert not await reads.read(Arrival.objects.filter(run=run).exists)
        await runs.asend(run, "payment", 6, id="p1")
        assert len(await hosting.prompts(run)) == 1


async def test_a_run_that_failed_goes_on_beside_itself() -> None:
    async def wrong(context: Context) -> str:
        answer = await context.ask(TextPrompt(text="?"))
        await context.step(work, "a")
        raise KeyError(answer.text)

    async def right(context: Context) -> str:
        answer = await context.ask(TextPrompt(text="?"))
        await context.step(work, "a")
        return f"{answer.text} {await context.step(other, 'b')}"

    async with asking(host_code(wrong)) as (hosting, source, prompt):
        await hosting.answer("yes", prompt)
        await hosting.until_ended(source)
        deploy(right)
        run = await fork(hosting, source, 2)
        assert await hosting.result(run) == "yes b"
        assert executed == ["a", "a", "b"]
        rows = Interaction.objects.filter(run=run).select_related("answered_by")
        [kept_prompt] = await reads.read(lambda: list(rows))
        assert (kept_prompt.status, kept_prompt.answered_via) == ("answered", "test")
        assert kept_prompt.answered_by_id == hosting.user


async def test_changes_of_the_code_behind_the_position_are_new() -> None:
    async def before(context: Context) -> str:
        early = context.patched("early")
        await context.step(work, "a")
        await context.step(work, "b")
        return f"{early} {context.patched('late')}"

    async def after(context: Context) -> str:
        patches = [context.patched("new") and context.patched("early")]
        await context.step(work, "a")
        await context.step(work, "b")
        return f"{patches} {context.patched('late')}"

    async with running(host_code(before)) as (hosting, source):
        await hosting.until_ended(source)
        deploy(after)
        run = await fork(hosting, source, 3)
        row = await hosting.until_ended(run)
        assert await hosting.output(run) == "[False] True"
        assert row.patches == {"early": 0, "late": 2}


async def test_a_fork_evaluates_patches_after_its_position_again() -> None:
    """The fork begins where the run had met a patch of the code."""

    async def before(context: Context) -> str:
        await context.step(work, "a")
        await context.step(work, "b")
        return f"{context.patched('change')}"

    async def after(context: Context) -> str:
        await context.step(work, "a")
        if context.patched("change"):
            await context.step(other, "new")
        await context.step(work, "b")
        return f"{context.patched('change')}"

    async with running(host_code(before)) as (hosting, source):
        assert (await hosting.until_ended(source)).patches == {"change": 2}
        executed.clear()
        deploy(after)
        run = await fork(hosting, source, 2)
        row = await hosting.until_ended(run)
        assert (row.status, row.patches) == (Run.Status.COMPLETED, {"change": 1})
        assert executed == ["new", "b"]
        executed.clear()
        # A patch that comes before the fork's position is kept, because it decided which calls
        # exist.
        fork_id = await fork(hosting, run, 2)
        assert (await hosting.until_ended(fork_id)).patches == {"change": 1}
        assert executed == ["new", "b"]


async def test_an_impossible_fork_is_refused() -> None:
    async with Hosting("t_forked") as hosting:
        source = await whole(hosting)
        for position in (0, -1, 9):
            with pytest.raises(Invalid, match="1 to 8"):
                await fork(hosting, source, position)
        with pytest.raises(NotFound):
            await fork(hosting, uuid4(), 1)
        assert await reads.read(Run.objects.count) == 1


async def test_a_run_stopped_while_its_fork_waits_for_the_lock_is_not_gone_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lock_late(tx: Transaction, conversation: UUID) -> None:
        Run.objects.filter(conversation=conversation).update(stop_point={"position": 3})
        lock_kept(tx, conversation)

    async with Hosting("t_forked") as hosting:
        source = await whole(hosting)
        monkeypatch.setattr(forks, "lock_kept", lock_late)
        with pytest.raises(Invalid, match="1 to 4"):
            await fork(hosting, source, 6)


async def test_a_fork_is_made_once_for_a_key_and_rolled_back_with_its_caller() -> None:
    def undone(run: UUID, by: Any) -> None:
        with transaction.atomic():
            runs.fork(run, position=8, by=by, key="k")
            transaction.set_rollback(True)

    async with Hosting("t_forked") as hosting:
        source = await whole(hosting)
        await hosting.in_thread(undone, source, await boss(hosting))
        assert await reads.read(Run.objects.count) == 1
        forks = {await fork(hosting, source, 8, key="k") for _ in range(3)}
        assert len(forks) == 1
        assert await reads.read(Run.objects.count) == 2


async def test_a_fork_is_to_the_policy_what_a_message_is() -> None:
    async with asking("t_forked") as (hosting, source, first):
        await hosting.answer("one", first)
        # The source waits for an arrival, not for a person.
        await hosting.until_status(source, Run.Status.WAITING)
        hosting.offer(second_message="reject")
        with pytest.raises(Busy):
            await fork(hosting, source, 2)
        hosting.offer(second_message="parallel")
        parallel_fork = await fork(hosting, source, 2)
        await hosting.prompts(parallel_fork)
        hosting.offer(second_message="interrupt")
        interrupting_fork = await fork(hosting, source, 2)
        await hosting.prompts(interrupting_fork)
        for one in (source, parallel_fork):
            assert (await hosting.until_ended(one)).status == Run.Status.CANCELLED


@pytest.mark.parametrize("for_owner", [True, False])
async def test_no_question_waits_in_a_fork_whose_question_was_handed_on(for_owner: bool) -> None:
    async def asks(context: Context) -> str:
        to = None if for_owner else user("boss")
        return (await context.ask(TextPrompt(text="?"), to=to)).text

    await reads.read(make_user, "boss")
    async with asking(host_code(asks)) as (hosting, source, prompt):
        ann = await boss(hosting)
        person = await reads.read(get_user_model().objects.get, username="boss")
        await runs.areassign(prompt.pk, to=person if for_owner else ann, by=ann)
        await runs.aanswer(prompt.pk, "yes", by=person)
        assert await hosting.result(source) == "yes"
        assert await hosting.result(await fork(hosting, source, 2)) == "yes"
        conversation = await Conversation.objects.aget(pk=prompt.conversation_id)
        assert conversation.waiting == 0
