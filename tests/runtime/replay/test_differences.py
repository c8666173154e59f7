"""Tests of harmless code changes while a run waits: recorded as differences, without a failure."""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest
from django.test import Client

from sessions_app import runs
from sessions_app.journal.journal import describe_arguments
from sessions_app.models import Conversation, Event, Interaction, JournalEntry, Run
from sessions_app.storage import reads
from sessions_app.workflows import (
    BinaryPrompt,
    CheckboxPrompt,
    Context,
    Option,
    RadioPrompt,
    TextPrompt,
    ToolCallPrompt,
)
from tests.runtime.replay.deployed import Body, deploy, executed, host_code, work
from tests.support.hosting import asking, make_user, running

pytestmark = pytest.mark.django_db(transaction=True)

ROOMS = ["red", "blue"]


async def changed_while_it_waits(before: Body, after: Body, answer: Any) -> tuple[Run, str, str]:
    """Return the run, its text, and the recorded differences."""
    async with asking(host_code(before)) as (hosting, run, prompt):
        deploy(after)
        await hosting.restart()
        await hosting.answer(answer, prompt)
        row = await hosting.until_ended(run)
        return row, await hosting.output(run), await reads.read(noted_differences, row)


def noted_differences(run: Run) -> str:
    notes = [
        *JournalEntry.objects.filter(run=run).values_list("difference", flat=True),
        *Interaction.objects.filter(run=run).values_list("difference", flat=True),
    ]
    return "".join(notes)


def asks(prompt: Any) -> Body:
    async def code(context: Context) -> str:
        answer = await context.ask(prompt)
        return f"{answer.value} by {answer.by}"

    return code


def text(text: str = "?", **more: Any) -> TextPrompt:
    return TextPrompt(text=text, **more)


def where(*options: str) -> RadioPrompt:
    return RadioPrompt(text="Where?", options=list(options))


async def test_a_question_that_waits_on_beside_others_is_answered_as_it_was_asked() -> None:
    def code(*rooms: str) -> Body:
        async def body(context: Context) -> str:
            async def ask_twice() -> None:
                await context.ask(text("Who?"))
                await context.ask(text("Sure?"))

            answer, _ = await context.gather(context.ask(where(*rooms)), ask_twice())
            return str(answer.value)

        return body

    async with running(host_code(code(*ROOMS))) as (hosting, run):
        room_prompt, name_prompt = await hosting.prompts(run, 2)
        deploy(code("green"))
        await hosting.restart()
        await hosting.answer("eve", name_prompt)
        [sure] = set(await hosting.prompts(run, 2)) - {room_prompt, name_prompt}
        await hosting.answer("blue", room_prompt)
        assert await hosting.complete(run, "yes", sure) == "blue"


async def test_an_approval_of_one_tool_counts_for_no_other() -> None:
    refund, pay = (asks(ToolCallPrompt(text="?", tool=tool)) for tool in ("refund", "pay"))
    run, _, _ = await changed_while_it_waits(refund, pay, "approve")
    assert run.status == Run.Status.SUSPENDED


async def test_an_answer_that_is_recorded_is_read_by_the_prompt_that_was_answered() -> None:
    """A replay that finds the recorded answer returns the same, for one of several prompts, too."""

    def both(options: list[str]) -> Body:
        async def code(context: Context) -> str:
            first, second = await context.ask_all(
                [RadioPrompt(text="Where?", options=options), TextPrompt(text="Who?")]
            )
            await context.ask(TextPrompt(text="Sure?"))
            return f"{first.value} {second.value}"

        return code

    async with running(host_code(both(ROOMS))) as (hosting, run):
        room_prompt, name_prompt = await hosting.prompts(run, 2)
        await hosting.answer("blue", room_prompt)
        await hosting.answer("eve", name_prompt)
        await hosting.prompts(run)
        deploy(both(["green"]))
        assert await hosting.complete(run, "yes", restart=True) == "blue eve"


async def test_an_answer_outlives_the_account_of_who_gave_it() -> None:
    async def asks_twice(context: Context) -> str:
        first = await context.ask(text("Go on?"))
        return f"{first.is_default} {(await context.ask(text('Sure?'))).text}"

    async with asking(host_code(asks_twice)) as (hosting, run, prompt):
        eve = await reads.read(make_user, "eve")
        await runs.aanswer(prompt.pk, "yes", by=eve)
        await hosting.prompts(run)
        await reads.read(eve.delete)
        assert await hosting.complete(run, "yes", restart=True) == "False yes"


# Keys in an order that neither the alphabet nor the length of the names gives.
DETAILS: dict[str, Any] = {
    "table": {"zone": "eu", "id": 7, "area": "west"},
    "rows": 12,
    "backup": "none",
}


async def test_names_stay_in_the_order_in_which_they_were_written(client: Client) -> None:
    """PostgreSQL's type jsonb would sort the names."""

    def page(run: UUID) -> str:
        conversation = Conversation.objects.get(runs=run)
        client.force_login(conversation.owner)
        page = client.get(f"/c/{conversation.conversation_id}/")
        return page.content.decode().split('id="items"')[1]

    async with asking(host_code(asks(text(details=DETAILS)))) as (hosting, run, prompt):
        [event] = [one for one in await hosting.events() if one.type == Event.Type.INTERACTION]
        assert str(prompt.prompt["details"]) == str(event.payload["prompt"]["details"])
        assert str(prompt.prompt["details"]) == str(DETAILS)
        html = await reads.read(page, run)
    names = ["table", "zone", "id", "area", "rows", "backup"]
    assert names == sorted(names, key=lambda name: html.index(f">{name}<"))


