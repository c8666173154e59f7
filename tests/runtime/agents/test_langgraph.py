"""Graphs of LangGraph, hosted as they are."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, TypedDict
from uuid import UUID, uuid5

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel, Field
from pytest_django import Settings

from sessions_app import runs
from sessions_app.agents.graph_checkpoints import GraphCheckpoints
from sessions_app.agents.langgraph import _Superstep, langgraph_workflow
from sessions_app.agents.tools import Policy
from sessions_app.errors import Invalid
from sessions_app.models import GraphCheckpoint, GraphWrite, HostLease, Run
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.testing.hosted_run import HostedRun
from sessions_app.testing.hosting import NewHosting
from sessions_app.testing.polling import until, until_true
from tests.support.database import operator_rows
from tests.support.hitl import set_hitl
from tests.support.hosting import SentTo

THREADS = UUID("00000000-0000-4000-8000-000000000001")


class Done:
    """A record of what the nodes have done, and a gate for one of them."""

    effects: ClassVar[list[str]] = []
    gate: ClassVar[asyncio.Event] = asyncio.Event()


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.effects = []
    Done.gate = asyncio.Event()


class State(TypedDict, total=False):
    """The state of a graph without messages."""

    question: str
    notes: Annotated[list[str], lambda old, new: [*old, *new]]


async def look(state: State) -> State:
    Done.effects.append("look")
    return {"notes": ["looked"]}


def look_now(state: State) -> State:
    Done.effects.append("look")
    return {"notes": ["looked"]}


def ask_now(state: State) -> State:
    return {"notes": [interrupt("Whose is it?")]}


async def wait(state: State) -> State:
    Done.effects.append("wait begins")
    await Done.gate.wait()
    Done.effects.append("wait ends")
    return {"notes": ["waited"]}


async def ask(state: State) -> State:
    Done.effects.append("ask")
    name = interrupt("Whose is it?")
    colour = interrupt("Which colour?")
    return {"notes": [f"{name} {colour}"]}


async def approve(state: State) -> State:
    request = {"name": "refund", "args": {"euro": 400}}
    review = {"action_name": "refund", "allowed_decisions": ["approve", "edit", "reject"]}
    answer = interrupt({"action_requests": [request, request], "review_configs": [review]})
    return {"notes": [str(one) for one in answer["decisions"]]}


async def pay(state: State) -> State:
    request = {"name": "pay", "args": {"euro": 400}}
    review = {"action_name": "pay", "allowed_decisions": ["approve", "reject"]}
    answer = interrupt({"action_requests": [request], "review_configs": [review]})
    return {"notes": [str(one) for one in answer["decisions"]]}


def ask_about(value: Any, **options: Any) -> Any:
    """Make a node that notes what its interrupt is answered."""

    async def node(state: State) -> State:
        return {"notes": [str(interrupt(value, **options))]}

    return node


async def inbox(state: State) -> State:
    request = {"action": "send", "args": {"to": "eve"}}
    config = {"allow_accept": True, "allow_edit": True, "allow_respond": True}
    [answer] = interrupt([{"action_request": request, "config": config}])
    return {"notes": [f"{answer['type']} {answer['args']}"]}


def host(*nodes: Any, parallel: bool = False, **options: Any) -> None:
    """Have `t_graph` be a graph of these nodes."""
    graph = StateGraph(State)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(START if parallel else before, node.__name__)
        before = node.__name__
    langgraph_workflow(
        graph.compile(),
        name="t_graph",
        title="Graph",
        build_input=lambda context, earlier: {"question": context.input_message, "notes": []},
        **options,
    )


def say(text: str) -> Any:
    """Make a node that has a model say this."""

    async def node(state: MessagesState) -> Any:
        Done.effects.append(text)
        model = GenericFakeChatModel(messages=iter([AIMessage(text)]))
        return {"messages": [await model.ainvoke(state["messages"])]}

    return node


def host_talk(*nodes: Any) -> None:
    """Have `t_talk` be a graph of these nodes, one after another; a text is what a model says."""
    graph = StateGraph(MessagesState)
    sequence = [say(one) if isinstance(one, str) else one for one in nodes]
    names = [f"node {number}" for number in range(len(nodes))]
    graph.add_sequence(list(zip(names, sequence, strict=True)))
    graph.add_edge(START, names[0])
    langgraph_workflow(graph.compile(), name="t_talk", title="Talk")


async def test_text_of_a_model_streams_and_history_comes_along(host_workflow: NewHosting) -> None:
    requests: list[list[str]] = []

    async def talk(state: MessagesState) -> Any:
        requests.append([str(message.text) for message in state["messages"]])
        model = GenericFakeChatModel(messages=iter([AIMessage("Good morning.")]))
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("talk", talk)
    graph.add_edge(START, "talk")
    graph.add_edge("talk", END)
    langgraph_workflow(graph.compile(), name="t_talk", title="Talk")
    async with host_workflow("t_talk", replay_everywhere=True) as hosting:
        assert await hosting.converse("Hello") == "Good morning."
        assert await hosting.converse("Again") == "Good morning."
    assert requests == [["Hello"], ["Hello", "Good morning.", "Again"]]


async def test_texts_of_several_models_stand_apart(sent_to: SentTo) -> None:
    async def debate(state: MessagesState) -> Any:
        answers = [await say(text)(state) for text in ("Yes.", "No.")]
        return {"messages": [message for answer in answers for message in answer["messages"]]}

    async def close(state: MessagesState) -> Any:
        return {"messages": [AIMessage("The end.")]}

    host_talk("Well.", debate, close)
    async with sent_to("t_talk", "Go", replay_everywhere=True) as (_, run):
        assert await run.result() == "Well.\n\nYes.\n\nNo.\n\nThe end."


async def test_what_cannot_be_stored_is_replaced(sent_to: SentTo) -> None:
    host_talk("a\0")
    async with sent_to("t_talk", "Go") as (_, run):
        assert await run.result() == "a\ufffd"


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ("Spell\0", "Spell\ufffd"),
        ("", "?"),
        ("a" * 30_000, "aa\n… and 10,100 characters more, which are left out."),
        (["a" * 20_000], "aa\n… and 104 characters more, which are left out."),
    ],
)
async def test_interrupt_is_asked_whatever_it_says(sent_to: SentTo, value: Any, end: str) -> None:
    host(ask_about(value))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text.endswith(end)
        await run.answer("a")
        assert "a" in await run.result()


async def test_interrupts_of_one_node_are_asked_one_after_another(
    sent_to: SentTo,
) -> None:
    host(look, ask)
    async with sent_to("t_graph", "Go") as (hosting, run):
        assert [one.text for one in await run.prompts()] == ["Whose is it?"]
        await hosting.crash()
        await run.answer("Eve's")
        assert [one.text for one in await run.prompts()] == ["Which colour?"]
        await hosting.crash()
        await run.answer("red")
        assert "Eve's red" in await run.result()
    assert Done.effects.count("look") == 1


async def test_answer_is_for_no_later_interrupt_of_its_node_after_a_crash(
    sent_to: SentTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def texts_and_wait(superstep: Any, start: Any) -> AsyncGenerator[str, None]:
        async for text in texts(superstep, start):
            yield text
        if superstep._answers:  # all is in the database but the record of the step
            Done.effects.append("stored")
            await Done.gate.wait()

    texts = _Superstep._texts
    host(ask)
    monkeypatch.setattr(_Superstep, "_texts", texts_and_wait)
    async with sent_to("t_graph", "Go") as (hosting, run):
        await run.answer("Eve's")
        await until_true(lambda: "stored" in Done.effects)
        await hosting.crash()
        Done.gate.set()
        assert [one.text for one in await run.prompts()] == ["Which colour?"]


def test_older_version_of_the_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sessions_app.agents.langgraph")
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "1.2.19")
    with pytest.raises(ImproperlyConfigured, match=r"LangGraph 1\.2\.20 or newer"):
        import_module("sessions_app.agents.langgraph")


async def test_interrupts_of_parallel_nodes_are_answered_in_any_order(
    sent_to: SentTo,
) -> None:
    host(approve, inbox, parallel=True)
    async with sent_to("t_graph", "Go") as (hosting, run):
        assert sorted(one.text for one in await run.prompts()) == [
            "May I do this: Refund 400?",
            "May I do this: Refund 400?",
            "May I do this: Send eve?",
        ]
        edited: Any = {"decision": "approve", "arguments": {"to": "ann"}}
        await run.answer(edited, to="Send")
        await hosting.crash()
        await run.answer({"decision": "approve", "arguments": {"euro": 40}}, to="Refund")
        await hosting.crash()
        await run.answer({"decision": "reject", "note": "Too much."}, to="Refund")
        output = await run.result()
    assert "edit {'action': 'send', 'args': {'to': 'ann'}}" in output
    assert "{'type': 'edit', 'edited_action': {'name': 'refund', 'args': {'euro': 40}}}" in output
    assert "Too much." in output


async def test_action_is_edited_only_where_its_author_allows_that(
    sent_to: SentTo,
) -> None:
    host(pay)
    async with sent_to("t_graph", "Go") as (_, run):
        with pytest.raises(Invalid, match="cannot be edited"):
            await run.answer({"decision": "approve", "arguments": {"euro": 4}})
        await run.answer({"decision": "approve"})
        assert "{'type': 'approve'}" in await run.result()


@pytest.mark.parametrize(
    ("allowed", "answer", "decision"),
    [
        (["edit"], "approve", {"type": "edit", "edited_action": {"name": "ask", "args": {}}}),
        (
            ["respond"],
            {"decision": "answer", "note": "Red."},
            {"type": "respond", "message": "Red."},
        ),
        (["respond"], "reject", {"type": "respond", "message": "The person refused it."}),
        (["reject", "respond"], "reject", {"type": "reject", "message": "The person refused it."}),
    ],
)
async def test_action_is_decided_as_its_author_allows(
    sent_to: SentTo, allowed: list[str], answer: Any, decision: Any
) -> None:
    review = {"action_name": "ask", "allowed_decisions": allowed}
    host(ask_about({"action_requests": [{"name": "ask", "args": {}}], "review_configs": [review]}))
    async with sent_to("t_graph", "Go") as (_, run):
        if "edit" not in allowed:
            with pytest.raises(Invalid, match="Choose one of the decisions"):
                await run.answer("approve")
        await run.answer(answer)
        assert str({"decisions": [decision]}) in await run.result()


@pytest.mark.parametrize(
    "value",
    [
        {
            "action_requests": [
                {"name": "pay", "args": {"euro": 4}, "description": "See <b>17</b>."}
            ]
        },
        {"action_request": {"action": "pay", "args": {"euro": 4}}, "description": "See <b>17</b>."},
        [
            {
                "action_request": {"action": "pay", "args": {"euro": 4}},
                "description": "See <b>17</b>.",
            }
        ],
    ],
)
async def test_description_of_an_action_is_shown_as_plain_text(sent_to: SentTo, value: Any) -> None:
    host(ask_about(value))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text == "May I do this: Pay 4?\n\nSee <b>17</b>."


async def test_description_of_an_action_that_is_too_long_is_cut(sent_to: SentTo) -> None:
    action = {"name": "pay", "args": {}, "description": "a" * 4_100}
    host(ask_about({"action_requests": [action]}))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text.endswith("a\n… and 100 characters more, which are left out.")


REVIEW = {"action_name": "pay", "allowed_decisions": ["approve"]}


@pytest.mark.parametrize(
    ("requests", "reviews"),
    [
        ([{"args": {"euro": 4}}], []),
        ([{"name": 4, "args": {}}], []),
        ([{"name": "", "args": {}}], []),
        ([{"name": "a" * 201, "args": {}}], []),
        ([{"name": "pay"}], []),
        ([{"name": "pay", "args": "4 euro"}], []),
        (["pay"], []),
        ([{"name": "pay", "args": {}}], "approve"),
        ([{"name": "pay", "args": {}}], ["approve"]),
        ([{"name": "pay", "args": {}}], [{"allowed_decisions": ["approve"]}]),
        ([{"name": "pay", "args": {}}], [{**REVIEW, "allowed_decisions": "disapprove"}]),
        ([{"name": "pay", "args": {}}], [{**REVIEW, "allowed_decisions": []}]),
        ([{"name": "pay", "args": {}}], [{**REVIEW, "allowed_decisions": [True]}]),
    ],
)
async def test_action_that_people_cannot_be_asked_about_is_rejected_in_words(
    sent_to: SentTo, requests: Any, reviews: Any
) -> None:
    host(ask_about({"action_requests": requests, "review_configs": reviews}))
    async with sent_to("t_graph", "Go") as (_, run):
        assert "{'type': 'reject', 'message': 'Nobody was asked: the action" in await run.result()


async def test_action_beside_one_that_is_rejected_is_asked_about(sent_to: SentTo) -> None:
    host(ask_about({"action_requests": [{"name": 4}, {"name": "pay", "args": {}}]}))
    async with sent_to("t_graph", "Go") as (_, run):
        await run.answer("approve")
        assert "'reject', 'message': 'Nobody was asked" in (output := await run.result())
        assert output.endswith("{'type': 'approve'}]}\"]}")


async def test_request_without_an_action_asks_nothing(sent_to: SentTo) -> None:
    host(ask_about({"action_requests": [], "review_configs": []}))
    async with sent_to("t_graph", "Go") as (_, run):
        assert "{'decisions': []}" in await run.result()


@pytest.mark.parametrize(
    "interrupt",
    [
        {"action_request": {"action": 4, "args": {}}},
        {"action_request": {"action": "pay", "args": "4 euro"}},
        {"action_request": {"action": "pay"}},
        {"action_request": {"action": "pay", "args": {}}, "config": None},
        {"action_request": {"action": "pay", "args": {}}, "config": {"allow_accept": "no"}},
    ],
)
async def test_inbox_action_that_people_cannot_be_asked_about_is_answered_in_words(
    sent_to: SentTo, interrupt: Any
) -> None:
    host(ask_about(interrupt))
    async with sent_to("t_graph", "Go") as (_, run):
        assert "{'type': 'response', 'args': 'Nobody was asked: the" in await run.result()


@pytest.mark.parametrize("number", [2, 3])
async def test_questions_at_once_have_a_limit(
    sent_to: SentTo, settings: Settings, number: int
) -> None:
    set_hitl(settings, MAX_PROMPTS_AT_ONCE=2)
    host(ask_about({"action_requests": [{"name": "pay", "args": {}}] * number}))
    async with sent_to("t_graph", "Go") as (_, run):
        if number == 2:
            assert len(await run.prompts()) == 2
        else:
            with pytest.raises(AssertionError, match="asks at once has more than 2 prompts"):
                await run.result()


@pytest.mark.parametrize(
    ("allowed", "decision"),
    [
        (["approve"], "{'type': 'approve'}"),
        (["edit"], "{'type': 'edit', 'edited_action': {'name': 'pay', 'args': {'euro': 4}}}"),
        (["reject"], "{'type': 'reject', 'message': 'Nobody was asked, and"),
    ],
)
async def test_action_for_which_nobody_needs_to_be_asked_is_decided_as_its_author_allows(
    sent_to: SentTo, allowed: list[str], decision: str
) -> None:
    review = {"action_name": "pay", "allowed_decisions": allowed}
    action = {"name": "pay", "args": {"euro": 4}}
    node = ask_about({"action_requests": [action], "review_configs": [review]})
    host(node, approvals=Policy(approval=False))
    async with sent_to("t_graph", "Go") as (_, run):
        assert decision in await run.result()


@pytest.mark.parametrize("message", [HumanMessage("Hi"), ("user", "Hi"), "Hi"])
async def test_graph_that_says_nothing_does_not_repeat_the_person(
    sent_to: SentTo, message: Any
) -> None:
    graph = StateGraph(MessagesState).add_node("work", lambda state: {})
    langgraph_workflow(
        graph.add_edge(START, "work").compile(),
        name="t_talk",
        title="Talk",
        build_input=lambda context, earlier: {"messages": [message]},
    )
    async with sent_to("t_talk", "Hi") as (_, run):
        assert await run.result() == ""


class Refund(BaseModel):
    """The arguments of an action."""

    euro: int


class EditedAction(BaseModel):
    """An action as LangChain has it that a person has edited."""

    name: Literal["refund"]
    args: Refund


class Edit(BaseModel):
    """A decision to edit."""

    type: Literal["edit"]
    edited_action: EditedAction


class Reject(BaseModel):
    """A decision to reject."""

    type: Literal["reject"]
    message: str


@pytest.mark.parametrize(
    ("response_schema", "answer", "decision"),
    [
        (
            Annotated[Edit | Reject, Field(discriminator="type")],
            {"decision": "approve", "arguments": {"euro": 40}},
            "euro=40",
        ),
        (Annotated[Edit | Reject, Field(discriminator="type")], "reject", "The person refused it."),
        (Reject, "reject", "The person refused it."),
    ],
)
async def test_call_that_asks_for_itself_is_decided(
    sent_to: SentTo, response_schema: Any, answer: Any, decision: str
) -> None:
    """Decide about a call as LangChain's middleware has it with `interrupt_mode="per_call"`."""
    value = {"type": "tool_approval", "tool_call_id": "1", "name": "refund", "args": {"euro": 400}}
    host(ask_about(value, response_schema=response_schema))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text == "May I do this: Refund 400?"
        assert ("approve" in [one.value for one in prompt.buttons]) == (response_schema != Reject)
        await run.answer(answer)
        assert decision in await run.result()


