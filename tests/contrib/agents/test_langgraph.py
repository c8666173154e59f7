"""Graphs of LangGraph, hosted as they are."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, TypedDict
from uuid import UUID, uuid5

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel
from pytest_django import Settings

from sessions_app import runs
from sessions_app.contrib.agents.graph_checkpoints import GraphCheckpoints
from sessions_app.contrib.agents.langgraph import langgraph_workflow
from sessions_app.contrib.agents.models import GraphCheckpoint, GraphWrite
from sessions_app.contrib.agents.tools import Policy
from sessions_app.contrib.testing.hosted_run import Answer, HostedRun
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.contrib.testing.polling import until, until_true
from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.models import HostLease, Run
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from tests.contrib.agents.graph_nodes import Done, State, hold_records
from tests.support.database import operator_rows
from tests.support.hitl import set_hitl
from tests.support.hosting import SentTo

THREADS = UUID("00000000-0000-4000-8000-000000000001")


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.clear()


async def look(state: State) -> State:
    Done.effects.append("look")
    return {"notes": ["looked"]}


def look_now(state: State) -> State:
    Done.effects.append("look")
    return {"notes": ["looked"]}


def ask_now(state: State) -> State:
    return {"notes": [interrupt("Whose is it?")]}


PAY = {"name": "pay", "args": {"euro": 4}}


def actions(*requests: Any, reviews: Any = None, **review: Any) -> dict[str, Any]:
    """Make a request to decide about actions; `review` is what holds for the first."""
    reviews = [{"action_name": requests[0]["name"], **review}] if review else reviews or []
    return {"action_requests": [*requests], "review_configs": reviews}


def inbox(action: Any, args: Any, **more: Any) -> dict[str, Any]:
    """Make a request in the form of LangChain's agent inbox."""
    return {"action_request": {"action": action, "args": args}, **more}


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


def ask_about(value: Any, name: str = "ask") -> Any:
    """Make a node that notes what its interrupt is answered."""

    async def node(state: State) -> State:
        return {"notes": [str(interrupt(value))]}

    node.__name__ = name
    return node


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
        **{"answers": str, **options},
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

    host_talk("Well\0.", debate, close)
    async with sent_to("t_talk", "Go", replay_everywhere=True) as (_, run):
        assert await run.result() == "Well\ufffd.\n\nYes.\n\nNo.\n\nThe end."


@pytest.mark.slow
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


@pytest.mark.slow
async def test_answer_is_for_no_later_interrupt_of_its_node_after_a_crash(
    sent_to: SentTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    host(ask)
    hold_records(monkeypatch, lambda superstep: superstep.answers)
    async with sent_to("t_graph", "Go") as (hosting, run):
        await run.answer("Eve's")
        await until_true(lambda: "stored" in Done.effects)
        await hosting.crash()
        Done.gate.set()
        assert [one.text for one in await run.prompts()] == ["Which colour?"]


def test_older_version_of_the_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sessions_app.contrib.agents.langgraph")
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "1.2.19")
    with pytest.raises(ImproperlyConfigured, match=r"LangGraph 1\.2\.20 or newer"):
        import_module("sessions_app.contrib.agents.langgraph")


@pytest.mark.slow
async def test_interrupts_of_parallel_nodes_are_answered_in_any_order(
    sent_to: SentTo,
) -> None:
    request = {"name": "refund", "args": {"euro": 400}}
    decisions = ["approve", "edit", "reject"]
    refunds = ask_about(actions(request, request, allowed_decisions=decisions))
    config = {"allow_accept": True, "allow_edit": True, "allow_respond": True}
    send = ask_about([inbox("send", {"to": "eve"}, config=config)], "send")
    host(refunds, send, parallel=True)
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
    assert "'edit', 'args': {'action': 'send', 'args': {'to': 'ann'}}" in output
    assert "{'type': 'edit', 'edited_action': {'name': 'refund', 'args': {'euro': 40}}}" in output
    assert "Too much." in output


SEE = "See <b>17</b>."
PAY_AND_SEE = "May I do this: Pay 4?\n\nSee <b>17</b>."


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ("Spell\0", "Spell\ufffd"),
        ("", "?"),
        ("a" * 30_000, "aa\n… and 10,100 characters more, which are left out."),
        (["a" * 20_000], "aa\n… and 104 characters more, which are left out."),
        (actions({**PAY, "description": SEE}), PAY_AND_SEE),
        (inbox("pay", {"euro": 4}, description=SEE), PAY_AND_SEE),
        ([inbox("pay", {"euro": 4}, description=SEE)], PAY_AND_SEE),
        (
            actions({**PAY, "description": "a" * 4_100}),
            "a\n… and 100 characters more, which are left out.",
        ),
    ],
    ids=[
        *("NUL", "empty", "long", "long list", "action", "inbox", "inbox list"),
        "long description",
    ],
)
async def test_interrupt_is_asked_whatever_it_says(sent_to: SentTo, value: Any, end: str) -> None:
    host(ask_about(value))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text.endswith(end)


