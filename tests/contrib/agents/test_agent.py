"""An agent's loop: its tools, who allows them, and what the model gets to read."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from sessions_app.contrib.agents.agent import Budget
from sessions_app.contrib.agents.approvals import DONE
from sessions_app.contrib.agents.language_model import ModelMessage, Piece, ToolCall, Usage
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import ToolContext, Tools, tool
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import Person
from sessions_app.prompts.assignment import To
from sessions_app.prompts.tool_call import digest_of
from sessions_app.storage import reads
from sessions_app.workflows import (
    Context,
    Message,
    Reasoning,
    ToolCallPrompt,
    group,
    workflow,
)
from tests.contrib.agents.own_agent import Hosted, host, results
from tests.support.hosting import SentTo, make_members


def refund(euro: int, reason: str = "none") -> str:
    """Pay money back."""
    Hosted.done.append(f"refund {euro} {reason}")
    return f"{euro} € are paid back."


def order(euro: int) -> str:
    """Order something."""
    Hosted.done.append(f"order {euro}")
    return "It is ordered."


async def look_up(words: list[str]) -> JsonObject:
    """Look words up."""
    await asyncio.sleep(0)
    Hosted.done.append(f"look_up {words}")
    return dict.fromkeys(words, 1)


async def test_tools_of_one_answer_are_used_and_the_model_reads_their_results(
    sent_to: SentTo,
) -> None:
    calls = [tool_call("look_up", words=["a", "b"]), tool_call("order", euro=3)]
    host(ScriptedModel(["I look. ", *calls], "Ready."), look_up, order)
    async with sent_to("t_agent", "Go", replay_everywhere=True) as (_, run):
        assert await run.result() == "I look. \n\nReady."
        assert sorted(await run.shown()) == ["Look up ['a', 'b']", "Order 3"]
    assert sorted(Hosted.done) == ["look_up ['a', 'b']", "order 3"]
    assert results() == ['{"a":1,"b":1}', "It is ordered."]


@pytest.mark.slow
async def test_three_people_decide_three_calls_in_any_order_over_two_restarts(
    sent_to: SentTo,
) -> None:
    tools = [
        tool(refund).needs(approval=group("support")),
        tool(order).needs(approval=group("buying")),
        tool(look_up).needs(approval=group("archive")),
    ]
    calls = [
        tool_call("refund", euro=5),
        tool_call("order", euro=7),
        tool_call("look_up", words=["x"]),
    ]
    host(ScriptedModel(calls, "All three."), *tools)
    [sue] = await reads.read(make_members, "support", "sue")
    [bob] = await reads.read(make_members, "buying", "bob")
    [al] = await reads.read(make_members, "archive", "al")
    async with sent_to("t_agent", "Go") as (hosting, run):
        prompt_texts = sorted(prompt.text for prompt in await run.prompts())
        assert prompt_texts == [
            "May I do this: Look up ['x']?",
            "May I do this: Order 7?",
            "May I do this: Refund 5?",
        ]
        await run.answer("approve", to="Look up", by=al)
        await run.rest()  # a crash within the call would ask whether it was done
        await hosting.crash()
        await run.answer("approve", to="Refund", by=sue)
        await run.rest()
        await hosting.crash()
        assert len(await run.prompts()) == 1
        await run.answer("approve", to="Order", by=bob)
        assert await run.result() == "All three."
    assert sorted(Hosted.done) == ["look_up ['x']", "order 7", "refund 5 none"]
    assert results() == ["5 € are paid back.", "It is ordered.", '{"x":1}']


@pytest.mark.slow
async def test_those_who_allowed_a_call_that_a_crash_cut_off_say_whether_it_was_made(
    sent_to: SentTo,
) -> None:
    begun = asyncio.Event()

    async def pay(euro: int) -> None:
        begun.set()
        await asyncio.sleep(60)

    model = ScriptedModel([tool_call("pay", euro=5)], "Paid.")
    host(model, tool(pay, description="Pay.").needs(approval=group("support")))
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to("t_agent", "Go") as (hosting, run):
        await run.answer("approve", by=sue)
        await begun.wait()
        await hosting.crash()
        with pytest.raises(AssertionError, match="is for support"):
            await run.answer("again", to="Was this done: Pay 5?")
        await run.answer("done", by=sue)
        assert await run.result() == "Paid."
    assert results() == [DONE]


async def test_edited_arguments_are_those_that_are_executed_and_audited(
    sent_to: SentTo,
) -> None:
    host(
        ScriptedModel([tool_call("refund", euro=500, reason="late")], "Paid."),
        tool(refund).needs(approval=group("support"), edit=True),
    )
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to("t_agent", "Go", replay_everywhere=True) as (_, run):
        edited = {"decision": "approve", "arguments": {"euro": 50, "reason": "late"}}
        await run.answer(edited, by=sue)
        assert await run.result() == "Paid."
        [step] = [one for one in await run.journal() if one.call.name == "refund"]
    assert Hosted.done == ["refund 50 late"]
    assert step.call.arguments == '[{"euro":50,"reason":"late"}]'
    entry = await AuditEntry.objects.aget(action=AuditEntry.Action.ANSWERED)
    response = entry.detail["response"]
    assert (entry.by_name, entry.via) == ("sue", "test")
    assert response["arguments"] == {"euro": 50, "reason": "late"}
    assert (response["changed"], response["digest"]) == (["euro"], digest_of(response["arguments"]))


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"decision": "reject", "note": "Too dear."}, "The person refused it. Too dear."),
        ("reject", "The person refused it."),
        ({"decision": "answer", "note": "Paid by hand."}, "Paid by hand."),
        (None, "Nobody allowed it in time."),
    ],
)
async def test_model_reads_the_decision_where_the_tool_is_not_used(
    answer: Any, result: str, sent_to: SentTo
) -> None:
    use = tool(refund).needs(answer=True, timeout=60)
    host(ScriptedModel([tool_call("refund", euro=5)], "I see."), use)
    async with sent_to("t_agent", "Go") as (hosting, run):
        if answer is None:
            await hosting.advance(minutes=2)
        else:
            await run.answer(answer)
        assert await run.result() == "I see."
    assert results() == [result]
    assert Hosted.done == []


async def test_argument_that_cannot_be_stored_is_asked_about(sent_to: SentTo) -> None:
    call = tool_call("look_up", words=["a\0"])
    host(ScriptedModel([call], "Done."), tool(look_up).needs(timeout=60))
    async with sent_to("t_agent", "Go") as (_, run):
        await run.answer("approve")
        assert await run.result() == "Done."
    assert Hosted.done == ["look_up ['a\ufffd']"]


async def test_policy_looks_at_arguments_and_at_the_owner(sent_to: SentTo) -> None:
    def approvers(arguments: JsonObject, owner: Person) -> To | bool:
        if arguments["euro"] < 10:
            return False
        return group("support") if owner.username == "ann" else True

    calls = [tool_call("refund", euro=euro) for euro in (5, 50)]
    host(ScriptedModel(calls, "Both."), tool(refund).needs(approval=approvers, four_eyes=True))
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to("t_agent", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert isinstance(prompt, ToolCallPrompt)
        assert prompt.arguments == {"euro": 50, "reason": "none"}
        assert Hosted.done == ["refund 5 none"]
        await run.answer("approve", by=sue)
        assert await run.result() == "Both."
        [interaction] = [one async for one in Interaction.objects.all()]
        assert interaction.assignment is not None
        assert interaction.assignment["four_eyes"]


@pytest.mark.parametrize(
    ("budget", "question"),
    [
        (Budget(turns=2), "I have asked the model 2 times. Shall I go on?"),
        (Budget(tokens=30), "I have used 30 tokens. Shall I go on?"),
    ],
)
async def test_person_is_asked_where_the_budget_is_spent(
    budget: Budget, question: str, sent_to: SentTo
) -> None:
    turn: list[Piece] = [Usage(10, 5), tool_call("order", euro=1)]
    host(ScriptedModel(turn, turn, turn, turn, "Done."), order, budget=budget)
    async with sent_to("t_agent", "Go", replay_everywhere=True) as (_, run):
        assert [one.text for one in await run.prompts()] == [question]
        assert len(Hosted.done) == 2
        await run.answer("continue")
        assert [one.text for one in await run.prompts()] == [question]
        assert len(Hosted.done) == 4
        await run.answer("stop")
        assert await run.result() == "I stop here."


async def test_time_of_the_budget_passes_while_people_think(sent_to: SentTo) -> None:
    host(
        ScriptedModel([tool_call("order", euro=1)], "Done."),
        tool(order).needs(approval=True),
        budget=Budget(seconds=60),
    )
    async with sent_to("t_agent", "Go") as (hosting, run):
        await hosting.advance(seconds=90)
        await run.answer("approve")
        [question] = await run.prompts()
        assert re.fullmatch(
            r"I have worked for (9\d|\d{3}) seconds. Shall I go on\?", question.text
        )
        await run.answer("continue")
        assert await run.result() == "Done."


class FailingModel:
    """A model that fails so often, and then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        yield "Here I am."


