"""Tests of foreign JSON schemas and values: each check ends soon, even a hostile one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sessions_app.errors import Invalid
from sessions_app.prompts import (
    aargument_problems,
    acheck_schema,
    argument_problems,
    check_schema,
    load_prompt,
)
from sessions_app.workflows import Context, FormPrompt, Message, ToolCallPrompt, workflow
from tests.support.hosting import SentTo

Schema = dict[str, Any]


def bomb(levels: int) -> Schema:
    """Build a schema whose checks double at each level."""
    definitions = {
        f"d{number}": {
            name: {"$ref": f"#/$defs/d{number + 1}"} for name in ("if", "then", "else", "not")
        }
        for number in range(levels)
    }
    return {"$defs": {**definitions, f"d{levels}": {"type": "array"}}, "$ref": "#/$defs/d0"}


BOMB = bomb(60)
# Value for which Python's `re` would practically never end.
HOSTILE: dict[str, Any] = {"x": "a" * 60 + "!"}
PATTERN: Schema = {"anyOf": [{"type": "string", "pattern": "^(a+)+$"}]}
TOO_MUCH_WORK = "takes too long to check"
# Turns of the event loop: a hostile check takes hundreds, and a dozen where it blocks the loop.
TURNS = 50


async def turns_during(work: "asyncio.Future[Any]") -> int:
    """Return how often the event loop turns until the work is done."""
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    return turns


def test_value_that_takes_too_much_work_is_refused() -> None:
    [problem] = argument_problems(BOMB, {"x": 1}).values()
    assert TOO_MUCH_WORK in str(problem)
    assert argument_problems({"required": ["y"]}, {"x": 1}) == {"": '"y" is a required property'}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"x": PATTERN}},
        {"properties": {"x": {"not": {"not": PATTERN}}}},
        {"patternProperties": {"^(x+)+$": PATTERN}},
        {"$defs": {"p": PATTERN}, "additionalProperties": {"$ref": "#/$defs/p"}},
        # A look-ahead: checked in a limited number of steps.
        {"properties": {"x": {"pattern": "^(?=a)(a+)+$"}}},
    ],
)
def test_patterns_are_linear_at_every_depth(schema: Schema) -> None:
    assert list(argument_problems(schema, HOSTILE)) == ["x"]
    assert not argument_problems(schema, {"x": "aaa"})


def test_unique_items_are_checked_in_no_time() -> None:
    schema = {"properties": {"x": {"uniqueItems": True}}}
    assert not argument_problems(schema, {"x": [{"a": number} for number in range(20_000)]})


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "number of pieces"}, '"number of pieces" is not valid'),
        ({"properties": {"x": {"pattern": "(a"}}}, "the pattern at properties/x/pattern"),
        ({"properties": {"x": {"pattern": "(.{1,1000}){1,1000}"}}}, ""),
        ({"properties": {f"p{number}": {} for number in range(60_000)}}, "more than 32,000 bytes"),
        ({"properties": {f"p{number}": {} for number in range(201)}}, "more than 200 properties"),
        ({"$ref": "https://example.org/a.json"}, "cannot fetch https://example.org/a.json"),
        ({"$ref": "file:///etc/passwd"}, "cannot fetch file:///etc/passwd"),
        ({"$ref": "#/$defs/none"}, "does not exist"),
        ({"title": "\ud800"}, "is none"),
    ],
)
def test_what_cannot_be_used_is_told(schema: Schema, problem: str) -> None:
    told = check_schema(schema)
    assert told.startswith("The JSON schema cannot be used: ")
    assert problem in told
    assert argument_problems(schema, {"x": "a"}) == {"": told}


def test_value_that_is_too_large_too_deep_or_no_json_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (float("inf"), "\ud800", 10**5000, "a" * 1_100_000, ["a"] * 1_100_000, deep):
        assert list(argument_problems({}, {"x": value})) == [""]


def test_honest_value_is_checked_while_a_hostile_one_is() -> None:
    with ThreadPoolExecutor() as threads:
        hostile = threads.submit(argument_problems, BOMB, {"x": 1})
        assert not argument_problems({"required": ["x"]}, {"x": 1})
    assert TOO_MUCH_WORK in str(hostile.result()[""])


@workflow(name="t_foreign_schema", title="Foreign schema")
async def ask_foreign(_message: Message, context: Context) -> str:
    """Ask with a hostile server's schema, whose default is the hostile answer."""
    properties = {"x": {**PATTERN, "default": HOSTILE["x"]}, "y": {"$ref": "#/$defs/d0"}}
    schema = {"properties": properties, "$defs": BOMB["$defs"]}
    answer = await context.ask(FormPrompt(schema, text="?", reject="Decline"))
    return f"approved: {answer.approved}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("answer", "turns"), [(HOSTILE, 0), ({"y": "1"}, TURNS)])
async def test_answer_by_a_hostile_schema_stops_nobody(
    sent_to: SentTo, answer: dict[str, str], turns: int
) -> None:
    async with sent_to("t_foreign_schema", "go") as (_, run):
        await run.prompts()
        given = asyncio.ensure_future(run.answer(answer))
        assert await turns_during(given) > turns
        assert isinstance(given.exception(), Invalid)
        await run.answer("reject")
        assert await run.result() == "approved: False"


async def test_event_loop_goes_on_during_a_check() -> None:
    checks = asyncio.gather(*(aargument_problems(BOMB, {"x": n}) for n in range(3)))
    assert await turns_during(checks) > TURNS
    # All checks take too long; none is refused because no process is free. A replay must find the
    # same.
    assert all(TOO_MUCH_WORK in str(one[""]) for one in await checks)
    assert await acheck_schema({"type": "text"}) == check_schema({"type": "text"})


def test_stored_prompt_is_read_without_a_check_of_its_schema() -> None:
    schema: Schema = {"properties": {"x": {"type": "nothing"}}}
    prompt = ToolCallPrompt(text="?", tool="t", arguments=HOSTILE, editable=True)
    stored = {**prompt.model_dump(mode="json"), "input_schema": schema}
    loaded = load_prompt(stored)
    assert isinstance(loaded, ToolCallPrompt)
    assert HOSTILE["x"] in str(loaded.make())


def test_form_of_a_schema_that_cannot_be_used_is_not_asked() -> None:
    with pytest.raises(ValueError, match="The JSON schema cannot be used"):
        FormPrompt({"properties": {"x": {"pattern": "(a"}}}, text="?")


LIST_OF_ITSELF: Schema = {"type": "array", "items": {"$ref": "#/$defs/list"}}
MANY_CHOICES: Schema = {"enum": [f"{number}" for number in range(1_500)]}


@pytest.mark.parametrize("property_schema", ["list", "choices", "none"])
def test_form_of_a_schema_is_shown_soon(property_schema: str) -> None:
    reference = {"$ref": f"#/$defs/{property_schema}"}
    schema: Schema = {
        "properties": {f"p{number}": reference for number in range(200)},
        "$defs": {"list": LIST_OF_ITSELF, "choices": MANY_CHOICES, "none": {"enumNames": 5}},
    }
    prompt = FormPrompt(schema, text="?")
    assert str(prompt.make()).count("<option") in (0, 1_501)
    assert len(prompt.fields) == 200
