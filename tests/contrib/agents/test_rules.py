"""Rules of approval: what a rule, a person and the tool get of a call is the same."""

from collections.abc import Iterable
from datetime import date
from enum import Enum
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from pydantic import BaseModel, SecretStr
from pytest_django import Settings

from sessions_app.contrib.agents.language_model import ToolCall
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import UNFIT, schema_tool, tool
from sessions_app.json_types import JsonObject
from sessions_app.models.people import Person
from sessions_app.prompts.assignment import To
from sessions_app.storage import reads
from sessions_app.workflows import ToolCallPrompt, group, permission, user
from tests.contrib.agents.own_agent import Hosted, host, results
from tests.support.hitl import set_hitl
from tests.support.hosting import SentTo, make_members


def host_call(written: str | JsonObject, use: Any) -> None:
    """Have the next run's model call the tool so."""
    text = written if isinstance(written, str) else tool_call(use.name, **written).arguments
    host(ScriptedModel([ToolCall("a", use.name, text)], "Done."), use)


class Mode(Enum):
    KEEP = "keep"
    WIPE = "wipe"


class Options(BaseModel):
    """An argument with a default of its own."""

    force: bool = True


def erase(
    path: str,
    force: bool = False,
    mode: Mode = Mode.WIPE,
    days: int = 1,
    options: Options = Options(force=False),  # noqa: B008 - a tool's default
) -> str:
    """Erase."""
    Hosted.done.append((path, force, mode.value, days, options.force))
    return "erased"


async def later(arguments: JsonObject, owner: Person) -> bool:
    return False


@pytest.mark.parametrize(
    ("rule", "written"),
    [
        (lambda arguments, _: arguments.get("mode") == "wipe", {"path": "/"}),
        (lambda arguments, _: arguments.get("force") is True, {"path": "/", "force": "yes"}),
        (lambda arguments, _: arguments.get("days") == 30, {"path": "/", "days": "30"}),
        (lambda arguments, _: arguments["options"]["force"], {"path": "/", "options": {}}),
    ],
)
async def test_rule_gets_what_the_tool_gets(
    sent_to: SentTo, rule: Any, written: JsonObject
) -> None:
    host_call(written, tool(erase).needs(approval=rule))
    async with sent_to("t_agent", "Go") as (_, run):
        assert len(await run.prompts()) == 1
    assert Hosted.done == []


@pytest.mark.parametrize(
    "rule",
    [
        lambda *_: None,
        lambda *_: 0,
        lambda *_: "",
        lambda *_: [],
        lambda arguments, _: arguments["nothing"],
        later,
    ],
)
async def test_rule_that_names_nobody_has_the_owner_asked(sent_to: SentTo, rule: Any) -> None:
    host_call({"path": "/"}, tool(erase).needs(approval=rule))
    async with sent_to("t_agent", "Go") as (_, run):
        await run.answer("approve")
        assert await run.result() == "Done."
    assert len(Hosted.done) == 1


async def test_rule_cannot_change_the_arguments(sent_to: SentTo) -> None:
    def rule(arguments: JsonObject, _owner: Person) -> bool:
        arguments["path"] = "/elsewhere"
        return False

    host_call({"path": "/"}, tool(erase).needs(approval=rule))
    async with sent_to("t_agent", "Go") as (_, run):
        assert await run.result() == "Done."
    assert Hosted.done == [("/", False, "wipe", 1, False)]