async def test_model_that_fails_once_is_asked_again(host_workflow: NewHosting) -> None:
    host(FailingModel(1))
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Hello") == "Here I am."


class CutModel(FailingModel):
    """A model whose answer breaks off in its midst."""

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        yield "I lo"
        raise ConnectionError


ORDERS: list[Piece] = ["I order.", tool_call("order", euro=1)]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (FailingModel(9), "The model cannot be asked (ConnectionError). Try again later."),
        (CutModel(1), "I lo\n\nThe answer was cut off (ConnectionError). Try again later."),
        (
            ScriptedModel(ORDERS),
            "I order.\n\nThe model cannot be asked (AssertionError). Try again later.",
        ),
        (ScriptedModel(ORDERS, ORDERS), "I order.\n\nI order.\n\nI stop here."),
    ],
    ids=["no answer", "cut off", "no second answer", "budget"],
)
async def test_last_words_of_an_agent_stand_apart(
    model: Any, text: str, host_workflow: NewHosting
) -> None:
    host(model, order, budget=Budget(turns=2), retry=None)
    async with host_workflow("t_agent", replay_everywhere=True) as hosting:
        assert await hosting.converse("Go", {"Shall I go on?": "stop"}) == text


async def test_history_is_cut_to_size_from_its_beginning(host_workflow: NewHosting) -> None:
    host(ScriptedModel("Yes."), instructions="Be brief.", max_history=25)
    async with host_workflow("t_agent") as hosting:
        for text in ("the first question", "the second one", "the third"):
            await hosting.converse(text)
    sent_messages = [(one["role"], one["content"]) for one in Hosted.model.requests[-1]]
    assert sent_messages == [
        ("system", "Be brief."),
        ("user", "the second one"),
        ("assistant", "Yes."),
        ("user", "the third"),
    ]