@pytest.mark.parametrize(
    ("config", "answer", "given"),
    [
        ({"allow_accept": False, "allow_edit": True}, "approve", {"action": "ask", "args": {}}),
        ({"allow_accept": False, "allow_respond": True}, "reject", None),
    ],
)
async def test_inbox_is_answered_as_its_author_allows(
    sent_to: SentTo, config: Any, answer: str, given: Any
) -> None:
    host(ask_about({"action_request": {"action": "ask", "args": {}}, "config": config}))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert ("approve" in [one.value for one in prompt.buttons]) == (answer == "approve")
        await run.answer(answer)
        assert f"'args': {given}" in await run.result()


@pytest.mark.parametrize(
    ("argument", "decision"),
    [(float("nan"), "'type': 'approve'"), ("a" * 270_000, "'message': 'Nobody was asked: ")],
)
async def test_action_is_decided_whatever_its_arguments_are(
    sent_to: SentTo, argument: object, decision: str
) -> None:
    request = {"name": "tip", "args": {"euro": argument}}
    review = {"action_name": "tip", "allowed_decisions": ["approve", "reject"]}
    host(ask_about({"action_requests": [request], "review_configs": [review]}))
    async with sent_to("t_graph", "Go") as (_, run):
        if await run.prompts():
            await run.answer("approve")
        assert decision in await run.result()