async def test_defaults_of_a_schema_are_filled_in(sent_to: SentTo) -> None:
    schema = {
        "properties": {
            "euro": {"type": "integer", "default": 500},
            "note": {"type": "string", "default": None},  # which fits its schema not itself
            "to": {"$ref": "#/$defs/To"},
        },
        "$defs": {"To": {"properties": {"iban": {"default": "DE1"}}}},
    }
    use = of_schema(schema).needs(approval=lambda arguments, _: arguments["euro"] > 100)
    host_call({"to": {"name": "Eve"}}, use)
    async with sent_to("t_agent", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert isinstance(prompt, ToolCallPrompt)
        await run.answer("approve")
        await run.result()
    assert Hosted.done == [{"to": {"name": "Eve", "iban": "DE1"}, "euro": 500}]
    assert Hosted.done == [prompt.arguments]


def tip(euro: float, note: str = "") -> None:
    """Give a tip."""
    Hosted.done.append(euro)


def sign_in(password: SecretStr) -> None:
    """Sign in."""
    Hosted.done.append(password)


def of_schema(schema: JsonObject) -> Any:
    """Make a tool of which there is the schema alone."""
    return schema_tool("pay", "Pay.", schema, lambda values, _: Hosted.done.append(values)).needs()


DRAFT_7 = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "properties": {"n": {"items": [{"type": "integer"}]}},
}
UNUSABLE = f"{UNFIT}The JSON schema cannot be used: "


@pytest.mark.parametrize(
    ("use", "written", "told"),
    [
        (tool(erase), '{"path": "/a", "path": "/b"}', f"{UNFIT}they have 'path' twice."),
        (
            tool(erase),
            '{"path": "/", "options": {"force": false, "force": true}}',
            f"{UNFIT}they have 'force' twice.",
        ),
        (tool(erase), '{"path": NaN}', f"{UNFIT}they are not JSON ("),
        (tool(erase), "[]", f"{UNFIT}they are not a JSON object."),
        (
            tool(sign_in).needs(),
            {"password": "abc"},
            f"{UNFIT}password: its JSON does not say all of it",
        ),
        (tool(tip).needs(timeout=60), {"euro": 5, "note": "a" * 270_000}, "Nobody was asked: "),
        (tool(tip).needs(timeout=60), {"euro": float("inf")}, UNFIT),
        (of_schema(DRAFT_7), {"n": ["x"]}, f'{UNFIT}n: "x" is not of type "integer"'),
        (of_schema({"properties": {"n": {"type": "int"}}}), {}, f'{UNUSABLE}"int" is not'),
        (of_schema({"$ref": "#/$defs/n"}), {}, f"{UNUSABLE}Pointer '/$defs/n' does not exist."),
        (of_schema({"$schema": 5}), {}, f'{UNUSABLE}5 is not of type "string" (at $schema).'),
    ],
    ids=[
        *("name twice", "inner name twice", "NaN", "list", "secret", "too long", "infinite"),
        *("old draft", "type that is none", "reference to nothing", "schema number"),
    ],
)
async def test_call_that_nobody_can_be_asked_about_is_told_to_the_model(
    sent_to: SentTo, use: Any, written: str | JsonObject, told: str
) -> None:
    host_call(written, use)
    async with sent_to("t_agent", "Go", replay_everywhere=True) as (_, run):
        assert await run.result() == "Done."
    assert results()[0].startswith(told)
    assert Hosted.done == []