async def test_tool_gets_its_user_and_a_key_that_is_the_same_again(
    sent_to: SentTo,
) -> None:
    keys: list[str] = []

    def remember(context: ToolContext, name: str) -> str:
        """Remember who called."""
        keys.append(context.call_id)
        return f"{name} for {context.user.username}"

    host(ScriptedModel([tool_call("remember", name=n) for n in "ab"], "Done."), remember)
    async with sent_to("t_agent", "Go") as (_, run):
        await run.result()
    assert results() == ["a for ann", "b for ann"]
    assert sorted(keys) == [f"{run.id}-1-0", f"{run.id}-1-1"]


def test_tool_describes_the_function_to_the_model() -> None:
    described = tool(refund).schema["function"]
    assert (described["name"], described["description"]) == ("refund", "Pay money back.")
    assert described["parameters"]["required"] == ["euro"]
    assert set(described["parameters"]["properties"]) == {"euro", "reason"}


def test_function_that_cannot_be_a_tool_is_refused_with_the_reason() -> None:
    def bare(name) -> str:  # type: ignore[no-untyped-def] # that is the mistake
        return str(name)

    with pytest.raises(TypeError, match="'name' needs an annotation"):
        tool(bare)
    with pytest.raises(TypeError, match="'values' cannot be passed by name"):
        tool(lambda *values: None)
    with pytest.raises(ValueError, match="two tools 'order'"):
        Tools([order, order])


