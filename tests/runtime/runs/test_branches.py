"""Tests of the history that a workflow gets, and of branches, which are independent."""

from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from pytest_django import Settings

from sessions_app import runs
from sessions_app.errors import Busy, Invalid, NotFound
from sessions_app.models import Event, Interaction, Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.runtime.replay.deployed import host_code
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, asking, running, until

pytestmark = pytest.mark.django_db(transaction=True)

histories: dict[str, list[str]] = {}


async def answer_with_history(message: Message, context: Context) -> AsyncGenerator[str, None]:
    word, _, limit = message.text.partition(" last ")
    past = await context.history(int(limit or 20))
    histories[word] = [f"{one.role}: {one.text}" if limit else one.text for one in past]
    yield "re "
    if word.startswith("ask"):
        await context.ask(TextPrompt(text="?"))
    if word == "fail":
        raise ValueError
    yield word


remembers = workflow(name="t_branches", title="Remembers")(answer_with_history)
one_at_a_time = workflow(name="t_branches_reject", title="One", second_message="reject")(
    answer_with_history
)


@workflow(name="t_branches_child", title="Runs another")
async def with_child(message: Message, context: Context) -> str:
    return str(await context.run("t_branches", "ask child"))


async def complete_message(hosting: Hosting, text: str, **fields: str) -> str:
    """Send a message, wait for the end of its run, and return the run."""
    run = await hosting.submit(text, **fields)
    assert (await hosting.until_ended(run)).status == Run.Status.COMPLETED
    return str(run)


async def test_the_last_messages_come_in_order_with_what_runs_said() -> None:
    async with Hosting("t_branches") as hosting:
        for text in ("one", "fail", "three", "four last 3"):
            await hosting.until_ended(await hosting.submit(text))
        await complete_message(hosting, "elsewhere", conversation="d")
    assert histories["one"] == histories["elsewhere"] == []
    assert histories["three"] == ["one", "re one", "fail", "re "]
    assert histories["four"] == ["assistant: re ", "user: three", "assistant: re three"]


async def test_unfinished_runs_are_not_in_the_history() -> None:
    async with Hosting("t_branches", second_message="parallel") as hosting:
        await complete_message(hosting, "one")
        run, prompt = await hosting.submit_until_prompt("ask")
        await complete_message(hosting, "meanwhile")
        assert histories.pop("ask") == histories["meanwhile"] == ["one", "re one"]
        await hosting.complete(run, "yes", prompt, restart=True)
    assert histories["ask"] == ["one", "re one"]  # unchanged by later messages


@pytest.mark.parametrize("branched", [False, True])
async def test_messages_that_came_later_are_not_in_the_history(branched: bool) -> None:
    async def code(context: Context) -> str:
        if context.input_message == "ask":
            await context.ask(TextPrompt(text="?"))
            await context.run("t_branches", "child")
        return str([one.text for one in await context.history()])

    hosting = host_code(code, second_message="parallel", beside=["t_branches"])
    async with running(hosting, "one") as (_, first):
        await hosting.until_ended(first)
        if branched:
            await hosting.reply_to("one", replaces=str(first))
        run, prompt = await hosting.submit_until_prompt("ask")
        await hosting.reply_to("later")
        assert await hosting.complete(run, "yes", prompt) == "['one', '[]']"
    assert histories["child"] == ["one", "[]"]


async def test_the_history_is_limited_to_the_size_of_a_step_result(settings: Settings) -> None:
    set_hitl(settings, MAX_STEP_RESULT=14)
    async with Hosting("t_branches") as hosting:
        for text in ("one", "two", "three"):
            await complete_message(hosting, text)
    assert histories["three"] == ["two", "re two"]


async def test_another_version_of_a_message_knows_what_was_before_it_only() -> None:
    async with Hosting("t_branches") as hosting:
        await complete_message(hosting, "a")
        first = await complete_message(hosting, "b")
        await complete_message(hosting, "c")
        second = await complete_message(hosting, "b2", replaces=first)
        await complete_message(hosting, "d")
        third = await complete_message(hosting, "b3", replaces=second)
        row = await hosting.until_ended(await hosting.submit("", replaces=third))
        *_, last = (one for one in await hosting.events() if one.type == Event.Type.USER_MESSAGE)
    assert last.payload["fork"] == {"run": third, "position": 1, "by": hosting.person.username}
    assert histories["b2"] == histories["b3"] == ["a", "re a"]
    assert histories["d"] == ["a", "re a", "b2", "re b2"]
    assert (row.text, str(row.forked_from_id), row.fork_position) == ("b3", third, 1)