async def test_values_that_json_writes_otherwise_reach_the_tool(sent_to: SentTo) -> None:
    def plan(
        day: date,
        parts: Iterable[int],
        names: set[str],
        more: str = None,  # type: ignore[assignment]  # noqa: RUF013 - as authors write it
    ) -> None:
        Hosted.done.append((day, list(parts), names, more))

    written = {"day": "2026-01-02", "parts": [1, 2], "names": ["a", "a"]}
    host_call(written, tool(plan, description="Plan.").needs())
    async with sent_to("t_agent", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert isinstance(prompt, ToolCallPrompt)
        assert prompt.arguments == {**written, "names": ["a"]}
        await run.answer("approve")
        await run.result()
    assert Hosted.done == [(date(2026, 1, 2), [1, 2], {"a"}, None)]


def refund(order: int, euro: float = 500) -> str:
    """Pay back."""
    Hosted.done.append((order, euro))
    return "paid"


PAID_AS_EDITED = (
    "paid\n\nThe person who allowed it changed the call. It was made with "
    '{"order":1,"euro":1000000}.'
)


def managers_over_100(arguments: JsonObject, owner: Person) -> To | bool:
    return group("managers") if arguments["euro"] > 100 else True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "told", "done"),
    [
        ("approve", PAID_AS_EDITED, [(1, 1_000_000.0)]),
        ({"decision": "reject", "note": "No."}, "The person refused it. No.", []),
    ],
)
async def test_edit_that_the_rule_gives_to_others_is_asked_of_them(
    sent_to: SentTo, answer: Any, told: str, done: list[Any]
) -> None:
    host_call({"order": 1, "euro": 50}, tool(refund).needs(approval=managers_over_100, edit=True))
    [max_] = await reads.read(make_members, "managers", "max")
    async with sent_to("t_agent", "Go") as (hosting, run):
        edited = {"decision": "approve", "arguments": {"order": 1, "euro": 1_000_000}}
        await run.answer(edited)
        [prompt] = await run.prompts()
        assert isinstance(prompt, ToolCallPrompt)
        assert prompt.arguments == {"order": 1, "euro": 1_000_000}
        assert prompt.text.endswith("ann has edited this call.")
        assert Hosted.done == []
        await hosting.crash()
        with pytest.raises(AssertionError, match="is for managers"):
            await run.answer("approve")
        await run.answer(answer, by=max_)
        assert await run.result() == "Done."
    assert (results(), Hosted.done) == ([told], done)


def permitted_manager() -> Any:
    [max_] = make_members("managers", "max")
    max_.user_permissions.add(Permission.objects.get(codename="view_group"))
    return max_


@pytest.mark.parametrize(
    ("euro", "more"),
    [(20, "nobody"), (300, group("managers")), (300, permission("auth.view_group"))],
)
async def test_edit_of_one_whom_the_rule_names_for_it_suffices(
    sent_to: SentTo, euro: int, more: Any
) -> None:
    def rule(arguments: JsonObject, owner: Person) -> To:
        return [more, user("cy")] if arguments["euro"] > 100 else [group("managers")]

    host_call({"order": 1, "euro": 50}, tool(refund).needs(approval=rule, edit=True))
    max_ = await reads.read(permitted_manager)
    await get_user_model().objects.acreate(username="cy")
    async with sent_to("t_agent", "Go", replay_everywhere=True) as (_, run):
        edited = {"decision": "approve", "arguments": {"order": 1, "euro": euro}}
        await run.answer(edited, by=max_)
        assert await run.result() == "Done."
    assert Hosted.done == [(1, euro)]


async def test_edit_that_leaves_an_argument_out_is_shown_with_its_default(sent_to: SentTo) -> None:
    host_call({"order": 1, "euro": 50}, tool(refund).needs(edit=True))
    async with sent_to("t_agent", "Go") as (_, run):
        await run.answer({"decision": "approve", "arguments": {"order": 1}})
        [prompt] = await run.prompts()
        assert isinstance(prompt, ToolCallPrompt)
        assert prompt.arguments == {"order": 1, "euro": 500}
        assert Hosted.done == []
        await run.answer("approve")
        assert await run.result() == "Done."
    assert Hosted.done == [(1, 500)]


async def test_no_more_is_asked_at_once_than_the_limit(sent_to: SentTo, settings: Settings) -> None:
    set_hitl(settings, MAX_PROMPTS_AT_ONCE=2)
    calls = [tool_call("refund", order=order, euro=1) for order in range(4)]
    host(ScriptedModel(calls, "Done."), tool(refund).needs(approval=managers_over_100))
    async with sent_to("t_agent", "Go", replay_everywhere=True) as (_, run):
        assert len(await run.prompts()) == 2
        await run.answer("approve", to="Refund 0")
        await run.answer("approve", to="Refund 1")
        assert await run.result() == "Done."
    too_many = "Not asked: at most 2 questions are asked at once. Call again for this one."
    assert results() == ["paid", "paid", too_many, too_many]
    assert sorted(Hosted.done) == [(0, 1), (1, 1)]