@pytest.mark.parametrize("schema", [{"type": "an amount"}, "RefundArguments", None])
async def test_action_whose_schema_is_none_is_asked_about(sent_to: SentTo, schema: Any) -> None:
    request = {"name": "refund", "args": {"euro": 400}}
    review = {"action_name": "refund", "allowed_decisions": ["edit"], "args_schema": schema}
    host(ask_about({"action_requests": [request], "review_configs": [review]}))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert ("Edited arguments are not checked." in prompt.text) == isinstance(schema, dict)
        await run.answer({"decision": "approve", "arguments": {"euro": 40}})
        assert "{'euro': 40}" in await run.result()


async def test_node_that_has_finished_does_not_run_again_after_a_crash(
    sent_to: SentTo,
) -> None:
    host(look, wait, parallel=True)
    async with sent_to("t_graph", "Go") as (hosting, run):
        await until(lambda: {"look", "wait begins"} <= set(Done.effects))
        await until(lambda: GraphWrite.objects.filter(channel="notes").exists())
        await hosting.crash()
        Done.gate.set()
        assert "looked" in await run.result()
    assert Done.effects.count("look") == 1
    assert Done.effects.count("wait ends") == 1


async def test_fork_of_a_graph_keeps_nothing(sent_to: SentTo) -> None:
    host(look, ask)
    async with sent_to("t_graph", "Go") as (hosting, run):
        await run.answer("Eve's")
        await run.answer("red")
        await run.result()
        by = await get_user_model().objects.aget(pk=hosting.person.id)
        with pytest.raises(Invalid, match="positions 1 to 1"):
            await runs.afork(run.id, position=5, by=by)
        fork = HostedRun(await runs.afork(run.id, position=1, by=by), hosting.person)
        await fork.answer("Ann's")
        await fork.answer("blue")
        assert "Ann's blue" in await fork.result()