@dataclass
class Picture:
    """A result with bytes in it."""

    name: str
    data: bytes


def circular() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (b"\x89PNG\xff", "[5 bytes, which cannot be shown]"),
        (Picture("a", b"\xff"), '{"name":"a","data":"[1 bytes, which cannot be shown]"}'),
        ([(b"\xff",)], '[["[1 bytes, which cannot be shown]"]]'),
        ((one for one in (1, b"\xff")), '[1,"[1 bytes, which cannot be shown]"]'),
        (circular(), "[list, which cannot be shown]"),
        ("a" * 9_000_000, "It was done. Its result is too large to be shown."),
        ("a" * 5_000, "a" * 100 + "\n… and 4,900 characters more, which are left out."),
        ("a\0b", "a\ufffdb"),
        (RuntimeError("secret"), "That failed (RuntimeError)."),
    ],
    ids=["bytes", "field", "tuple", "generator", "circle", "huge", "long", "NUL", "failure"],
)
async def test_model_reads_what_can_be_shown_of_a_result(
    sent_to: SentTo, result: Any, shown: str
) -> None:
    def give() -> Any:
        """Give."""
        Hosted.done.append("give")
        if isinstance(result, Exception):
            raise result
        return result

    model = ScriptedModel([Reasoning("c\0d"), tool_call("give")], "Done.")
    host(model, give, max_result=100)
    async with sent_to("t_agent", "Go") as (_, run):
        assert await run.result() == "Done."
    assert (results(), Hosted.done) == ([shown], ["give"])


@pytest.mark.parametrize(
    ("call", "written"),
    [
        (ToolCall("1", "pay now", "{}"), {"name": "pay_now", "arguments": "{}"}),
        (
            ToolCall("1", "look", '{"order": 1'),
            {"name": "look", "arguments": '{"text":"{\\"order\\": 1"}'},
        ),
        (ToolCall("1", "look", "[1]"), {"name": "look", "arguments": '{"text":"[1]"}'}),
        (ToolCall("1", "look", " "), {"name": "look", "arguments": "{}"}),
    ],
)
async def test_call_goes_back_in_a_form_that_strict_servers_accept(
    host_workflow: NewHosting, call: ToolCall, written: JsonObject
) -> None:
    host(ScriptedModel([call], "Sorry."))
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Sorry."
    [_, answer, _] = Hosted.model.requests[-1]
    assert answer["tool_calls"][0]["function"] == written


@workflow(name="t_agent_files", title="Files", takes_files=True)
async def with_files(message: Message, context: Context) -> str:
    return await Hosted.agent.run(context, Hosted.model)


@pytest.mark.parametrize("text", ["What is on it?", ""])
async def test_model_is_told_of_attached_files(host_workflow: NewHosting, text: str) -> None:
    host(ScriptedModel("A cat."))
    async with host_workflow("t_agent_files") as hosting:
        run = await hosting.send(text, files={"cat.png": b"\x89PNG\r\n\x1a\n0000"})
        await run.result()
    [message] = Hosted.model.requests[-1]
    assert message["content"].strip().startswith(text)
    assert message["content"].endswith("[Attached file: cat.png, image/png, 12 bytes]")