def works(argument: Callable[[], Any], **how: Any) -> Body:
    async def code(context: Context) -> str:
        await context.step(work, argument(), **how)
        context.show("What I found", str(argument()))
        return (await context.ask(text())).text

    return code


def drawn() -> str:
    return str(random.random())


def join(*arguments: Any) -> str:
    return work(str(len(arguments)))


async def draws(context: Context) -> str:
    await context.step(join, context.now(), context.random(), {3, 1, 2})
    return (await context.ask(text(timeout=60))).text


def stock() -> dict[str, int]:
    return {"pears": 1, "figs": 2}


async def goes_through(context: Context) -> str:
    """Use a step's result in the order in which the step returned it."""
    names = await context.step(stock)
    results = [await context.step(work, name) for name in names]
    return f"{(await context.ask(text())).text} {results[0]}"


class Booking:
    def work(self, name: str) -> str:
        return work(f"moved {name}")


def renamed(name: str) -> str:
    return work(f"renamed {name}")


async def works_twice(context: Context) -> str:
    await context.step(work, "a")
    await context.step(work, "b")
    return (await context.ask(text())).text


async def by_other_functions(context: Context) -> str:
    await context.step(Booking().work, "a")  # the function has moved into a class
    await context.step(renamed, "b", name="work")
    return f"{(await context.ask(text())).text} {await context.step(renamed, 'c')}"


ONE_OR_TWO = CheckboxPrompt(text="Which?", options=[Option(value=1, label="One"), Option(value=2)])
TWO_OR_THREE = CheckboxPrompt(text="Which?", options=[2, 3], min_selected=2)
BINARY = BinaryPrompt(text="Where?", options=ROOMS)
THREE = where(*ROOMS, "green")


@pytest.mark.parametrize(
    ("before", "after", "answer", "note"),
    [
        (text("Go on?"), text("Shall I?"), "yes", 'text: "Go on?" became "Shall I?"'),
        (text(timeout=60), text(timeout=120), "yes", "timeout: 60.0 became 120.0"),
        (text(details={"S": 1}), text(details={"S": 2}), "yes", 'details: {"S":1} became {"S":2}'),
        (where(*ROOMS), THREE, "blue", '"value":"green"'),
        # One option was removed. The answer is checked against the prompt that was shown.
        (where(*ROOMS), where("red"), "blue", "options: "),
        # The controls for one choice differ.
        (BINARY, THREE, "red", 'input_type: "binary_choice" became "radio"'),
        (ONE_OR_TWO, TWO_OR_THREE, "1", "min_selected: 0 became 2"),
    ],
)
async def test_a_prompt_may_change_while_it_waits(
    before: Any, after: Any, answer: str, note: str
) -> None:
    run, output, noted = await changed_while_it_waits(asks(before), asks(after), answer)
    assert (run.status, output) == (Run.Status.COMPLETED, f"{answer} by ann")
    assert note in noted


ONE_STEP, BY_CHANCE = works(lambda: "room 5"), works(drawn)
SIX = works(lambda: "room 6", title="Booking")
LONG_5, LONG_6 = works(lambda: "x" * 900 + "5"), works(lambda: "x" * 900 + "6")
ARGUMENTS = 'the arguments: ["room 5"] became ["room 6"]'
SHOWN = '["What I found","room 5"] became ["What I found","room 6"]'
BEHIND = "the arguments differ behind their first 500 characters"


@pytest.mark.parametrize(
    ("before", "after", "output", "notes", "steps"),
    [
        (ONE_STEP, SIX, "yes", [ARGUMENTS, SHOWN], ["room 5"]),
        (BY_CHANCE, BY_CHANCE, "yes", ["the arguments: "], [ANY]),
        (LONG_5, LONG_6, "yes", [BEHIND], [ANY]),
        # These cases have no difference.
        (ONE_STEP, ONE_STEP, "yes", [], ["room 5"]),
        (draws, draws, "yes", [], ["3"]),
        (goes_through, goes_through, "yes pears", [], ["pears", "figs"]),
        (works_twice, by_other_functions, "yes renamed c", [], ["a", "b", "renamed c"]),
    ],
)
async def test_steps_and_what_is_shown_may_change(
    before: Body, after: Body, output: str, notes: list[str], steps: list[str]
) -> None:
    run, printed, noted = await changed_while_it_waits(before, after, "yes")
    assert (run.status, printed, executed) == (Run.Status.COMPLETED, output, steps)
    assert [note for note in notes if note not in noted] == []
    assert bool(noted) == bool(notes)


async def test_a_difference_is_noted_once_however_often_it_is_replayed() -> None:
    async def twice(context: Context) -> str:
        await asyncio.gather(context.step(work, str(len(executed))), context.sleep(0))
        await context.ask(TextPrompt(text="first"))
        return (await context.ask(TextPrompt(text="second"))).text

    async with asking(host_code(twice)) as (hosting, run, first):
        await hosting.restart()
        await hosting.answer("x", first)
        await hosting.prompts(run)
        await hosting.restart()
        await hosting.answer("x")
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.COMPLETED
        assert await reads.read(noted_differences, row) == 'the arguments: ["0"] became ["1"]'


def test_the_order_of_a_set_is_no_difference() -> None:
    # 0 and 8 collide in a small hash table, so the iteration order is the order of insertion.
    one, other = {0}, {8}
    one.add(8)
    other.add(0)
    assert list(one) != list(other)
    assert describe_arguments({"ids": [one]}) == describe_arguments({"ids": [other]})
    assert describe_arguments({0, 8}) != describe_arguments({0, 9})


def test_bytes_that_are_no_text_are_recorded() -> None:
    assert describe_arguments(b"\xff") == '["_w=="]'