async def test_host_that_was_replaced_stores_nothing_of_a_graph(host_workflow: NewHosting) -> None:
    host(wait)
    async with host_workflow("t_graph") as hosting:
        await hosting.send("Go")
        await until(lambda: "wait begins" in Done.effects)
        await until(GraphCheckpoint.objects.exists)
        stored = await reads.read(stored_rows)
        await reads.read(lambda: HostLease.objects.update(generation=F("generation") + 1))
        Done.gate.set()
        await until(lambda: "wait ends" in Done.effects)
        await until_true(lambda: not any(one.runs for one in hosting.hosts))
        assert await reads.read(stored_rows) == stored


def stored_rows() -> list[int]:
    return [model.objects.count() for model in (GraphCheckpoint, GraphWrite)]


async def test_text_of_a_super_step_stays_though_its_record_was_cut_off(
    sent_to: SentTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def texts_and_wait(superstep: Any, start: Any) -> AsyncGenerator[str, None]:
        async for text in texts(superstep, start):
            yield text
        await Done.gate.wait()  # all is in the database but the record of the step

    texts = _Superstep._texts
    host_talk("One.", "Two.")
    monkeypatch.setattr(_Superstep, "_texts", texts_and_wait)
    async with sent_to("t_talk", "Go") as (hosting, run):
        await run.until_said("One.")
        await until(
            lambda: GraphCheckpoint.objects.count() == 3
        )  # of the input, START and the first
        await hosting.crash()
        Done.gate.set()
        assert await run.result() == "One.\n\nTwo."
    assert Done.effects == ["One.", "Two."]


def subgraph_of(*nodes: Any) -> Any:
    """Compile a graph of these nodes, which another graph calls."""
    graph = StateGraph(State)
    graph.add_sequence([(node.__name__, node) for node in nodes])
    return graph.add_edge(START, nodes[0].__name__).compile()


async def test_plain_node_calls_a_subgraph_that_asks(sent_to: SentTo) -> None:
    subgraph = subgraph_of(look_now, ask_now)

    def call(state: State) -> State:
        return {"notes": subgraph.invoke({"notes": []})["notes"]}

    host(call)
    async with sent_to("t_graph", "Go", replay_everywhere=True) as (hosting, run):
        await hosting.crash()
        await run.answer("Eve")
        assert '"notes":["looked","Eve"]' in await run.result()
    assert Done.effects == ["look"]


async def test_plain_tool_calls_a_graph(sent_to: SentTo) -> None:
    subgraph = subgraph_of(look_now, ask_now)

    @tool
    def assistant(task: str) -> str:
        """Have an assistant work."""
        return str(subgraph.invoke({"question": task, "notes": []})["notes"])

    call = AIMessage("", tool_calls=[{"name": "assistant", "args": {"task": "a"}, "id": "1"}])
    graph = StateGraph(MessagesState).add_node("tools", ToolNode([assistant]))
    langgraph_workflow(
        graph.add_edge(START, "tools").compile(),
        name="t_talk",
        title="Talk",
        build_input=lambda context, earlier: {"messages": [call]},
    )
    async with sent_to("t_talk", "Go") as (_, run):
        await run.answer("Eve")
        assert await run.result() == "['looked', 'Eve']"


async def test_async_node_that_calls_a_graph_without_await_is_told_how(sent_to: SentTo) -> None:
    subgraph = subgraph_of(look_now)

    async def call(state: State) -> State:
        return {"notes": subgraph.invoke({"notes": []})["notes"]}

    host(call)
    async with sent_to("t_graph", "Go") as (_, run):
        with pytest.raises(AssertionError, match=r"Write `await graph\.ainvoke\(…\)`"):
            await run.result()
    assert Done.effects == []


async def test_thread_of_a_node_keeps_checkpoints(transactional_db: None) -> None:
    def keep() -> list[str]:
        config: Any = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}}
        stored = checkpoints.put(config, empty_checkpoint(), {"step": 1}, {})
        checkpoints.put_writes(stored, [("notes", "a")], "task")
        latest = checkpoints.get_tuple(config)
        assert latest
        found = [write for one in checkpoints.list(config) for write in one.pending_writes or ()]
        assert found == latest.pending_writes
        checkpoints.delete_thread("a")
        assert list(checkpoints.list(config)) == []
        return [value for _, _, value in found]

    checkpoints = OfAnyThread(store_of_any_thread)
    assert await asyncio.to_thread(keep) == ["a"]


