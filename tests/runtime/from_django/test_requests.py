"""Tests of starting, answering and stopping runs from Python, in the caller's transaction."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from sessions_app import runs
from sessions_app.conversations import listing
from sessions_app.errors import Busy, Invalid, NotFound, UnknownWorkflow
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.storage import reads
from sessions_app.workflows import CheckboxPrompt, Context, Message, TextPrompt, workflow
from tests.support.hosting import Hosting, asking, make_user, running

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_greet", title="Greet")
async def greet(message: Message, context: Context) -> AsyncGenerator[str, None]:
    yield f"{context.user.username}: "
    if message.text == "ask":
        yield (await context.ask(TextPrompt(text="Name?"))).text
    elif message.text == "choose":
        chosen = await context.ask(CheckboxPrompt(text="Which?", options=["a", "b", "c"]))
        yield " ".join(map(str, chosen.values))
    else:
        yield message.text


workflow(name="t_greet_again", title="Greet again")(greet)


def start(*args: Any, **kwargs: Any) -> Any:
    return runs.start("t_greet", *args, user=make_user("ann"), **kwargs)


async def test_a_start_is_committed_with_what_the_caller_writes() -> None:
    def in_transaction() -> tuple[Any, int]:
        with transaction.atomic():
            make_user("customer")
            run = start("hello")
            return run, Event.objects.filter(run=run, type="run").count()

    async with Hosting("t_greet") as hosting:
        run, taken_up = await hosting.in_thread(in_transaction)
        assert not taken_up
        run_result = await hosting.in_thread(runs.result, run, timeout=30)
    assert run_result == runs.RunResult(run, Run.Status.COMPLETED, "ann: hello", None)


async def test_ids_may_be_texts() -> None:
    """URLs contain ids as texts; each database accepts texts."""

    def handled(run: str, prompt: str) -> list[object]:
        ann, ben = make_user("ann"), make_user("ben")
        return [
            runs.send(run, "parcel", id="1"),
            runs.reassign(prompt, to=[ben], by=ann),
            runs.claim(prompt, by=ben).assignee,
            runs.release(prompt, by=ben).assignee,
            runs.answer(prompt, "Eve", by=ben).outcome,
            runs.result(run, timeout=30).text,
            next(runs.events(run)).type,
            runs.cancel(run),
            runs.resume(run, by=ann),
            bool(runs.fork(run, position=1, by=ann)),
        ]

    async with asking("t_greet", "ask") as (hosting, run, prompt):
        expected = ["accepted", True, "ben", None, "accepted", "ann: Eve", "user_message"]
        handled_so = await hosting.in_thread(handled, str(run), str(prompt.pk))
        assert handled_so == [*expected, False, False, True]
        for unknown in (str(uuid4()), "no id"):
            with pytest.raises(NotFound):
                await runs.acancel(unknown)
            with pytest.raises(NotFound):
                await runs.aanswer(unknown, "Eve", by=await reads.read(make_user, "ann"))


async def test_a_start_is_rolled_back_with_what_the_caller_writes() -> None:
    def undone() -> None:
        with transaction.atomic():
            start("hello")
            transaction.set_rollback(True)

    async with Hosting("t_greet") as hosting:
        await hosting.in_thread(undone)
        for model in (Conversation, Run, Event):
            assert not await hosting.in_thread(model.objects.count)
        assert not hosting.hosted()


@pytest.mark.slow
@pytest.mark.local_only(reason="of many processes each leaves its work in the queue")
async def test_a_start_is_heard_of_though_another_hook_of_its_commit_raises() -> None:
    def raises() -> None:
        raise OSError("the broker is away")

    def start_beside() -> None:
        with transaction.atomic():
            transaction.on_commit(raises)
            start("hello", conversation="c")

    async with Hosting("t_greet") as hosting:
        with pytest.raises(OSError, match="broker"):
            await hosting.in_thread(start_beside)
        run = await Run.objects.aget()
        assert await hosting.result(run.pk) == "ann: hello"


async def test_a_savepoint_with_a_start_may_be_rolled_back() -> None:
    def partly() -> tuple[Any, Any]:
        with transaction.atomic():
            kept_run = start("kept", conversation="kept")
            with transaction.atomic():
                undone_run = start("undone", conversation="undone")
                transaction.set_rollback(True)
        return kept_run, undone_run

    async with Hosting("t_greet") as hosting:
        kept, undone = await hosting.in_thread(partly)
        assert (await hosting.in_thread(runs.result, kept, 10)).text == "ann: kept"
        with pytest.raises(NotFound):
            await hosting.in_thread(runs.result, undone)


async def test_a_start_with_the_same_key_gives_the_same_run() -> None:
    async with Hosting("t_greet", beside=("t_greet_again",)) as hosting:
        first = await hosting.in_thread(start, "hello", key="order-1")
        await hosting.until_ended(first)
        assert await hosting.in_thread(start, "hello again", key="order-1") == first
        user = await hosting.in_thread(make_user, "ann")
        assert await runs.astart("t_greet", "hello", user=user, key="order-1") == first
        assert await hosting.in_thread(start, "hello", key="order-2") != first
        assert await hosting.in_thread(start, "hello", key="order-1", conversation="c") != first
        ben = await hosting.in_thread(make_user, "ben")
        assert await runs.astart("t_greet", "hello", user=ben, key="order-1") != first
        # The key of an order may start one run in each of two workflows.
        second = await runs.astart("t_greet_again", "hello", user=user, key="order-1")
        assert second != first
        assert (await runs.aresult(second, timeout=30)).text == "ann: hello"


async def test_a_run_may_go_on_with_a_conversation_and_be_of_what_has_a_json_form() -> None:
    async with running("t_greet", "one") as (hosting, first):
        second = await hosting.in_thread(start, {"order": 7}, conversation="c")
        assert (await hosting.in_thread(runs.result, second, 10)).text == 'ann: {"order":7}'
        assert {event.run for event in await hosting.events()} == {first, second}


async def test_nothing_is_started_in_a_deleted_conversation() -> None:
    async with running("t_greet", "one") as (hosting, run):
        await hosting.until_ended(run)
        await listing.delete(owner=hosting.user, conversation_id="c")
        with pytest.raises(NotFound, match="was deleted"):
            await hosting.in_thread(start, "two", conversation="c")


async def test_a_refused_start_stores_nothing() -> None:
    async with Hosting("t_greet", second_message="reject") as hosting:
        user = await hosting.in_thread(make_user, "ann")
        with pytest.raises(UnknownWorkflow):
            await runs.astart("t_other", "hello", user=user)
        with pytest.raises(Invalid, match="empty"):
            await hosting.in_thread(start, " ")
        with pytest.raises(Invalid, match="key"):
            await hosting.in_thread(start, "hello", key="")
        with pytest.raises(Invalid, match="signed in"):
            await runs.astart("t_greet", "hello", user=AnonymousUser())  # type: ignore[arg-type]  # a view's mistake
        assert not await hosting.in_thread(Conversation.objects.count)
        await hosting.in_thread(start, "ask", conversation="c")
        with pytest.raises(Busy):
            await hosting.in_thread(start, "hello", conversation="c")
        await hosting.in_thread(Conversation.objects.update, workflow="t_another")
        with pytest.raises(Invalid, match="t_another"):
            await hosting.in_thread(start, "hello", conversation="c")
        assert await hosting.in_thread(Run.objects.count) == 1
        ben = await hosting.in_thread(make_user, "ben")  # ben has no conversation of this name
        await runs.astart("t_greet", "hello", user=ben, conversation="c")


async def test_an_answer_goes_on_with_the_run_and_is_given_once() -> None:
    async with asking("t_greet", "ask") as (hosting, run, prompt):
        ben = await hosting.in_thread(make_user, "ben")

        def answer(text: str, answer_id: str) -> Any:
            return runs.answer(prompt.id, text, by=ben, answer_id=answer_id).outcome

        with pytest.raises(Invalid):
            await hosting.in_thread(answer, "", "a")
        assert await hosting.in_thread(answer, "Eve", "a") == runs.Outcome.ACCEPTED
        assert await hosting.in_thread(answer, "Eve", "a") == runs.Outcome.DUPLICATE
        assert await hosting.in_thread(answer, "Eva", "b") == runs.Outcome.STALE
        assert (await runs.aanswer(prompt.id, "Eva", by=ben)).outcome == runs.Outcome.STALE
        with pytest.raises(NotFound):
            await runs.aanswer(uuid4(), "Eva", by=ben)
        assert (await hosting.in_thread(runs.result, run, 10)).text == "ann: Eve"
        settled_prompt = await hosting.in_thread(Interaction.objects.get, run=run)
        assert (settled_prompt.answered_by_id, settled_prompt.answered_via) == (ben.pk, "python")


async def test_a_checkbox_is_answered_with_a_list() -> None:
    async with asking("t_greet", "choose") as (hosting, run, prompt):
        await runs.aanswer(prompt.id, ["a", "c"], by=await hosting.in_thread(make_user, "ann"))
        assert (await runs.aresult(run, 10)).text == "ann: a c"
