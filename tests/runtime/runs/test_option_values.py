"""Tests of options whose values are not texts: answers may use the value or its text."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from sessions_app.prompts import JsonAnswer
from sessions_app.workflows import (
    CheckboxPrompt,
    Context,
    Message,
    Option,
    RadioPrompt,
    TextPrompt,
    workflow,
)
from tests.support.hosting import asking
from tests.support.sessions import declare, managing, say

VALUES = RadioPrompt(text="Which?", options=[True, False, 3, 2.0, 0.5, "true story"])
BOXES = CheckboxPrompt(text="Which?", options=[True, 1, False, 0], default=[False])


@workflow(name="t_values", title="Values")
async def values(message: Message, context: Context) -> AsyncGenerator[str, None]:
    chosen = (await context.ask(VALUES)).value
    boxes = (await context.ask(BOXES)).values
    yield json.dumps([chosen, boxes])
    await context.ask(TextPrompt(text="more?"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("one", "several", "expected_values"),
    [
        ("true", ["1", "0"], [True, [1, 0]]),
        ("2", [], [2.0, []]),
        ("true story", ["true", "false"], ["true story", [True, False]]),
    ],
)
async def test_a_run_and_a_replay_get_the_option(
    one: str, several: list[str], expected_values: Any
) -> None:
    async with asking("t_values") as (hosting, run, prompt):
        await hosting.answer(one, prompt)
        await hosting.prompts(run)
        await hosting.restart()
        await hosting.answer(several)
        await hosting.prompts(run)
        await hosting.restart()
        await hosting.answer("no")
        await hosting.until_ended(run)
        assert repr(json.loads(await hosting.output(run))) == repr(expected_values)


@pytest.mark.parametrize("answer_value", [True, 3, [True, "0"]])
async def test_a_callback_may_answer_with_the_value(answer_value: Any) -> None:
    prompt = BOXES if isinstance(answer_value, list) else VALUES

    async def ask(message: Message, context: Context) -> Any:
        return (await context.ask(prompt)).value

    async def answer(prompt: Any) -> Any:
        return answer_value

    async with managing(declare(ask)) as manager:
        result = await say(manager, user_input_callback=answer)
    assert repr(result) == repr("true, 0" if isinstance(answer_value, list) else answer_value)


@pytest.mark.parametrize(
    ("options", "text", "chosen"),
    [
        (["x", "X"], "X", ["X"]),
        (["x", "X"], "x, X", ["x", "X"]),
        ([Option(value="b", label="a"), Option(value="a", label="c")], "a", ["a"]),
        ([Option(value="b", label="One, or two"), Option(value="a")], "one, or TWO", ["b"]),
    ],
)
def test_a_text_chooses_the_boxes_that_it_names(
    options: list[Any], text: str, chosen: list[str]
) -> None:
    assert CheckboxPrompt(text="?", options=options).check(JsonAnswer.of(text)) == {
        "values": chosen
    }
