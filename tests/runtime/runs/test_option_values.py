"""Options whose values are no texts: an answer means them by themselves, and by their text."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import ValidationError

from sessions_app.errors import Invalid
from sessions_app.prompts import dump_prompt, load_prompt
from sessions_app.workflows import (
    BinaryPrompt,
    CheckboxPrompt,
    Context,
    Message,
    Option,
    RadioPrompt,
    TextPrompt,
    workflow,
)
from tests.support.hosting import asking
from tests.support.sessions import declare, managing

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
    ("one", "several", "found"),
    [
        ("true", ["1", "0"], [True, [1, 0]]),
        ("true", ["true", "false"], [True, [True, False]]),
        ("3", ["false"], [3, [False]]),
        ("2", [], [2.0, []]),
        ("0.5", ["0", "1"], [0.5, [1, 0]]),
        ("true story", ["true"], ["true story", [True]]),
    ],
)
async def test_a_run_and_a_replay_get_the_option(one: str, several: list[str], found: Any) -> None:
    async with asking("t_values") as (hosting, run, prompt):
        await hosting.answer(one, prompt)
        await hosting.prompts(run)
        await hosting.restart()
        await hosting.answer(None, values=several)
        await hosting.prompts(run)
        await hosting.restart()
        await hosting.answer("no")
        await hosting.ended(run)
        assert repr(json.loads(await hosting.output(run))) == repr(found)


@pytest.mark.parametrize("given", [True, 3, [True, "0"]])
async def test_a_callback_may_answer_with_the_value(given: Any) -> None:
    prompt = BOXES if isinstance(given, list) else VALUES

    async def ask(message: Message, context: Context) -> Any:
        return (await context.ask(prompt)).value

    async def answer(asked: Any) -> Any:
        return given

    async with (
        managing(declare(ask)) as manager,
        manager.run("x", user_input_callback=answer) as runner,
    ):
        wanted = "true, 0" if isinstance(given, list) else given
        assert repr(await runner.result()) == repr(wanted)


def test_a_prompt_with_such_options_is_stored_and_read_again() -> None:
    for prompt in (VALUES, BOXES):
        read = load_prompt(json.loads(dump_prompt(prompt)))
        assert repr(read) == repr(prompt)
    assert BOXES.default_answer() == {"values": [False]}
    assert Option(value=False).label == Option(value=False).id == "false"


def test_what_is_no_option_is_refused_with_those_there_are() -> None:
    with pytest.raises(Invalid, match=r"Choose one of: true, false, 3, 2, 0\.5, true story"):
        VALUES.check("True", None)


def test_a_prompt_is_stored_without_what_a_database_does_not_take() -> None:
    prompt = TextPrompt(text="a\0b", placeholder="\ud800", details={"of": "\udfff"})
    read = load_prompt(json.loads(dump_prompt(prompt)))
    assert isinstance(read, TextPrompt)
    assert (read.text, read.placeholder) == ("a\ufffdb", "\ufffd")
    assert read.details == {"of": "\ufffd"}
    escaped = TextPrompt(text=r"a\u0000b")
    assert load_prompt(json.loads(dump_prompt(escaped))) == escaped


@pytest.mark.parametrize(
    "options",
    [
        [True, "true"],
        [3, 3.0],
        [float("nan"), 1],
        [2**53 + 1, 1],
        [None, 1],
        ["", "a"],
        {"no", "order"},
        "ab",
    ],
)
def test_options_that_no_answer_could_tell_apart_or_store_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        BinaryPrompt(text="?", options=options)
