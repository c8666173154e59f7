"""What a workflow is told of its conversation so far."""

from collections.abc import AsyncGenerator

import pytest
from pytest_django import Settings

from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)

told: list[list[tuple[str, str]]] = []


@workflow(name="t_history", title="Remembers", second_message="parallel")
async def remembers(message: Message, context: Context) -> AsyncGenerator[str, None]:
    word, _, limit = message.text.partition(" ")
    past = await context.history(int(limit or 20))
    told.append([(one.role, one.text) for one in past])
    yield "well, "
    if word == "ask":
        yield (await context.ask(TextPrompt(text="?"))).text
    elif word == "fail":
        raise ValueError
    yield word


async def test_the_last_messages_come_in_order_with_what_runs_said() -> None:
    told.clear()
    async with Hosting("t_history") as hosting:
        for text in ("one", "fail", "three", "four 3"):
            await hosting.ended(await hosting.submit(text))
        await hosting.ended(await hosting.submit("elsewhere", conversation="d"))
    assert told[0] == told[4] == []
    assert told[2] == [
        ("user", "one"),
        ("assistant", "well, one"),
        ("user", "fail"),
        ("assistant", "well, "),
    ]
    assert told[3] == [("assistant", "well, "), ("user", "three"), ("assistant", "well, three")]


async def test_replay_is_told_the_same_whatever_was_said_since() -> None:
    told.clear()
    async with Hosting("t_history") as hosting:
        await hosting.ended(await hosting.submit("one"))
        run, prompt = await hosting.prompted("ask")
        await hosting.ended(await hosting.submit("meanwhile"))
        assert await hosting.answered(run, "yes ", prompt, restart=True) == "well, yes ask"
    _, first, meanwhile, again = told
    assert first == again == [("user", "one"), ("assistant", "well, one")]
    assert meanwhile == first  # of a run that is not over nothing is told


async def test_no_more_is_told_than_a_step_may_give(settings: Settings) -> None:
    told.clear()
    set_hitl(settings, MAX_STEP_RESULT=20)
    async with Hosting("t_history") as hosting:
        for text in ("one", "two", "three"):
            await hosting.ended(await hosting.submit(text))
    assert told[2] == [("user", "two"), ("assistant", "well, two")]