ASK = {"name": "ask", "args": {}}
EDITED = {"decision": "approve", "arguments": {"euro": 40}}
RED: Answer = {"decision": "answer", "note": "Red."}
REFUSED = "{'type': 'reject', 'message': 'The person refused it.'}"


@pytest.mark.parametrize(
    ("value", "not_allowed", "answer", "given"),
    [
        (
            actions(ASK, allowed_decisions=["edit"]),
            None,
            "approve",
            "{'type': 'edit', 'edited_action': {'name': 'ask', 'args': {}}}",
        ),
        (
            actions(ASK, allowed_decisions=["respond"]),
            "approve",
            RED,
            "{'type': 'respond', 'message': 'Red.'}",
        ),
        (
            actions(ASK, allowed_decisions=["respond"]),
            "approve",
            "reject",
            "{'type': 'respond', 'message': 'The person refused it.'}",
        ),
        (actions(ASK, allowed_decisions=["reject", "respond"]), "approve", "reject", REFUSED),
        (
            actions(PAY, allowed_decisions=["approve", "reject"]),
            EDITED,
            "approve",
            "{'type': 'approve'}",
        ),
        (
            actions(
                {"name": "pay", "args": {"euro": float("nan")}},
                allowed_decisions=["approve", "reject"],
            ),
            None,
            "approve",
            "{'type': 'approve'}",
        ),
        (
            inbox("ask", {}, config={"allow_accept": False, "allow_edit": True}),
            None,
            "approve",
            "'args': {'action': 'ask', 'args': {}}",
        ),
        (
            inbox("ask", {}, config={"allow_accept": False, "allow_respond": True}),
            "approve",
            "reject",
            "'args': None",
        ),
    ],
    ids=[
        *("edit", "respond", "respond by rejecting", "reject", "no edit", "NaN", "inbox edit"),
        "inbox respond",
    ],
)
async def test_action_is_decided_as_its_author_allows(
    sent_to: SentTo, value: Any, not_allowed: Any, answer: Any, given: str
) -> None:
    host(ask_about(value))
    async with sent_to("t_graph", "Go") as (_, run):
        if not_allowed:
            with pytest.raises(Invalid, match=r"Choose one of the decisions|cannot be edited"):
                await run.answer(not_allowed)
        await run.answer(answer)
        assert given in await run.result()


REJECTED = "{'type': 'reject', 'message': 'Nobody was asked: the action"
ANSWERED = "{'type': 'response', 'args': 'Nobody was asked: the"


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (actions({"args": {"euro": 4}}), REJECTED),
        (actions({"name": 4, "args": {}}), REJECTED),
        (actions({"name": "", "args": {}}), REJECTED),
        (actions({"name": "a" * 201, "args": {}}), REJECTED),
        (actions({"name": "pay"}), REJECTED),
        (actions({"name": "pay", "args": "4 euro"}), REJECTED),
        (actions("pay"), REJECTED),
        (actions(PAY, reviews="approve"), REJECTED),
        (actions(PAY, reviews=["approve"]), REJECTED),
        (actions(PAY, reviews=[{"allowed_decisions": ["approve"]}]), REJECTED),
        (actions(PAY, allowed_decisions="disapprove"), REJECTED),
        (actions(PAY, allowed_decisions=[]), REJECTED),
        (actions(PAY, allowed_decisions=[True]), REJECTED),
        (
            actions({"name": "pay", "args": {"to": "a" * 270_000}}),
            "'message': 'Nobody was asked: ",
        ),
        (actions(), "{'decisions': []}"),
        (inbox(4, {}), ANSWERED),
        (inbox("pay", "4 euro"), ANSWERED),
        ({"action_request": {"action": "pay"}}, ANSWERED),
        (inbox("pay", {}, config=None), ANSWERED),
        (inbox("pay", {}, config={"allow_accept": "no"}), ANSWERED),
    ],
    ids=[
        *("no name", "number", "empty name", "long name", "no arguments", "text for arguments"),
        *("text", "text for reviews", "text for review", "review of nothing"),
        *("text for decisions", "no decisions", "odd decision", "too long", "no action"),
        *("inbox number", "inbox text", "inbox without", "inbox null", "inbox word"),
    ],
)
async def test_request_that_people_cannot_be_asked_about_is_answered_in_words(
    sent_to: SentTo, value: Any, given: str
) -> None:
    host(ask_about(value))
    async with sent_to("t_graph", "Go") as (_, run):
        assert given in await run.result()