async def test_a_message_may_go_on_with_an_older_branch_which_is_the_newest_then() -> None:
    async with Hosting("t_branches") as hosting:
        first = await complete_message(hosting, "a")
        await complete_message(hosting, "b")
        await complete_message(hosting, "a2", replaces=first)
        await complete_message(hosting, "c", follows=first)
        await complete_message(hosting, "d")
        # A run that is not the last of its branch does not begin a new branch by that.
        run = await complete_message(hosting, "e", follows=first)
        # A fork by an operator begins a branch, too.
        by = await reads.read(lambda: Run.objects.get(pk=run).conversation.owner)
        await hosting.until_ended(await runs.afork(UUID(run), position=1, by=by))
        await complete_message(hosting, "f")
    assert histories["c"] == ["a", "re a", "b", "re b"]
    assert histories["d"] == [*histories["c"], "c", "re c"]
    assert histories["e"] == [*histories["d"], "d", "re d"]
    assert histories["f"] == [*histories["e"], "e", "re e"]
    assert (await Run.objects.aget(pk=run)).follows_id is None


async def test_replacing_a_message_stops_active_runs_of_the_old_branch() -> None:
    async with Hosting("t_branches") as hosting:
        await complete_message(hosting, "a")
        asks, prompt = await hosting.submit_until_prompt("ask")
        queued = await hosting.submit("b")
        await complete_message(hosting, "c", replaces=str(asks))
        assert (await hosting.until_ended(asks)).status == Run.Status.CANCELLED
        assert (await hosting.until_ended(queued)).status == Run.Status.CANCELLED
        await prompt.arefresh_from_db()
        assert prompt.status == "cancelled"


async def test_a_suspended_run_whose_message_is_replaced_does_not_go_on(settings: Settings) -> None:
    set_hitl(settings, MAX_CALLS=1)
    async with Hosting("t_branches") as hosting:
        suspended = await hosting.submit("ask")
        await hosting.until_status(suspended, Run.Status.SUSPENDED)
        await complete_message(hosting, "b", replaces=str(suspended))
        await hosting.until_status(suspended, Run.Status.CANCELLED)


async def test_replacing_a_message_leaves_earlier_active_runs() -> None:
    async with asking("t_branches", "ask") as (hosting, asks, prompt):
        queued = await hosting.submit("b")
        replacement = await hosting.submit("c", replaces=str(queued))
        await hosting.until_status(queued, Run.Status.CANCELLED)
        await hosting.complete(asks, "yes", prompt)
        assert (await hosting.until_ended(replacement)).status == Run.Status.COMPLETED
    assert histories["c"] == ["ask", "re ask"]


async def test_a_workflow_that_takes_one_at_a_time_takes_another_version_of_it() -> None:
    async with asking("t_branches_reject", "ask") as (hosting, asks, _):
        again, _ = await hosting.submit_until_prompt(
            "ask 2", replaces=str(asks), message_id="again"
        )
        assert await hosting.submit("ask 2", replaces=str(asks), message_id="again") == again
        with pytest.raises(Busy):
            await hosting.submit("b")


async def test_a_message_over_the_question_of_a_child_stops_its_parent() -> None:
    async with Hosting("t_branches_child", beside=["t_branches"]) as hosting:
        parent = await hosting.submit("a")
        await until(lambda: Interaction.objects.filter(run__parent=parent).first())
        await hosting.submit("b", second_message="interrupt_asking")
        await hosting.until_status(parent, Run.Status.CANCELLED)


async def test_only_a_message_of_the_conversation_is_replaced_or_followed() -> None:
    async with Hosting("t_branches_child", beside=["t_branches"]) as hosting:
        parent = await hosting.submit("a")
        child = await until(lambda: Run.objects.filter(parent=parent).first())
        elsewhere = await hosting.submit("b", conversation="d")
        for run in (str(child.id), str(elsewhere), "nothing"):
            for field in ("replaces", "follows"):
                with pytest.raises(NotFound):
                    await hosting.submit("c", **{field: run})
        with pytest.raises(Invalid):
            await hosting.submit("", follows=str(parent))
        await runs.acancel(parent)
        await runs.acancel(elsewhere)
