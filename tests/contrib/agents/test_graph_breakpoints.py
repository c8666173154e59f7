"""Breakpoints of hosted graphs: a person says whether the graph goes on."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from sessions_app.contrib.agents.langgraph import HostedGraph, langgraph_workflow
from sessions_app.contrib.agents.models import GraphCheckpoint
from sessions_app.contrib.testing.polling import until, until_true
from tests.contrib.agents.graph_nodes import Done, State, hold_records, model, refund
from tests.support.hosting import SentTo

QUESTION = "I have stopped {}. Shall I go on?"
DEEP = pytest.mark.beyond("a breakpoint asks in a graph of a graph of a graph")


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.clear()


def effect(name: str) -> Callable[[State], State]:
    """Make a node that records its name."""

    def node(state: State) -> State:
        Done.effects.append(name)
        return {"notes": [name]}

    return node


def ask(state: State) -> State:
    return {"notes": [interrupt("Whose is it?")]}


def sequence(*nodes: Any, **options: Any) -> Any:
    """Compile a graph of nodes one after another; a text is a node that records it."""
    named: list[Any] = [(one, effect(one)) if isinstance(one, str) else one for one in nodes]
    graph = StateGraph(State).add_sequence(named).add_edge(START, named[0][0])
    return graph.compile(**options)


def parallel(*nodes: Any) -> Any:
    """Compile a graph of nodes side by side."""
    graph = StateGraph(State)
    for name, node in nodes:
        graph.add_node(name, node).add_edge(START, name)
    return graph.compile()


def host(graph: Any) -> None:
    """Have `t_graph` be this graph."""
    langgraph_workflow(
        graph,
        name="t_graph",
        title="Graph",
        build_input=lambda context, earlier: {"notes": []},
        answers=str,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "place", "before"),
    [
        ({"interrupt_before": ["pay"]}, "before pay", ["look"]),
        ({"interrupt_after": ["look"]}, "before pay", ["look"]),
        ({"interrupt_before": ["pay"], "interrupt_after": ["look"]}, "before pay", ["look"]),
        ({"interrupt_before": ["look"]}, "before look", []),
        ({"interrupt_after": "*"}, "before pay", ["look"]),
    ],
)
async def test_breakpoint_asks_before_the_next_node_runs(
    sent_to: SentTo, options: Any, place: str, before: list[str]
) -> None:
    host(sequence("look", "pay", **options))
    async with sent_to("t_graph", "Go", replay_everywhere=True) as (hosting, run):
        assert [one.text for one in await run.prompts()] == [QUESTION.format(place)]
        assert Done.effects == before
        await hosting.crash()
        await run.answer("continue")
        assert await run.result() == '{"notes":["look","pay"]}'
    assert Done.effects == ["look", "pay"]


async def test_graph_that_is_stopped_at_a_breakpoint_runs_no_further_node(sent_to: SentTo) -> None:
    host(sequence("look", "pay", interrupt_before=["pay"]))
    async with sent_to("t_graph", "Go") as (_, run):
        await run.answer("stop")
        assert await run.result() == "Stopped before pay."
    assert Done.effects == ["look"]


async def test_each_node_is_asked_about_where_all_have_a_breakpoint(sent_to: SentTo) -> None:
    host(sequence("look", "pay", interrupt_before="*"))
    async with sent_to("t_graph", "Go") as (_, run):
        await run.answer("continue", to="before look")
        await run.answer("continue", to="before pay")
        assert await run.result() == '{"notes":["look","pay"]}'


def within(subgraph: Any) -> Any:
    """Compile a graph whose second node is a subgraph."""
    return sequence("look", ("sub", subgraph))


def within_function(subgraph: Any) -> Any:
    """Compile a graph whose second node is a function that calls a graph."""

    async def call(state: State) -> State:
        return {"notes": (await subgraph.ainvoke({"notes": []}))["notes"]}

    return sequence("look", ("sub", call))


@pytest.mark.slow
@pytest.mark.parametrize(
    "nest",
    [within, within_function, pytest.param(lambda one: within(within(one)), marks=DEEP)],
)
@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"interrupt_before": ["pay"]}, ["before pay"]),
        ({"interrupt_after": ["add"]}, ["before pay"]),
        ({"interrupt_after": ["pay"]}, ["after pay"]),
        ({"interrupt_before": ["add", "pay"]}, ["before add", "before pay"]),
        ({"interrupt_before": ["pay"], "checkpointer": True}, ["before pay"]),
    ],
)
async def test_breakpoint_of_a_subgraph_asks(
    sent_to: SentTo, nest: Callable[[Any], Any], options: Any, places: list[str]
) -> None:
    host(nest(sequence("add", "pay", **options)))
    async with sent_to("t_graph", "Go") as (hosting, run):
        for place in places:
            assert [one.text for one in await run.prompts()] == [QUESTION.format(place)]
            assert ("pay" in Done.effects) == place.startswith("after")
            await hosting.crash()
            await run.answer("continue")
        await run.result()
    assert Done.effects.count("pay") == Done.effects.count("add") == 1


@pytest.mark.slow
async def test_breakpoint_beside_an_interrupt_is_not_passed_by_its_answer(sent_to: SentTo) -> None:
    host(parallel(("ask", ask), ("sub", sequence("pay", interrupt_before=["pay"]))))
    async with sent_to("t_graph", "Go") as (_, run):
        await run.answer("continue", to="before pay")
        assert Done.effects == []
        await run.answer("Ada")
        assert "Ada" in await run.result()
    assert Done.effects == ["pay"]


@pytest.mark.slow
@pytest.mark.parametrize("nest", [lambda one: one, within])
async def test_breakpoint_asks_though_its_record_was_cut_off(
    sent_to: SentTo, monkeypatch: pytest.MonkeyPatch, nest: Callable[[Any], Any]
) -> None:
    host(nest(sequence("add", "pay", interrupt_before=["pay"])))
    hold_records(monkeypatch, lambda _: "add" in Done.effects)
    async with sent_to("t_graph", "Go") as (hosting, run):
        await until_true(lambda: "stored" in Done.effects)
        await hosting.crash()
        Done.gate.set()
        assert [one.text for one in await run.prompts()] == [QUESTION.format("before pay")]
        assert "pay" not in Done.effects


@pytest.mark.slow
async def test_answer_that_a_crash_cut_off_is_not_asked_for_again_at_a_breakpoint(
    sent_to: SentTo,
) -> None:
    async def held(state: State) -> State:
        name = interrupt("Who is it?")
        Done.effects.append(name)
        await Done.gate.wait()
        return {"notes": [name]}

    subgraph = sequence(("ask", ask), "pay", interrupt_before=["pay"])
    host(parallel(("held", held), ("sub", subgraph)))
    async with sent_to("t_graph", "Go") as (hosting, run):
        await run.answer("Ada", to="Who is it?")
        await run.answer("Eve", to="Whose is it?")
        await until(lambda: Done.effects == ["Ada"])
        # The subgraph's: of the input, START, and the node that asks.
        await until(lambda: GraphCheckpoint.objects.exclude(namespace="").count() == 3)
        await hosting.crash()
        Done.gate.set()
        assert [one.text for one in await run.prompts()] == [QUESTION.format("before pay")]
        await run.answer("continue")
        assert "Ada" in await run.result()
    assert Done.effects == ["Ada", "Ada", "pay"]


def calls(*arguments: Any) -> AIMessage:
    """Make an answer that calls `refund`."""
    made = [{"name": "refund", "args": one, "id": f"{n}"} for n, one in enumerate(arguments)]
    return AIMessage("", tool_calls=made)


async def test_breakpoint_before_tools_shows_their_calls_to_the_letter(sent_to: SentTo) -> None:
    answers = model(calls({"order": 1, "euro": 4}, {"order": 2, "euro": "4\0"}), AIMessage("Done"))
    agent = create_agent(answers, [refund], interrupt_before=["tools"])
    langgraph_workflow(agent, name="t_graph", title="Graph")
    async with sent_to("t_graph", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text == QUESTION.format("before tools")
        assert prompt.details == {
            "1. refund": {"code": '{\n  "order": 1,\n  "euro": 4\n}'},
            "2. refund": {"code": '{\n  "order": 2,\n  "euro": "4\\u0000"\n}'},
        }
        assert Done.effects == []
        await run.answer("continue")
        assert await run.result() == "Done"
    assert sorted(Done.effects) == ["1 4", "2 4\0"]


async def test_breakpoint_that_nobody_can_be_asked_about_stops_the_run(sent_to: SentTo) -> None:
    subgraph = sequence("pay", interrupt_before=["pay"])

    @tool
    async def agent() -> str:
        """Have another graph work."""
        return str(await subgraph.ainvoke({"notes": []}))

    graph = StateGraph(MessagesState).add_node("tools", ToolNode([agent]))
    call = AIMessage("", tool_calls=[{"name": "agent", "args": {}, "id": "1"}])
    langgraph_workflow(
        graph.add_edge(START, "tools").compile(),
        name="t_graph",
        title="Graph",
        build_input=lambda context, earlier: {"messages": [call]},
    )
    async with sent_to("t_graph", "Go") as (_, run):
        with pytest.raises(AssertionError, match="about which nobody can be asked here"):
            await run.result()
    assert Done.effects == []


def test_subgraph_that_cannot_wait_at_its_breakpoint_is_refused() -> None:
    subgraph = sequence("pay", interrupt_before=["pay"], checkpointer=False)
    with pytest.raises(ImproperlyConfigured, match="'sub' has breakpoints and checkpointer=False"):
        HostedGraph(within(subgraph), "graph")