@pytest.mark.parametrize(
    ("allowed", "given"),
    [
        (["approve"], "{'type': 'approve'}"),
        (["edit"], "{'type': 'edit', 'edited_action': {'name': 'pay', 'args': {'euro': 4}}}"),
        (["reject"], "{'type': 'reject', 'message': 'Nobody was asked, and"),
    ],
)
async def test_action_for_which_nobody_needs_to_be_asked_is_decided_as_its_author_allows(
    sent_to: SentTo, allowed: list[str], given: str
) -> None:
    host(ask_about(actions(PAY, allowed_decisions=allowed)), approvals=Policy(approval=False))
    async with sent_to("t_graph", "Go") as (_, run):
        assert given in await run.result()


async def test_action_beside_one_that_is_rejected_is_asked_about(sent_to: SentTo) -> None:
    host(ask_about(actions({"name": 4}, PAY)))
    async with sent_to("t_graph", "Go") as (_, run):
        await run.answer("approve")
        assert "'reject', 'message': 'Nobody was asked" in (output := await run.result())
        assert output.endswith("{'type': 'approve'}]}\"]}")


@pytest.mark.parametrize("number", [2, 3])
async def test_questions_at_once_have_a_limit(
    sent_to: SentTo, settings: Settings, number: int
) -> None:
    set_hitl(settings, MAX_PROMPTS_AT_ONCE=2)
    host(ask_about(actions(*[PAY] * number)))
    async with sent_to("t_graph", "Go") as (_, run):
        if number == 2:
            assert len(await run.prompts()) == 2
        else:
            with pytest.raises(AssertionError, match="asks at once has more than 2 prompts"):
                await run.result()


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
    """A class in a state."""

    euro: int


class Secret(BaseModel):
    """A class that the state of the graph does not name."""


@pytest.mark.parametrize("schema", [{"type": "an amount"}, "RefundArguments", None])
async def test_action_whose_schema_is_none_is_asked_about(sent_to: SentTo, schema: Any) -> None:
    host(ask_about(actions(PAY, allowed_decisions=["edit"], args_schema=schema)))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert ("Edited arguments are not checked." in prompt.text) == isinstance(schema, dict)
        await run.answer({"decision": "approve", "arguments": {"euro": 40}})
        assert "{'euro': 40}" in await run.result()


async def test_action_without_a_schema_is_judged_and_shown_as_the_model_wrote_it(
    sent_to: SentTo,
) -> None:
    written = {"euro": "4", "to": None}
    judged = []

    def rule(arguments: JsonObject, _owner: Person) -> bool:
        judged.append(arguments)
        return True

    host(ask_about(actions({"name": "pay", "args": written})), approvals=Policy(rule))
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert [*judged, prompt.model_dump()["arguments"]] == [written, written]


@pytest.mark.slow
async def test_approved_arguments_have_the_defaults_of_their_schema_as_people_saw_them(
    sent_to: SentTo,
) -> None:
    schema = {"properties": {"euro": {"type": "integer"}, "days": {"default": 30}}}
    host(ask_about(actions(PAY, allowed_decisions=["approve", "edit"], args_schema=schema)))
    async with sent_to("t_graph", "Go") as (hosting, run):
        [prompt] = await run.prompts()
        assert prompt.model_dump()["arguments"] == {"euro": 4, "days": 30}
        await hosting.crash()
        await run.answer("approve")
        assert "'args': {'euro': 4, 'days': 30}" in await run.result()


@pytest.mark.slow
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


@pytest.mark.slow
async def test_text_of_a_super_step_stays_though_its_record_was_cut_off(
    sent_to: SentTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_talk("One.", "Two.")
    hold_records(monkeypatch)
    async with sent_to("t_talk", "Go") as (hosting, run):
        await run.until_said("One.")
        await until(
            lambda: GraphCheckpoint.objects.count() == 3
        )  # of the input, START and the first
        await hosting.crash()
        Done.gate.set()
        assert await run.result() == "One.\n\nTwo."
    assert [one for one in Done.effects if one != "stored"] == ["One.", "Two."]


def subgraph_of(*nodes: Any) -> Any:
    """Compile a graph of these nodes, which another graph calls."""
    graph = StateGraph(State)
    graph.add_sequence([(node.__name__, node) for node in nodes])
    return graph.add_edge(START, nodes[0].__name__).compile()


@pytest.mark.slow
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


@pytest.mark.slow
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
        answers=str,
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
        answers=str,
    )


@pytest.mark.slow
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
    host_stock({"anything": Secret()}, [])
    async with sent_to("t_graph", "Go") as (_, run):
        assert await run.status() == "suspended"
        with pytest.raises(AssertionError, match=r"test_langgraph\.Secret, which LANGGRAPH_STRICT"):
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