@dataclass
class Shop:
    """The runtime context of a graph."""

    owner: str


async def test_graph_has_the_runtime_context_that_its_author_builds(sent_to: SentTo) -> None:
    def greet(state: State, runtime: Runtime[Shop]) -> State:
        name = interrupt("Who are you?")
        return {"notes": [f"{runtime.context.owner} greets {name}"]}

    graph = StateGraph(State, context_schema=Shop).add_node("greet", greet)
    langgraph_workflow(
        graph.add_edge(START, "greet").compile(),
        name="t_graph",
        title="Graph",
        build_input=lambda context, earlier: {"notes": []},
        build_context=lambda context: Shop(f"owner of {context.input_message}"),
    )
    async with sent_to("t_graph", "17") as (hosting, run):
        await hosting.crash()
        await run.answer("Eve")
        assert await run.result() == '{"notes":["owner of 17 greets Eve"]}'


@pytest.fixture
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what LANGGRAPH_STRICT_MSGPACK=true sets when LangGraph is imported."""
    monkeypatch.setattr("langgraph._internal._serde.STRICT_MSGPACK_ENABLED", True)
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    monkeypatch.setattr(BaseCheckpointSaver, "serde", strict)


class Stock(TypedDict, total=False):
    """The state of a graph, with a class and with what has none."""

    refund: Refund
    anything: Any


def host_stock(stock: Stock, seen: list[Any]) -> None:
    """Have `t_graph` be a graph that makes this stock, asks, and records the stock."""

    def record(state: Stock) -> Stock:
        interrupt("Go on?")
        seen.append(state)
        return {}

    graph = StateGraph(Stock).add_sequence([("make", lambda state: stock), ("record", record)])
    langgraph_workflow(
        graph.add_edge(START, "make").compile(),
        name="t_graph",
        title="Graph",
        build_input=lambda context, earlier: {"anything": ""},
    )


@pytest.mark.usefixtures("_strict")
async def test_classes_of_a_state_come_back_where_langgraph_is_strict(sent_to: SentTo) -> None:
    seen: list[Any] = []
    host_stock({"refund": Refund(euro=4)}, seen)
    async with sent_to("t_graph", "Go") as (hosting, run):
        await hosting.crash()
        await run.answer("yes")
        await run.result()
    assert seen == [{"refund": Refund(euro=4), "anything": ""}]


@pytest.mark.usefixtures("_strict")
async def test_class_that_langgraph_may_not_read_suspends_the_run(sent_to: SentTo) -> None:
    host_stock({"anything": Reject(type="reject", message="")}, [])
    async with sent_to("t_graph", "Go") as (_, run):
        assert await run.status() == "suspended"
        with pytest.raises(AssertionError, match=r"test_langgraph\.Reject, which LANGGRAPH_STRICT"):
            await run.result()


class OfAnyThread(GraphCheckpoints):
    """Checkpoints whose threads have any name; a run is made for each."""

    names: ClassVar[dict[UUID, str]] = {}

    def run_of(self, thread_id: str) -> UUID:
        run = uuid5(THREADS, thread_id)
        self.names[run] = thread_id
        return run

    def thread_of(self, run_id: UUID) -> str:
        return self.names[run_id]


async def store_of_any_thread(work: Any) -> None:
    def write(tx: Transaction) -> None:
        for run in OfAnyThread.names:
            if not Run.objects.filter(pk=run).exists():
                operator_rows.run("completed", id=run)
        work(tx)

    await writer.write(write)


@pytest.mark.slow
async def test_checkpointer_passes_the_conformance_suite(transactional_db: None) -> None:
    @checkpointer_test(name="rows of runs")
    async def checkpoints() -> AsyncGenerator[GraphCheckpoints, None]:
        yield OfAnyThread(store_of_any_thread)

    report = await validate(checkpoints)
    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    assert report.passed_all_base()
